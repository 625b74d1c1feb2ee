import { createHash, timingSafeEqual } from 'node:crypto';

/** `held`: the header has the token. `missing`: it has none. `other`: it has another one. */
export type BearerVerdict = 'held' | 'missing' | 'other';

/**
 * Compares the bearer token of an `Authorization` header (RFC 6750) with the one that is expected. Hashes are compared,
 * so the time that it takes tells neither the token's length nor its first wrong character.
 */
export function checkBearer(authorization: string | undefined, token: string): BearerVerdict {
  const given = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) return 'missing';
  return timingSafeEqual(sha256(given), sha256(token)) ? 'held' : 'other';
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
