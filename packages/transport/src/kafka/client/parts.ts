/** What has connections of its own: a reader, a writer, or what administers. */
export interface BrokerPart {
  /** Undefined for what lives as long as the broker does. */
  readonly isClosed?: boolean;
  abandon(): void;
  close(): Promise<void>;
}

/** The parts of one broker. Closed ones are removed when the next one is added. */
export class BrokerParts {
  #parts: BrokerPart[] = [];
  /** Once it is true, what is added is abandoned at once. */
  #abandoned = false;

  add(part: BrokerPart): void {
    this.#parts = [...this.#parts.filter(({ isClosed }) => isClosed !== true), part];
    if (this.#abandoned) part.abandon();
  }

  /** Adds a part and connects it; one that can't connect is closed. */
  async open<Part extends BrokerPart & { connect(): Promise<void> }>(part: Part): Promise<Part> {
    this.add(part);
    try {
      await part.connect();
      return part;
    } catch (error) {
      await part.close();
      throw error;
    }
  }

  abandon(): void {
    this.#abandoned = true;
    for (const part of this.#parts) part.abandon();
  }

  async close(): Promise<void> {
    this.abandon();
    await Promise.all(this.#parts.map(part => part.close()));
  }
}
