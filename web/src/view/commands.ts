/** How the page is looked at. */
export interface Look {
  /** Whether the transcript is ordered by wall clock. */
  readonly wall: boolean;
  /** Whether the diagram is open. */
  readonly picture: boolean;
  /** Whether the type is large, as for a projector. */
  readonly large: boolean;
}

/** What the user can want. The view calls these and nothing else. */
export interface Commands {
  /** Takes part under a name, with the access secret where one was asked for. */
  join(name: string, secret: string): void;
  /** Stops taking part, or stops trying to. */
  leave(): void;
  /** Publishes a message. */
  send(text: string): void;
  /** Publishes a kept message again. */
  sendAgain(id: string): void;
  /** Forgets a kept message. */
  discard(id: string): void;
  /** Loads a page of earlier events. */
  loadEarlier(): void;
  /** Tries to connect now. */
  retryNow(): void;
  /** Hands the log to the user as a file. */
  downloadLog(): void;
  /** Puts the wall clock that this page’s messages state ahead of the browser’s, by this many seconds. */
  setSkew(seconds: number): void;
  /** Remembers how the page is looked at. */
  keepLook(look: Look): void;
  /** Remembers what is being written. */
  keepDraft(text: string): void;
}
