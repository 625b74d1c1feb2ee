import type { IncomingHttpHeaders } from 'node:http';
import { EvertreeError, formatPosition, parsePosition, type Position } from '@evertree/core';
import type { OnTimeout } from '../configuration/configuration.ts';
import { RequestError } from './problem.ts';

export function etagOf(digest: string): string {
  return `"${digest}"`;
}

/** What a request demands of the subtree it is about, and of the whole tree, before it does anything. */
export interface Preconditions {
  /** `'*'`: there must be something. */
  readonly match: readonly string[] | '*' | undefined;
  /** `'*'`: there must be nothing. */
  readonly noneMatch: readonly string[] | '*' | undefined;
  readonly position: Position | undefined;
  /** An epoch that the client has met: a site that does not know it has lost its role, and must not commit. */
  readonly seenEpoch: number | undefined;
}

/** @throws RequestError REQUEST_INVALID for what is not an ETag or a position */
export function readPreconditions(headers: IncomingHttpHeaders): Preconditions {
  return {
    match: readTags('If-Match', headers['if-match']),
    noneMatch: readTags('If-None-Match', headers['if-none-match']),
    position: readPosition(headers['evertree-if-position']),
    seenEpoch: readEpoch(headers['evertree-seen-epoch']),
  };
}

/**
 * What a request demands that has no subtree of its own.
 * @param what it is, in words
 * @throws RequestError REQUEST_INVALID, also for an ETag
 */
export function readTreeConditions(headers: IncomingHttpHeaders, what: string): Pick<Preconditions, 'position' | 'seenEpoch'> {
  const { match, noneMatch, position, seenEpoch } = readPreconditions(headers);
  if (match === undefined && noneMatch === undefined) return { position, seenEpoch };
  throw new RequestError('REQUEST_INVALID', `ETags are about one subtree, and ${what} has none of its own; use Evertree-If-Position`);
}

/**
 * Whether `If-Match` and `If-None-Match` hold. `digest`: of the subtree, undefined when there is none. A weak ETag
 * never equals one of ours where the comparison has to be strong (RFC 9110, 8.8.3.2).
 */
export function matches(conditions: Preconditions, digest: string | undefined): boolean {
  const { match } = conditions;
  return match === undefined || (digest !== undefined && (match === '*' || match.includes(etagOf(digest))));
}

