import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { type EvertreeError, formatAddress, isEvertreeError } from '@evertree/core';
import { dialTransport } from '@evertree/transport/websocket';
import type { Connection, NettyConsumerConfiguration, NettyProducerConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import { nodeClock, nodeRandom } from '../site/machine.ts';
import { type Finding, failed, note, refused } from './finding.ts';

/** Node's codes for a far end that is away: the file may be right. */
const AWAY: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  // The name of the error for a handshake that took too long.
  'Error',
]);

/** The time that a consumer has to close a connection that was ended. */
const CLOSE_LIMIT_MS = 1_000;

/**
 * Shakes hands with each consumer as a primary does, TLS and token included, and closes the connection without a hello.
 * @param timeoutMs what one handshake may take
 */
export async function checkConsumers(
  configuration: NettyProducerConfiguration | NettyConsumerConfiguration,
  timeoutMs: number,
): Promise<Finding[]> {
  if (configuration.kind === 'netty-consumer') {
    return [note('this consumer', `connects to nobody; its primary dials ${formatAddress(configuration.address, configuration.port)}`)];
  }
  return Promise.all(configuration.connections.map(connection => checkConsumer(connection, timeoutMs)));
}

async function checkConsumer(connection: Connection, timeoutMs: number): Promise<Finding> {
  const { address, port, tls } = connection;
  const subject = `consumer ${formatAddress(address, port)}`;
  try {
    await shakeHands(connection, timeoutMs);
    if (tls === undefined || tls === 'off') return note(subject, 'answers, without TLS');
    return note(subject, `answers in TLS, with a certificate that is valid until ${await validUntil(connection, tls.authority)}`);
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    return findingOf(subject, error);
  }
}

function findingOf(subject: string, error: EvertreeError): Finding {
  if (error.code === 'UNREACHABLE' && AWAY.has(error.details['reason'])) return failed(subject, `is not reached: ${error.message}`);
  return refused(subject, `does not take this primary: ${error.message}`);
}

/** @throws EvertreeError why the first attempt failed */
async function shakeHands({ address, port, token, tls }: Connection, timeoutMs: number): Promise<void> {
  const transport = dialTransport({
    clock: nodeClock,
    random: nodeRandom,
    report: () => undefined,
    token,
    remotes: [{ address, port }],
    retryIntervalMs: timeoutMs,
    tls: tls === 'off' || tls === undefined ? undefined : { authority: tls.authority },
    limits: { handshakeTimeoutMs: timeoutMs },
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  try {
    await transport.open({ link: () => resolve(), failed: (_remote, error) => reject(error) });
    await promise;
  } finally {
    await transport.close();
  }
}

/** The last day on which the certificate is valid; a handshake with this port has succeeded before. */
async function validUntil({ address: host, port }: Connection, authority: string | undefined): Promise<string> {
  const socket = connect({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...optional('ca', authority) });
  try {
    await once(socket, 'secureConnect');
    const { valid_to: end } = socket.getPeerCertificate();
    // The client's side of the handshake is done before the server's. A server whose handshake is cut off logs that it
    // refused the connection, so it gets the time to finish its own, and closes first.
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(CLOSE_LIMIT_MS) });
    socket.resume().end();
    await closed.catch(() => undefined);
    return new Date(end).toISOString().slice(0, 10);
  } finally {
    socket.destroy();
  }
}
