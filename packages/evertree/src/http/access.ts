import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { RequestError } from './problem.ts';

/** Who may ask. */
export interface Access {
  /** @throws RequestError UNAUTHENTICATED, FORBIDDEN */
  check(request: IncomingMessage, authority: string | undefined): void;
}

/** Whoever knows the token. */
export function tokenAccess(token: string): Access {
  const expected = hash(token);
  return {
    check(request) {
      const given = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
      // Hashes have one length, which is what timingSafeEqual asks for, and comparing them tells nothing of the token's.
      if (given !== undefined && timingSafeEqual(hash(given), expected)) return;
      throw new RequestError(
        'UNAUTHENTICATED',
        given === undefined ? 'this site asks for a token: send "Authorization: Bearer <token>"' : 'this is not the token of this site',
        {},
        { 'WWW-Authenticate': given === undefined ? 'Bearer realm="evertree"' : 'Bearer realm="evertree", error="invalid_token"' },
      );
    },
  };
}

/**
 * Whoever is on this machine; but not the pages that a browser on this machine shows. A page of another site can have its own name
 * resolve to 127.0.0.1 (DNS rebinding: `Host` is foreign) or send forms here (`Origin` is foreign).
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
    },
  };
}

function isLoopbackName(name: string): boolean {
  const plain = name.toLowerCase().replace(/\.$/, '');
  return plain === 'localhost' || plain.endsWith('.localhost') || plain === '::1' || plain === '[::1]' || /^127(\.\d{1,3}){3}$/.test(plain);
}

function isOwnOrigin(origin: string, host: string | undefined, port: string): boolean {
  const authority = /^https?:\/\/([^/?#@]+)$/i.exec(origin)?.[1];
  if (authority === undefined || !isLoopbackName(hostname(authority))) return false;
  // The second: a tunnel or a proxy, whose port is not ours.
  return authority.slice(hostname(authority).length) === `:${port}` || authority.toLowerCase() === host?.toLowerCase();
}

/** The host of `host:port`, an IPv6 address with its brackets. */
function hostname(authority: string): string {
  return authority.replace(/:\d*$/, '');
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
