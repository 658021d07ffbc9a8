// A participant of Chit Chat for Node, for any library: the state to keep is a Lamport clock, the session token from the
// Welcome, and the position in the stream.
//
// A wire is the interface to a library:
//
//   join(request, signal)   an async generator of the stream's frames, each as [kind, value]; the signal aborts it
//   publish(request)        a promise of the reply
//   leave(request)          a promise of the reply
//
// 64-bit numbers may arrive as BigInt or as text, and are sent as BigInt.

export class Participant {
  clock = 0n; // Lamport's C.
  position = 0n; // The sequence of the last event that was received.
  welcome;
  #wire;
  #frames;
  #connection;

  constructor(wire, displayName) {
    this.#wire = wire;
    this.displayName = displayName;
  }

  // What a participant does.

  /** Opens the stream. Its events, beginning with the participant's own Joined, are read with nextEvent. */
  join() {
    return this.#open({ displayName: this.displayName, logicalTime: this.#sending() });
  }

  /** Continues after the last received event, with a new stream. The others do not notice. */
  resume() {
    const { sessionToken, epoch } = this.welcome;
    const resume = { sessionToken, epoch, afterSequence: this.position };
    return this.#open({ logicalTime: this.#sending(), resume });
  }

  /** Publishes one message. To try again after a lost connection, repeat it with its messageId. */
  async publish(text, messageId = "") {
    const { sessionToken } = this.welcome;
    const request = { sessionToken, text, logicalTime: this.#sending(), messageId, seenSequence: this.position };
    return this.#received(await this.#wire.publish(request));
  }

  /** Leaves. The stream ends after the last event before the participant's own Left. */
  async leave() {
    const { sessionToken } = this.welcome;
    return this.#received(await this.#wire.leave({ sessionToken, logicalTime: this.#sending() }));
  }

  /** Drops the stream without leaving, as a lost connection would. */
  breakStream() {
    this.#connection.abort();
  }

  // What a participant receives.

  /** Waits for the next frame of the stream, as [kind, value]; undefined once this participant has left. */
  async nextFrame() {
    const { done, value: frame } = await this.#frames.next();
    if (done) return undefined;
    const [kind, value] = frame;
    if (kind === "welcome") this.welcome = this.#received(value);
    if (kind === "event") this.position = BigInt(this.#received(value).sequence);
    // caughtUp, heartbeat and presence are not events, so the clock does not advance.
    return frame;
  }

  /** Waits for the next event; undefined once this participant has left. */
  async nextEvent() {
    for (let frame; (frame = await this.nextFrame()); ) {
      if (frame[0] === "event") return frame[1];
    }
    return undefined;
  }

  // Lamport's rules.

  #sending() {
    return (this.clock += 1n);
  }

  #received(message) {
    const time = BigInt(message.logicalTime);
    this.clock = (time > this.clock ? time : this.clock) + 1n;
    return message;
  }

  async #open(request) {
    this.#connection = new AbortController();
    this.#frames = this.#wire.join(request, this.#connection.signal);
    await this.nextFrame();
    return this.welcome;
  }
}
