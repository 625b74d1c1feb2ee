import type { CommitOptions } from '@evertree/core';
import type { Exchange } from './exchange.ts';
import { RequestError } from './problem.ts';

/** Who makes a commit, and why, for its history. */
export type CommitNote = Pick<CommitOptions, 'author' | 'message'>;

const NO_NOTE: CommitNote = Object.freeze({});

/**
 * The author and the message of what a request commits: what its body states, else `Evertree-Author` and
 * `Evertree-Message`. Those are percent-encoded UTF-8, as a header carries ASCII only. An empty one is as none. How long
 * they may be is the store's to judge. Where the site asks for a token, the author is the token's name, whatever the
 * request says: so history can be trusted.
 * @param stated in the body
 * @throws RequestError REQUEST_INVALID for what is not percent-encoded UTF-8
 */
export function commitNote({ request: { headers }, bearer }: Exchange, stated: CommitNote = NO_NOTE): CommitNote {
  const author = bearer === undefined ? (stated.author ?? decodeNote('Evertree-Author', headers['evertree-author'])) : bearer.name;
  const message = stated.message ?? decodeNote('Evertree-Message', headers['evertree-message']);
  if (author === undefined && message === undefined) return NO_NOTE;
  return { ...(author === undefined ? {} : { author }), ...(message === undefined ? {} : { message }) };
}

function decodeNote(name: string, header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined || header === '') return undefined;
  const text = String(header);
  // oxlint-disable-next-line no-control-regex -- what a header may not carry as it is
  if (/[^\u0000-\u007f]/.test(text)) throw notEncoded(name, 'has characters beyond ASCII');
  try {
    return decodeURIComponent(text);
  } catch {
    throw notEncoded(name, `is ${JSON.stringify(text.slice(0, 100))}, which is not percent-encoded UTF-8`);
  }
}

function notEncoded(name: string, found: string): RequestError {
  return new RequestError(
    'REQUEST_INVALID',
    `${name} ${found}; encode it as encodeURIComponent does: "%" itself is "%25", "ü" is "%C3%BC"`,
  );
}
