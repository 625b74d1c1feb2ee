import type { Position } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import type { Exchange } from './exchange.ts';
import { writeSlices } from './streaming.ts';

export const EVENT_STREAM_TYPE = 'text/event-stream; charset=utf-8';

/** How soon an EventSource comes back after its connection broke. */
const RETRY_MS = 1_000;
const EVENT_END = Buffer.from('\n\n');

/** Server-Sent Events (WHATWG HTML, 9.2) as the answer to one request. */
export class EventStream {
  readonly #exchange: Exchange;
  #lastWrite = performance.now();

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    exchange.response.writeHead(200, {
      'Content-Type': EVENT_STREAM_TYPE,
      'Cache-Control': 'no-store',
      // Proxies that gather an answer before they pass it on (nginx) would hold the events back.
      'X-Accel-Buffering': 'no',
    });
    exchange.response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** Milliseconds since something was written. */
  get silenceMs(): number {
    return performance.now() - this.#lastWrite;
  }

  /** Writes events that `formatEvent` made. @throws ClientGone */
  async write(events: string | Uint8Array): Promise<void> {
    this.#lastWrite = performance.now();
    await this.#exchange.write(events);
  }

  /** One event whose data is made in slices; JSON, so without line ends. @throws ClientGone */
  async writeSlices(name: string, position: Position, slices: Iterator<string>): Promise<void> {
    await this.write(`event: ${name}\nid: ${formatPosition(position)}\ndata: `);
    await writeSlices(this.#exchange, slices);
    await this.write('\n\n');
  }

  /** One event whose data is bytes already; JSON, so without line ends. @throws ClientGone */
  async writePieces(name: string, position: Position, pieces: readonly Buffer[]): Promise<void> {
    const event = [Buffer.from(`event: ${name}\nid: ${formatPosition(position)}\ndata: `), ...pieces, EVENT_END];
    if (pieces.length === 1) return this.write(Buffer.concat(event));
    for (const piece of event) await this.write(piece);
  }

  /** Shows that the stream lives, and moves the client's last id on without an event. @throws ClientGone */
  async heartbeat(position: Position): Promise<void> {
    await this.write(`: heartbeat\nid: ${formatPosition(position)}\n\n`);
  }
}

export function formatEvent(name: string, position: Position | undefined, data: unknown): string {
  const id = position === undefined ? '' : `id: ${formatPosition(position)}\n`;
  return `event: ${name}\n${id}data: ${JSON.stringify(data)}\n\n`;
}
