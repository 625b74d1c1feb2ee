import { formatPosition, parsePosition, type Path } from '@evertree/core';
import type { ChangesOptions } from '@evertree/history';
import { type Exchange, positionHeader } from './exchange.ts';
import { acceptsLines, checkAcceptable } from './headers.ts';
import { followHistory } from './history-follow.ts';
import { changeJson, type JsonText } from './history-json.ts';
import { assertWhole, sendList, textPieces } from './json-list.ts';
import { Parameters, present } from './parameters.ts';
import { RequestError } from './problem.ts';
import { decodeSegment } from './target.ts';

/** Changes of one page, unless the request says how many. */
const PAGE_CHANGES = 100;
const PAGE_LIMIT_CHANGES = 10_000;
/** A page ends when it has so many bytes, with at least one change. */
const PAGE_BYTES = 4 * 1024 * 1024;
const COMMA = Buffer.from(',');
/** The most that an answer of one change a line may be asked for. */
const LINES_LIMIT = 1_000_000_000;

const PARAMETERS = ['path', 'from', 'to', 'author', 'limit', 'values', 'follow'];

/** GET /history, GET /history/<position> */
export async function getHistory(exchange: Exchange): Promise<void> {
  const [position, ...rest] = exchange.target.path.slice('/history'.length).split('/').slice(1).map(decodeSegment);
  if (position === undefined) return answerChanges(exchange);
  if (rest.length === 0) return exchange.context.questions.during(() => answerChange(exchange, position));
  throw new RequestError('NOT_FOUND', 'there is /history and /history/<position>, such as /history/4-1201');
}

/** One commit, with the values before and after. */
async function answerChange(exchange: Exchange, text: string): Promise<void> {
  exchange.refuseParameters();
  checkAcceptable(exchange.request.headers, 'application/json');
  const position = parsePosition(text);
  if (position === undefined) {
    throw new RequestError('REQUEST_INVALID', `${JSON.stringify(text.slice(0, 100))} is no position; write one such as 4-1201`);
  }
  const change = await exchange.context.history.show(position);
  const pieces = await textPieces(exchange, changeJson(change));
  await exchange.answerPieces([...pieces, Buffer.from('\n')], positionHeader(present(exchange)));
}

/** The commits that concern a path: a page of them, all of them a line each, or with `follow` each as it comes. */
async function answerChanges(exchange: Exchange): Promise<void> {
  const parameters = new Parameters(exchange, PARAMETERS);
  const path = parameters.path();
  const options = {
    from: parameters.when('from'),
    author: parameters.text('author'),
    values: parameters.flag('values') ?? true,
  };
  if (parameters.flag('follow') === true) {
    for (const name of ['to', 'limit']) if (parameters.text(name) !== undefined) throw notWithFollow(name);
    if (exchange.headOnly) throw new RequestError('METHOD_NOT_ALLOWED', 'a history that is followed takes GET', {}, { Allow: 'GET' });
    return exchange.context.streams.during(() => followHistory(exchange, path, options));
  }
  await exchange.context.questions.during(() => answerList(exchange, parameters, path, options));
}

async function answerList(exchange: Exchange, parameters: Parameters, path: Path, options: ChangesOptions): Promise<void> {
  const lines = acceptsLines(exchange.request.headers);
  const limit = parameters.count('limit', lines ? LINES_LIMIT : PAGE_LIMIT_CHANGES);
  const now = present(exchange);
  const range = { ...options, to: parameters.when('to') ?? now };
  const headers = positionHeader(now);
  if (lines) return sendList(exchange, { head: {}, name: 'changes', headers }, changeTexts(exchange, path, { ...range, limit }));
  checkAcceptable(exchange.request.headers, 'application/json');
  await answerPage(exchange, path, range, { limit: limit ?? PAGE_CHANGES, headers });
}

async function* changeTexts({ context, ended }: Exchange, path: Path, options: ChangesOptions): AsyncGenerator<JsonText> {
  for await (const change of context.history.changes(path, { ...options, signal: ended })) yield changeJson(change);
}

/**
 * `next` is the position of the newest change that is not on this page: `to` takes it, as what is before a commit stays
 * when others come.
 */
async function answerPage(
  exchange: Exchange,
  path: Path,
  options: ChangesOptions,
  { limit, headers }: { readonly limit: number; readonly headers: Readonly<Record<string, string>> },
): Promise<void> {
  const { history } = exchange.context;
  const page: Buffer[] = [Buffer.from('{"changes":[')];
  let count = 0;
  let bytes = 0;
  let next: string | null = null;
  for await (const change of history.changes(path, { ...options, limit: limit + 1, signal: exchange.ended })) {
    const pieces = await textPieces(exchange, changeJson(change));
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (count === limit || (count > 0 && bytes + length > PAGE_BYTES)) {
      next = formatPosition(change.position);
      break;
    }
    if (count++ > 0) page.push(COMMA);
    page.push(...pieces);
    bytes += length;
  }
  assertWhole(exchange);
  // The oldest page says where to look further, if that is not all of the history.
  const elsewhere = next === null && options.from === undefined ? (await history.reach()).elsewhere : undefined;
  const tail = JSON.stringify({ next, elsewhere }).slice(1);
  await exchange.answerPieces([...page, Buffer.from(`],${tail}\n`)], headers);
}

function notWithFollow(name: string): RequestError {
  return new RequestError('REQUEST_INVALID', `${name} and follow exclude each other: what is followed has no end`);
}
