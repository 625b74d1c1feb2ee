import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Path, PreparationHints } from '@evertree/core';
import { parseExactJson } from '../json/exact.ts';
import { type ObjectKeys, parseSliced } from '../json/sliced.ts';
import type { HttpLimits } from './limits.ts';
import { ClientGone, RequestError } from './problem.ts';
import type { Turns } from './turns.ts';

/**
 * Up to this size a text is read in one step, and what it says is committed in one: 5,000 members or operations, some 10 ms
 * of work.
 */
export const ONE_STEP_BYTES = 64 * 1024;

/** What a body says. */
export interface ReadBody {
  readonly value: unknown;
  /** Undefined for a small body: what is done with it takes one step. */
  readonly hints: PreparationHints | undefined;
}

/** Reads the bodies of one server's requests, and bounds what they hold together. */
export class Bodies {
  readonly #limits: HttpLimits;
  readonly #turns: Turns;
  #heldBytes = 0;

  constructor(limits: HttpLimits, turns: Turns) {
    this.#limits = limits;
    this.#turns = turns;
  }

  /**
   * Reads a whole body as JSON, a large one in steps between which others get their turn.
   * @param at the path at which the value will stand, for errors
   * @throws RequestError TOO_LARGE, OVERLOADED, UNSUPPORTED_MEDIA_TYPE (an encoding); EvertreeError VALUE_INVALID;
   *   ClientGone
   */
  async readJson(request: IncomingMessage, response: ServerResponse, at: Path): Promise<unknown> {
    return this.read(request, response, at, ({ value }) => value);
  }

  /**
   * As readJson. @param use what is done with the body: its bytes count until that is over, as what is made of it takes
   * memory as well
   */
  async read<T>(request: IncomingMessage, response: ServerResponse, at: Path, use: (body: ReadBody) => T | Promise<T>): Promise<T> {
    const limit = this.#limits.bodyBytes;
    welcomeBody(request, response, limit);
    let bytes = 0;
    const chunks: Buffer[] = [];
    using held = this.hold();
    for await (const chunk of bodyChunks(request)) {
      bytes += chunk.length;
      if (bytes > limit) throw tooLarge(limit);
      held.become(bytes);
      chunks.push(chunk);
    }
    return await use(await this.#parse(chunks.splice(0), at));
  }

  /** What one request holds: nothing yet. */
  hold(): HeldBytes {
    return new HeldBytes(bytes => this.#add(bytes));
  }

  async #parse(chunks: readonly Buffer[], at: Path): Promise<ReadBody> {
    const bytes = chunks.length === 1 ? chunks[0]! : await this.#join(chunks);
    if (bytes.length <= ONE_STEP_BYTES) return { value: parseExactJson(decodeText(bytes), at), hints: undefined };
    return readInSteps(bytes, at, this.#turns);
  }

  /** As Buffer.concat, in steps: at once, 48 MB took 97 ms. */
  async #join(chunks: readonly Buffer[]): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of chunks) {
      at += chunk.copy(bytes, at);
      await this.#turns.breathe();
    }
    return bytes;
  }

  #add(bytes: number): void {
    if (bytes > 0 && this.#heldBytes + bytes > this.#limits.bodiesBytes) {
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

/** What one request holds of the bytes that all may hold together. */
export class HeldBytes implements Disposable {
  readonly #add: (bytes: number) => void;
  #bytes = 0;

  /** @param add counts so many more, or fewer; it refuses more by throwing */
  constructor(add: (bytes: number) => void) {
    this.#add = add;
  }

  /** Holds so many bytes from now on. @throws RequestError OVERLOADED; it holds what it held then */
  become(bytes: number): void {
    this.#add(bytes - this.#bytes);
    this.#bytes = bytes;
  }

  [Symbol.dispose](): void {
    this.become(0);
  }
}

/** Reads a long text as JSON, in steps. @throws EvertreeError VALUE_INVALID */
export async function readInSteps(bytes: Buffer, at: Path, turns: Turns): Promise<ReadBody & { readonly hints: PreparationHints }> {
  const keys: ObjectKeys = new Map();
  const value = await turns.run(parseSliced(bytes, at, keys));
  return { value, hints: { keysOf: object => keys.get(object) } };
}

/**
 * Refuses a body by the headers of its request where they tell enough; else asks a client that waits (`Expect:
 * 100-continue`) to send it.
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

/**
 * Reads and throws away what is left of a body, so that its sender gets to read the answer; cuts one that does not end.
 */
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
