import type { IncomingMessage } from 'node:http';
import { type Bearer, type BearerTokens, isLoopback } from '@evertree/core';
import { RequestError } from './problem.ts';

/** Who may ask. */
export interface Access {
  /**
   * @returns who asks; undefined where everybody may do everything
   * @throws RequestError UNAUTHENTICATED, FORBIDDEN
   */
  check(request: IncomingMessage, authority: string | undefined): Bearer | undefined;
}

/**
 * RFC 9112, 3.2: two `Host` headers are an error. Node takes the first, and a proxy in front may have judged the other.
 * @throws RequestError REQUEST_INVALID
 */
export function checkHost({ rawHeaders }: IncomingMessage): void {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length === HOST.length && name.toLowerCase() === HOST && ++hosts > 1) {
      throw new RequestError('REQUEST_INVALID', 'the request has two Host headers; send one');
    }
  }
}

const HOST = 'host';

/** Whoever has a token. */
export function tokenAccess(tokens: BearerTokens): Access {
  return {
    check(request) {
      const verdict = tokens.judge(request.headers.authorization);
      if (typeof verdict === 'object') return verdict;
      const isMissing = verdict === 'missing';
      throw new RequestError(
        'UNAUTHENTICATED',
        isMissing ? 'this site asks for a token: send "Authorization: Bearer <token>"' : 'this is not the token of this site',
        {},
        { 'WWW-Authenticate': isMissing ? 'Bearer realm="evertree"' : 'Bearer realm="evertree", error="invalid_token"' },
      );
    },
  };
}

/**
 * Lets every program on this machine in, but no web page that a browser on it shows. A page of another site can make
 * its own name resolve to 127.0.0.1 (DNS rebinding: `Host` is foreign) or send forms here (`Origin` is foreign).
 * @param port the port that is listened on, in text
 */
export function loopbackAccess(port: () => string): Access {
  return {
    check(request, authority) {
      const host = authority ?? request.headers.host;
      if (host !== undefined && !isLoopbackName(hostname(host))) {
        throw new RequestError('FORBIDDEN', `the host ${quote(host)} is not this machine's loopback; ask for 127.0.0.1 or localhost`);
      }
      const origin = request.headers.origin;
      if (origin !== undefined && !isOwnOrigin(origin, host, port())) {
        throw new RequestError('FORBIDDEN', `pages of ${quote(origin)} may not ask this site`);
      }
      return undefined;
    },
  };
}

/** Browsers take names below `localhost` to loopback without asking anybody (RFC 6761). */
function isLoopbackName(name: string): boolean {
  const plain = name.toLowerCase().replace(/\.$/, '');
  return plain.endsWith('.localhost') || isLoopback(plain);
}

function isOwnOrigin(origin: string, host: string | undefined, port: string): boolean {
  const authority = /^https?:\/\/([^/?#@]+)$/i.exec(origin)?.[1];
  if (authority === undefined || !isLoopbackName(hostname(authority))) return false;
  // The second case is a tunnel or a proxy: it has another port.
  return authority.slice(hostname(authority).length) === `:${port}` || authority.toLowerCase() === host?.toLowerCase();
}

/** The host of `host:port`, an IPv6 address with its brackets. */
function hostname(authority: string): string {
  return authority.replace(/:\d*$/, '');
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
