/** The longest event that is read; the first one holds the whole subtree. */
const EVENT_LIMIT_CHARACTERS = 128 * 1024 * 1024;

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Reads a stream of Server-Sent Events (HTML standard, 9.2.6) and keeps the last id, also of blocks that carry no
 * event.
 */
export class EventReader {
  lastEventId = '';
  #event = '';
  #data: string[] = [];
  #length = 0;

  /** @throws Error when an event is too long */
  async *read(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
    const decoder = new TextDecoder();
    let rest: string[] = [];
    for await (const chunk of body) {
      const lines = decoder.decode(chunk, { stream: true }).split('\n');
      const last = lines.pop() ?? '';
      for (const line of lines) {
        const event = this.#take(rest.length === 0 ? line : rest.join('') + line);
        rest = [];
        if (event !== undefined) yield event;
      }
      rest.push(last);
      this.#grow(chunk.length);
    }
  }

  #take(line: string): ServerSentEvent | undefined {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (text === '') return this.#dispatch();
    const colon = text.indexOf(':');
    const field = colon === -1 ? text : text.slice(0, colon);
    const value = colon === -1 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.lastEventId = value;
    return undefined;
  }

  #dispatch(): ServerSentEvent | undefined {
    const event = this.#event === '' ? 'message' : this.#event;
    const data = this.#data;
    this.#event = '';
    this.#data = [];
    this.#length = 0;
    return data.length === 0 ? undefined : { event, data: data.join('\n') };
  }

  #grow(length: number): void {
    this.#length += length;
    if (this.#length > EVENT_LIMIT_CHARACTERS) throw new Error(`an event is longer than ${EVENT_LIMIT_CHARACTERS} characters`);
  }
}
