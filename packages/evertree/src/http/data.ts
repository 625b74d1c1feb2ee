import { EvertreeError, formatPath, formatPosition, type Path, type Position } from '@evertree/core';
import type { ReadBody } from './body.ts';
import { type Exchange, momentHeaders } from './exchange.ts';
import { checkAcceptable, etagOf, matches, mediaType, noneMatches, readPreconditions, type Preconditions } from './headers.ts';
import { contentSlices, jsonSlices } from './json-slices.ts';
import { whenOf } from './parameters.ts';
import { RequestError } from './problem.ts';
import { sendSlices } from './streaming.ts';
import { targetPath } from './target.ts';
import { type Made, type RequestedChange, commit, readWish, settle } from './write.ts';

const JSON_TYPE = 'application/json';
const MERGE_PATCH = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
export const PATCH_TYPES = `${MERGE_PATCH}, ${JSON_PATCH}`;

/** The content type that `curl -d` sends by default. */
export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** GET and HEAD /data/<pointer> */
export async function readData(exchange: Exchange): Promise<void> {
  const { headers } = exchange.request;
  checkAcceptable(headers, JSON_TYPE);
  const path = targetPath(exchange.target, '/data', ['at']);
  const conditions = readPreconditions(headers);
  const at = exchange.target.parameters.get('at');
  if (at !== undefined) return exchange.context.questions.during(() => readPast(exchange, path, conditions, at));
  using reading = await exchange.context.stability.read();
  const { snapshot } = reading;
  const digest = snapshot.digestAt(path);
  exchange.response.setHeader('Evertree-Position', formatPosition(snapshot.position));
  checkReadConditions(conditions, path, digest, snapshot.position);
  if (digest === undefined) throw notFound(path);
  const answerHeaders = { ETag: etagOf(digest), 'Cache-Control': 'no-cache' };
  if (!noneMatches(conditions, digest)) {
    exchange.response.writeHead(304, answerHeaders).end();
    return;
  }
  await sendSlices(exchange, jsonSlices(snapshot, path), { ...answerHeaders, 'Content-Type': JSON_TYPE });
}

/** GET and HEAD /data/<pointer>?at=<moment>: what stood there then. */
async function readPast(exchange: Exchange, path: Path, conditions: Preconditions, at: string): Promise<void> {
  const { history, store } = exchange.context;
  const when = whenOf('at', at, store.clock.now());
  const { moment, digest, content } = await history.read(path, when);
  const { position, taken } = moment;
  exchange.response.setHeaders(new Map(Object.entries(momentHeaders(moment))));
  checkReadConditions(conditions, path, digest, position);
  if (digest === undefined) throw notFound(path, ` at ${formatPosition(position)}: ${taken}`);
  // What stood at a position stays; another commit may come to be the last one before a time, and a mark may move.
  const answerHeaders = { ETag: etagOf(digest), 'Cache-Control': 'epoch' in when ? PAST_CACHING : 'no-cache' };
  if (!noneMatches(conditions, digest)) {
    exchange.response.writeHead(304, answerHeaders).end();
    return;
  }
  await sendSlices(exchange, contentSlices(content), { ...answerHeaders, 'Content-Type': JSON_TYPE });
}

/** A client may keep it, but not for good: a history that was cut back has lost positions. */
const PAST_CACHING = 'private, max-age=3600, immutable';

/** PUT /data/<pointer> */
export async function putData(exchange: Exchange): Promise<void> {
  const type = mediaType(exchange.request.headers);
  if (type !== undefined && type !== JSON_TYPE && type !== FORM_TYPE && !type.endsWith('+json')) {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `the body is ${type}; PUT takes ${JSON_TYPE}`, {}, { Accept: JSON_TYPE });
  }
  await change(exchange, (path, make) =>
    exchange.readBody(path, async ({ value, hints }) => {
      if (hints === undefined) return make(transaction => transaction.put(path, value));
      return make({ steps: transaction => transaction.putSteps(path, value, hints) });
    }),
  );
}

/** DELETE /data/<pointer>; 404 when nothing is there. */
export async function deleteData(exchange: Exchange): Promise<void> {
  await change(exchange, (path, make) =>
    make(transaction => {
      if (!transaction.has(path)) throw notFound(path);
      transaction.delete(path);
    }),
  );
}

/** PATCH /data/<pointer> */
export async function patchData(exchange: Exchange): Promise<void> {
  const type = mediaType(exchange.request.headers);
  if (type !== MERGE_PATCH && type !== JSON_PATCH) {
    const found = type === undefined ? 'the request has no Content-Type' : `the body is ${type}`;
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `${found}; PATCH takes ${PATCH_TYPES}`, {}, { 'Accept-Patch': PATCH_TYPES });
  }
  const read = (path: Path, { value, hints }: ReadBody): RequestedChange => {
    if (type === MERGE_PATCH) {
      if (hints !== undefined) return { steps: transaction => transaction.mergeSteps(path, value, hints) };
      return transaction => transaction.merge(path, value);
    }
    if (!Array.isArray(value)) throw new EvertreeError('VALUE_INVALID', 'a JSON Patch (RFC 6902) is an array of operations');
    if (hints !== undefined) return { steps: transaction => transaction.patchSteps(path, value, hints) };
    return transaction => transaction.patch(path, value);
  };
  await change(exchange, (path, make) => exchange.readBody(path, async body => make(read(path, body))));
}

/** Reads all that a request says, commits, and answers. @param read calls `make` with what is to be changed */
async function change(
  exchange: Exchange,
  read: (path: Path, make: (change: RequestedChange) => Promise<Made>) => Promise<Made>,
): Promise<void> {
  const path = targetPath(exchange.target, '/data');
  const conditions = readPreconditions(exchange.request.headers);
  const wish = readWish(exchange);
  const made = await read(path, requested => commit(exchange, conditions, path, requested));
  const { body, headers } = await settle(exchange.context, made, wish);
  exchange.answer(200, body, headers);
}

function checkReadConditions(conditions: Preconditions, path: Path, digest: string | undefined, position: Position): void {
  const pointer = formatPath(path);
  if (!matches(conditions, digest)) {
    throw new EvertreeError('POSITION_MISMATCH', `If-Match does not hold for ${JSON.stringify(pointer)}`, {
      path: pointer,
      etag: digest === undefined ? null : etagOf(digest),
    });
  }
  const expected = conditions.position;
  if (expected === undefined || (expected.epoch === position.epoch && expected.revision === position.revision)) return;
  throw new EvertreeError('POSITION_MISMATCH', `the tree is at ${formatPosition(position)}, not at ${formatPosition(expected)}`, {
    expected,
    found: { epoch: position.epoch, revision: position.revision },
  });
}

function notFound(path: Path, then?: string): EvertreeError {
  const pointer = formatPath(path);
  const message = `nothing ${then === undefined ? 'is' : 'was'} at ${JSON.stringify(pointer)}${then ?? ''}`;
  return new EvertreeError('NOT_FOUND', message, { path: pointer });
}