export function noneMatches(conditions: Preconditions, digest: string | undefined): boolean {
  const { noneMatch } = conditions;
  if (noneMatch === undefined || digest === undefined) return true;
  return noneMatch !== '*' && !noneMatch.some(tag => tag.replace(/^W\//, '') === etagOf(digest));
}

/** @throws EvertreeError POSITION_MISMATCH, when a write must not go on */
export function checkForWrite(conditions: Preconditions, path: string, digest: string | undefined): void {
  if (matches(conditions, digest) && noneMatches(conditions, digest)) return;
  const header = matches(conditions, digest) ? 'If-None-Match' : 'If-Match';
  const found = digest === undefined ? 'nothing is there' : `it is ${etagOf(digest)}`;
  throw new EvertreeError('POSITION_MISMATCH', `${header} does not hold for ${JSON.stringify(path)}: ${found}; read it again`, {
    path,
    etag: digest === undefined ? null : etagOf(digest),
  });
}

function readTags(name: string, header: string | undefined): readonly string[] | '*' | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (text === '*') return '*';
  const tags = text.split(',').map(tag => tag.trim());
  if (tags.every(tag => /^(W\/)?"[^"]*"$/.test(tag))) return tags;
  throw new RequestError('REQUEST_INVALID', `${name} is ${JSON.stringify(text.slice(0, 100))}, which is not a list of quoted ETags`);
}

function readPosition(header: string | string[] | undefined): Position | undefined {
  if (header === undefined) return undefined;
  const position = typeof header === 'string' ? parsePosition(header.trim()) : undefined;
  if (position !== undefined) return position;
  throw new RequestError(
    'REQUEST_INVALID',
    `Evertree-If-Position is ${JSON.stringify(header)}; write it like ${formatPosition({ epoch: 4, revision: 1201 })}`,
  );
}

function readEpoch(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && /^\d{1,15}$/.test(header.trim())) return Number(header);
  throw new RequestError('REQUEST_INVALID', `Evertree-Seen-Epoch is ${JSON.stringify(header)}; write an epoch's number, such as 4`);
}

/** @throws EvertreeError FENCED when the client has seen a higher epoch than this site has */
export function checkSeenEpoch({ seenEpoch }: Pick<Preconditions, 'seenEpoch'>, { epoch, revision }: Position): void {
  if (seenEpoch === undefined || seenEpoch <= epoch) return;
  const message = `this site is in epoch ${epoch}, and you have met epoch ${seenEpoch}: another site has become the primary since; write there`;
  throw new EvertreeError('FENCED', message, { position: { epoch, revision }, seenEpoch });
}

/** How many secondaries a write waits for, how long, and what becomes of it when they are too few. */
export interface AcknowledgementWish {
  readonly secondaries: number;
  readonly timeoutMs: number;
  readonly onTimeout: OnTimeout;
}

/** What a request says itself of the secondaries it waits for. */
export interface StatedWish {
  readonly secondaries: number | undefined;
  readonly timeoutMs: number | undefined;
}

/**
 * Reads `Evertree-Acknowledge: <n>` and `Prefer: wait=<seconds>`.
 * @throws RequestError REQUEST_INVALID
 */
export function readStatedWish(headers: IncomingHttpHeaders): StatedWish {
  const asked = headers['evertree-acknowledge'];
  if (asked !== undefined && (typeof asked !== 'string' || !/^\d{1,4}$/.test(asked.trim()))) {
    throw new RequestError('REQUEST_INVALID', `Evertree-Acknowledge is ${JSON.stringify(asked)}; write a number of secondaries, such as 1`);
  }
  const prefer = headers['prefer'];
  const wait = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?(?:$|[,;\s])/i.exec(Array.isArray(prefer) ? prefer.join(', ') : (prefer ?? ''))?.[1];
  return {
    secondaries: asked === undefined ? undefined : Number(asked),
    timeoutMs: wait === undefined ? undefined : Number(wait) * 1000,
  };
}

/** RFC 9110, 10.1.1. @throws RequestError 417 for what a client expects beyond `100-continue` */
export function checkExpectation({ expect }: IncomingHttpHeaders): void {
  if (expect === undefined || expect.toLowerCase() === '100-continue') return;
  const message = `Expect is ${JSON.stringify(expect.slice(0, 40))}; a site knows 100-continue only`;
  throw new RequestError('REQUEST_INVALID', message, {}, {}, 417);
}

/** The media type of a body in lower case, without its parameters; undefined where the header is missing. */
export function mediaType(headers: IncomingHttpHeaders): string | undefined {
  const type = headers['content-type'];
  if (type === undefined) return undefined;
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1]?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `the body's charset is ${charset}; JSON is UTF-8`);
  }
  return type.split(';', 1)[0]?.trim().toLowerCase();
}

/** @throws RequestError NOT_ACCEPTABLE when the client would not take `type` */
export function checkAcceptable(headers: IncomingHttpHeaders, type: string): void {
  const accept = headers.accept;
  if (accept === undefined || accept.trim() === '') return;
  const [group] = type.split('/');
  let best: { quality: number; precision: number } = { quality: 0, precision: -1 };
  for (const range of accept.toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map(part => part.trim());
    const precision = name === type ? 2 : name === `${group}/*` ? 1 : name === '*/*' ? 0 : -1;
    const quality = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1);
    if (precision > best.precision) best = { quality, precision };
  }
  if (best.quality > 0) return;
  throw new RequestError('NOT_ACCEPTABLE', `the answer would be ${type}, which "Accept: ${accept.slice(0, 100)}" does not take`);
}

/** Whether the client names newline-delimited JSON among what it accepts: then a long answer has an item a line. */
export function acceptsLines({ accept = '' }: IncomingHttpHeaders): boolean {
  return accept.split(',').some(range => {
    const [name, ...parameters] = range
      .toLowerCase()
      .split(';')
      .map(part => part.trim());
    const isLines = name === 'application/x-ndjson' || name === 'application/ndjson' || name === 'application/jsonl';
    return isLines && !parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter));
  });
}
