import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { PROTOCOL_VERSIONS, lacksRight } from '@evertree/core';
import type { BearerTokens } from '@evertree/core';

/** PROTOCOL.md, «Opening»: `evertree.<version>`. */
const SUBPROTOCOL = /^evertree\.(\d{1,9})$/;

/** An answer that refuses an upgrade; the sentence is for people. */
export interface UpgradeRefusal {
  readonly status: '400 Bad Request' | '401 Unauthorized' | '403 Forbidden' | '404 Not Found' | '426 Upgrade Required';
  readonly sentence: string;
  readonly header?: string;
}

/** Our subprotocols, newest first, as a dialler offers them. */
export function offeredSubprotocols(): string[] {
  return PROTOCOL_VERSIONS.map(version => `evertree.${version}`).toReversed();
}

/** The highest version that is among the offered subprotocols and spoken here. */
export function chooseVersion(offered: Iterable<string>, spoken: readonly number[] = PROTOCOL_VERSIONS): number | undefined {
  const versions = Array.from(offered, name => Number(SUBPROTOCOL.exec(name)?.[1])).filter(version => spoken.includes(version));
  return versions.length > 0 ? Math.max(...versions) : undefined;
}

/**
 * Why an upgrade is refused, or undefined. Checked in PROTOCOL.md's order: a client without the token learns nothing
 * else.
 */
export function refuseUpgrade(request: IncomingMessage, tokens: BearerTokens | undefined): UpgradeRefusal | undefined {
  if (request.headers.origin !== undefined) {
    return { status: '403 Forbidden', sentence: 'pages of a browser may not connect here' };
  }
  if (request.url !== '/') return { status: '404 Not Found', sentence: 'there is only /' };
  const bearer = tokens?.judge(request.headers.authorization);
  if (typeof bearer === 'string') {
    const sentence = 'the token is missing or another one than here: both sites need the same one in auth.token-file';
    return { status: '401 Unauthorized', sentence, header: 'WWW-Authenticate: Bearer' };
  }
  if (bearer?.rights.includes('replicate') === false) return { status: '403 Forbidden', sentence: lacksRight(bearer, 'replicate') };
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim());
  if (chooseVersion(offered) === undefined) {
    return { status: '400 Bad Request', sentence: `no protocol version in common: here ${offeredSubprotocols().join(', ')}` };
  }
  return undefined;
}

/** Answers with the refusal and closes the connection. */
export function answerRefusal(socket: Duplex, refusal: UpgradeRefusal): void {
  const body = `${refusal.sentence}\n`;
  const lines = [
    `HTTP/1.1 ${refusal.status}`,
    ...(refusal.header === undefined ? [] : [refusal.header]),
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ];
  socket.on('error', () => socket.destroy());
  socket.end(lines.join('\r\n'), () => socket.destroy());
}
