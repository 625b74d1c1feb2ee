import { type Socket, connect, isIP } from 'node:net';
import { type TLSSocket, connect as connectTls } from 'node:tls';
import { formatAddress } from '@evertree/core';
import { dialFailure } from '@evertree/transport/websocket';
import type { Connection, NettyConsumerConfiguration, NettyProducerConfiguration } from '../configuration/configuration.ts';
import { type Finding, failed, note } from './finding.ts';

const CONNECT_LIMIT_MS = 5_000;

/** Connects to each consumer, with TLS where the file says so, and says nothing there: no link comes about. */
export async function checkConsumers(configuration: NettyProducerConfiguration | NettyConsumerConfiguration): Promise<Finding[]> {
  if (configuration.kind === 'netty-consumer') {
    return [note('this consumer', `connects to nobody; its primary dials ${formatAddress(configuration.address, configuration.port)}`)];
  }
  return Promise.all(configuration.connections.map(checkConsumer));
}

async function checkConsumer(connection: Connection): Promise<Finding> {
  const { address, port } = connection;
  const remote = formatAddress(address, port);
  try {
    return note(`consumer ${remote}`, await tryConnect(connection));
  } catch (error) {
    return failed(`consumer ${remote}`, `is not reached: ${dialFailure(remote, error as Error).message}`);
  }
}

/** What was found, as it reads after the consumer's name. */
function tryConnect({ address: host, port, tls }: Connection): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timeout = AbortSignal.timeout(CONNECT_LIMIT_MS);
  let socket: Socket;
  if (tls === undefined || tls === 'off') {
    socket = connect({ host, port });
    socket.once('connect', () => resolve('answers, without TLS'));
  } else {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secure = connectTls({ host, port, ...name, ...(tls.authority === undefined ? {} : { ca: tls.authority }) });
    secure.once('secureConnect', () => resolve(`answers in TLS, with a certificate that is valid until ${validUntil(secure)}`));
    socket = secure;
  }
  socket.once('error', reject);
  const expire = () => reject(new Error(`no answer within ${CONNECT_LIMIT_MS} ms`));
  timeout.addEventListener('abort', expire, { once: true });
  return promise.finally(() => {
    timeout.removeEventListener('abort', expire);
    socket.destroy();
  });
}

function validUntil(socket: TLSSocket): string {
  return new Date(socket.getPeerCertificate().valid_to).toISOString().slice(0, 10);
}
