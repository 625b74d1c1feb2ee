import { EvertreeError } from '@evertree/core';
import type { Exchange } from './exchange.ts';
import { acceptsLines, checkAcceptable } from './headers.ts';
import type { JsonText } from './history-json.ts';

const JSON_TYPE = 'application/json';
const LINES_TYPE = 'application/x-ndjson';

/** Texts are gathered up to about so many characters before they are written. */
const WRITE_CHARACTERS = 32 * 1024;

/** What an answer with a long list says beside the list. */
export interface ListFrame {
  /** The members of the object before the list. */
  readonly head: Readonly<Record<string, unknown>>;
  /** The name of the list. */
  readonly name: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers with a list of any length: as an object whose last member is the list, or, for a client that accepts
 * application/x-ndjson, as one item a line. Items are asked for as fast as the client takes them, and the first one
 * before the answer begins, so that an error at the beginning has a status of its own.
 * @throws ClientGone; what the items throw: an answer that has begun is cut then
 */
export async function sendList(exchange: Exchange, frame: ListFrame, items: AsyncIterable<JsonText>): Promise<void> {
  const { head, name, headers = {} } = frame;
  const lines = acceptsLines(exchange.request.headers);
  if (!lines) checkAcceptable(exchange.request.headers, JSON_TYPE);
  const opening = lines ? '' : `${JSON.stringify(head).slice(0, -1)}${Object.keys(head).length === 0 ? '' : ','}${JSON.stringify(name)}:[`;
  const parts = { opening, separator: lines ? '\n' : ',', closing: lines ? '\n' : ']}\n', empty: lines ? '' : ']}\n' };
  await sendItems(exchange, parts, items, { 'Content-Type': lines ? LINES_TYPE : JSON_TYPE, ...headers });
}

/** What stands before, between and behind the items of an answer, and behind none of them. */
interface ListParts {
  readonly opening: string;
  readonly separator: string;
  readonly closing: string;
  readonly empty: string;
}

/** Sends items as they come, with bounded memory. Throws as `sendList`. */
export async function sendItems(
  exchange: Exchange,
  { opening, separator, closing, empty }: ListParts,
  items: AsyncIterable<JsonText>,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const { response, context } = exchange;
  let text = opening;
  let count = 0;
  for await (const item of items) {
    if (exchange.headOnly) break;
    if (count++ > 0) text += separator;
    for (const slice of item) {
      text += slice;
      if (text.length >= WRITE_CHARACTERS) {
        if (!response.headersSent) response.writeHead(200, { 'Cache-Control': 'no-store', ...headers });
        await exchange.write(text);
        text = '';
      }
      await context.turns.breathe();
    }
    await context.turns.breathe();
  }
  assertWhole(exchange);
  if (!response.headersSent) response.writeHead(200, { 'Cache-Control': 'no-store', ...headers });
  response.end(exchange.headOnly ? '' : text + (count === 0 ? empty : closing));
}

/**
 * A question ends early when the client goes away or the server closes. What it has told by then must not look whole.
 * @throws EvertreeError CLOSED
 */
export function assertWhole({ ended }: Exchange): void {
  if (ended.aborted) throw new EvertreeError('CLOSED', 'the site is closing');
}

/**
 * The bytes of an item, made in steps between which others get their turn. In pieces: to put a text of some MB together,
 * and to encode it, takes 40 ms.
 */
export async function textPieces({ context }: Exchange, item: JsonText): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  let text = '';
  for (const slice of item) {
    text += slice;
    if (text.length >= WRITE_CHARACTERS) {
      pieces.push(Buffer.from(text));
      text = '';
    }
    await context.turns.breathe();
  }
  pieces.push(Buffer.from(text));
  return pieces;
}
