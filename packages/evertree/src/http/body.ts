import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpLimits } from './limits.ts';
import { ClientGone, RequestError } from './problem.ts';

/** Reads the bodies of one server's requests, and bounds what they hold together. */
export class Bodies {
  readonly #limits: HttpLimits;
  #heldBytes = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a whole body as UTF-8 text.
   * @throws RequestError TOO_LARGE, OVERLOADED, UNSUPPORTED_MEDIA_TYPE (an encoding), VALUE_INVALID (not UTF-8); ClientGone
   */
  async read(request: IncomingMessage, response: ServerResponse): Promise<string> {
    const limit = this.#limits.bodyBytes;
    welcomeBody(request, response, limit);
    let held = 0;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of bodyChunks(request)) {
        if (held + chunk.length > limit) throw tooLarge(limit);
        this.#hold(chunk.length);
        held += chunk.length;
        chunks.push(chunk);
      }
    } finally {
      this.#heldBytes -= held;
    }
    return decodeText(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  }

  #hold(bytes: number): void {
    if (this.#heldBytes + bytes > this.#limits.bodiesBytes) {
      throw new RequestError(
        'OVERLOADED',
        `requests under way hold ${this.#limits.bodiesBytes} bytes of bodies, the limit; try again`,
        {},
        { 'Retry-After': '1' },
      );
    }
    this.#heldBytes += bytes;
  }
}

/**
 * Refuses by its head what need not be sent, and asks a waiting client for the rest.
 * @throws RequestError TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
 */
export function welcomeBody(request: IncomingMessage, response: ServerResponse, limitBytes: number): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `the body is encoded as ${encoding.slice(0, 40)}; send it as it is`);
  }
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
  if (request.headers.expect !== undefined) response.writeContinue();
}

/** @throws ClientGone when the connection ends before the body does */
export async function* bodyChunks(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    // Leaving the loop early must not destroy the request: its answer goes over the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
  } catch (error) {
    if (request.destroyed || !request.complete) throw new ClientGone();
    throw error;
  }
}

/** Reads and throws away what is left of a body, so that its sender gets to read the answer; cuts one that does not end. */
export function discardBody(request: IncomingMessage, limitBytes: number): void {
  if (request.complete || request.destroyed) return;
  let discarded = 0;
  request.on('data', (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > limitBytes) request.socket.destroy();
  });
  request.resume();
}

/** @throws RequestError VALUE_INVALID */
function decodeText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new RequestError('VALUE_INVALID', 'the body is not UTF-8');
  const text = bytes.toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

export function tooLarge(limitBytes: number): RequestError {
  return new RequestError('TOO_LARGE', `the body is larger than ${limitBytes} bytes, the limit; send it in parts`, { limitBytes });
}
