import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * What the bearer of a token may do:
 * - `read`: read the tree, its history, and what the site is.
 * - `write`: commit.
 * - `admin`: change roles, snapshots, leases, and what the site keeps.
 * - `replicate`: feed the site over the wire, as its primary does.
 */
export const RIGHTS = ['read', 'write', 'admin', 'replicate'] as const;
export type AccessRight = (typeof RIGHTS)[number];

/** A token that a site knows, with what it allows. */
export interface AccessToken {
  /** Who bears it; history calls the author of a commit by this name. */
  readonly name: string;
  readonly secret: string;
  readonly rights: readonly AccessRight[];
}

/** Who asks, as the token tells. */
export interface Bearer {
  /** Undefined for the one token of a site that has no names for its clients. */
  readonly name: string | undefined;
  readonly rights: readonly AccessRight[];
}

export interface BearerOptions {
  /** The one token that has all rights. */
  readonly token?: string | undefined;
  readonly tokens?: readonly AccessToken[] | undefined;
}

/**
 * Tells by the bearer token of an `Authorization` header (RFC 6750) who asks. Hashes are compared, all of them, so the
 * time that it takes tells neither a token's length nor its first wrong character, nor which one it is.
 */
export class BearerTokens {
  readonly #known: readonly { readonly hash: Buffer; readonly bearer: Bearer }[];

  constructor({ token, tokens = [] }: BearerOptions) {
    const named = tokens.map(({ name, secret, rights }) => ({ hash: sha256(secret), bearer: { name, rights } }));
    const one = token === undefined ? [] : [{ hash: sha256(token), bearer: { name: undefined, rights: RIGHTS } }];
    this.#known = [...one, ...named];
  }

  /** @returns `missing`: the header has no token. `other`: it has one that is not known here */
  judge(authorization: string | undefined): Bearer | 'missing' | 'other' {
    const given = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return 'missing';
    const hash = sha256(given);
    let found: Bearer | undefined;
    for (const each of this.#known) if (timingSafeEqual(hash, each.hash)) found = each.bearer;
    return found ?? 'other';
  }
}

/** The tokens of a site; undefined if it asks for none. */
export function bearerTokens(options: BearerOptions): BearerTokens | undefined {
  return options.token === undefined && options.tokens === undefined ? undefined : new BearerTokens(options);
}

/**
 * The same of a site that may get other tokens while it runs. `options` is asked at each call, so that a token counts
 * from the next question on that it is there.
 */
export function presentTokens(options: BearerOptions): () => BearerTokens | undefined {
  let { token, tokens } = options;
  let known = bearerTokens(options);
  return () => {
    if (options.token === token && options.tokens === tokens) return known;
    ({ token, tokens } = options);
    return (known = bearerTokens(options));
  };
}

/** What is wrong with a bearer who lacks a right. */
export function lacksRight({ name, rights }: Bearer, right: AccessRight): string {
  const has = rights.map(each => JSON.stringify(each)).join(', ');
  return `the token ${JSON.stringify(name ?? '')} lacks the right "${right}"; in "auth.tokens" it has ${has}`;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
