/** The user's display settings. */
export interface Look {
  /** Whether the transcript is ordered by wall clock. */
  readonly wall: boolean;
  /** Whether the diagram is open. */
  readonly picture: boolean;
  /** Whether the type is large, as for a projector. */
  readonly large: boolean;
}

/** What the user can ask for. The view calls these and nothing else. */
export interface Commands {
  /** Takes part under a name, with the access secret if the service asked for one. */
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
  /** Sets the wall clock in this page’s messages ahead of the browser’s, by this many seconds. */
  setSkew(seconds: number): void;
  /** Remembers the display settings. */
  keepLook(look: Look): void;
  /** Remembers what is being written. */
  keepDraft(text: string): void;
}
