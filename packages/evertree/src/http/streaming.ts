import type { Exchange } from './exchange.ts';

/** An answer up to this size is sent in one piece, with its length. */
const SMALL_CHARACTERS = 64 * 1024;

/**
 * Sends a body made of slices: in one piece when it is small, else slice by slice, as fast as the client takes them. A
 * pinned snapshot behind the slices is held for `limits.pinnedMs` at the longest.
 * @throws ClientGone
 */
export async function sendSlices(exchange: Exchange, slices: Iterator<string>, headers: Readonly<Record<string, string>>): Promise<void> {
  const { response } = exchange;
  if (exchange.headOnly) {
    response.writeHead(200, headers).end();
    return;
  }
  let text = '';
  let slice = slices.next();
  for (; slice.done !== true && text.length < SMALL_CHARACTERS; slice = slices.next()) {
    text += slice.value;
    await exchange.context.turns.breathe();
  }
  if (slice.done === true) {
    const body = Buffer.from(text);
    response.writeHead(200, { ...headers, 'Content-Length': body.length }).end(body);
    return;
  }
  response.writeHead(200, headers);
  await exchange.write(text + slice.value);
  await writeSlices(exchange, slices);
  response.end();
}

/** Writes slices as the client takes them. @throws ClientGone */
export async function writeSlices(exchange: Exchange, slices: Iterator<string>): Promise<void> {
  const { response } = exchange;
  const expired = setTimeout(() => response.destroy(), exchange.context.limits.pinnedMs);
  try {
    for (let slice = slices.next(); slice.done !== true; slice = slices.next()) {
      if (slice.value !== '') await exchange.write(slice.value);
      await exchange.context.turns.breathe();
    }
  } finally {
    clearTimeout(expired);
  }
}
