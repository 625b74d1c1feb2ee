import { type Socket, connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Reporter } from '@evertree/core';
import { Kafka, logLevel } from 'kafkajs';
import type { ISocketFactoryArgs, KafkaConfig, LogEntry, SASLOptions } from 'kafkajs';
import { DEFAULT_LIMITS } from '../options.ts';
import type { KafkaConnection, KafkaCredentials } from '../options.ts';
import type { Connections } from '../client/patience.ts';
import { ABANDONED, AUTHENTICATE_LIMIT_MS, CONNECT_LIMIT_MS, DEFAULT_CLIENT_ID, RETRY, tlsOptions } from '../client/settings.ts';
import { Sockets } from '../client/sockets.ts';
import { mendEncoder } from './request-front.ts';
import { mendRequestQueue } from './request-queue.ts';

/**
 * A Kafka client, from which producers and admins are made. Abandon it where it is stuck, and where its connecting
 * failed: kafkajs takes a broker that did not answer its first request for connected from then on.
 */
export interface KafkaClient extends Kafka, Connections {}

/**
 * A client for these brokers. It connects nowhere yet, and its log goes to `report`, at `debug`.
 * @param answerMs what an answer of a broker may take, where the connection does not say (`request.timeout.ms`)
 */
export function createClient(connection: KafkaConnection, report: Reporter, answerMs: number = DEFAULT_LIMITS.answerMs): KafkaClient {
  const sockets = new Sockets();
  const options = clientOptions(connection, report, answerMs, sockets);
  const client = Object.assign(new Kafka(options), { abandon: () => sockets.abandon(), receivedBytes: 0 });
  return Object.defineProperty(client, 'receivedBytes', { get: () => sockets.receivedBytes });
}

/** What kafkajs is told. */
export function clientOptions(connection: KafkaConnection, report: Reporter, answerMs: number, sockets: Sockets) {
  mendEncoder();
  mendRequestQueue();
  const { tls, sasl } = connection;
  return {
    brokers: [...connection.brokers],
    clientId: connection.clientId ?? DEFAULT_CLIENT_ID,
    ...(tls === undefined ? {} : { ssl: { ...tlsOptions(tls), rejectUnauthorized: true } }),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
    connectionTimeout: CONNECT_LIMIT_MS,
    authenticationTimeout: AUTHENTICATE_LIMIT_MS,
    requestTimeout: connection.requestTimeoutMs ?? answerMs,
    enforceRequestTimeout: true,
    retry: {
      initialRetryTime: RETRY.firstPauseMs,
      maxRetryTime: RETRY.mostPauseMs,
      // So that each broker named is reached.
      retries: Math.max(RETRY.retries, connection.brokers.length - 1),
    },
    socketFactory: socket => connectSocket(sockets, socket),
    logLevel: logLevel.INFO,
    logCreator: () => entry => report(reportOf(entry)),
  } satisfies KafkaConfig;
}

function saslOptions(sasl: KafkaCredentials): SASLOptions {
  if (sasl.mechanism !== 'oauthbearer') return { ...sasl };
  return { mechanism: sasl.mechanism, oauthBearerProvider: async () => ({ value: await sasl.token() }) };
}

/** Makes a socket as kafkajs does. Small requests go out at once (no delay). */
function connectSocket(sockets: Sockets, { host, port, ssl, onConnect }: ISocketFactoryArgs): Socket {
  if (sockets.isAbandoned) throw new Error(ABANDONED);
  // kafkajs passes null where its types promise options.
  const tls = ssl as typeof ssl | null;
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = tls === null ? connect({ host, port }, onConnect) : connectTls({ host, port, ...servername, ...tls }, onConnect);
  socket.setNoDelay(true);
  sockets.add(socket);
  return socket;
}

/** Only what is known to be harmless: the rest of an entry may hold what the broker answered, or stacks. */
function reportOf({ namespace, log }: LogEntry): Parameters<Reporter>[0] {
  const details = Object.fromEntries(
    (['broker', 'error', 'topic', 'partition', 'groupId', 'memberId', 'retryCount'] as const)
      .filter(name => ['string', 'number'].includes(typeof log[name]))
      .map(name => [name, log[name] as unknown]),
  );
  return { level: 'debug', event: 'kafka-client', message: namespace ? `${namespace}: ${log.message}` : log.message, details };
}
