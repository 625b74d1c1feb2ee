import type { KafkaClientName } from '@evertree/transport/kafka';

/** The primary finds a secondary that comes back within 7 of these; one that is cut off, within 36. */
const RETRY_MS = 10;
const HOST = '127.0.0.1';
/** The most commits that may be unacknowledged when the writer is only limited by acknowledgements. */
export const UNSETTLED_COMMITS = 65_536;
/**
 * A topic needs a larger window: between a commit and its acknowledgement are two requests to the broker each way. The
 * client written by hand waits only for the broker.
 */
const UNSETTLED_COMMITS_KAFKA = 262_144;

/** How a primary and its secondaries are connected, as their configuration files would say it. */
export interface Wire {
  readonly primary: Readonly<Record<string, unknown>>;
  readonly secondary: Readonly<Record<string, unknown>>;
  /** Commits that may be unsettled. */
  readonly window: number;
}

export function webSocketWire(port: number): Wire {
  const connection = { 'consumer-address': HOST, 'consumer-port': port, 'connection-retry-interval-ms': RETRY_MS };
  const secondary = { 'netty-consumer': { 'listening-port': port } };
  return { primary: { 'netty-connection': connection }, secondary, window: UNSETTLED_COMMITS };
}

/**
 * The settings of the sample files, but idempotent, and without their `linger.ms` of 1, which adds a millisecond to
 * every lag.
 */
export function kafkaWire(brokerPort: number, topic: string, client: KafkaClientName): Wire {
  const secondary = {
    'kafka-client': client,
    'kafka-connection': { 'kafka-host': HOST, 'kafka-port': brokerPort },
    'kafka-messaging': { topic },
  };
  const primary = { ...secondary, 'kafka-producer-properties': { 'enable.idempotence': true, 'linger.ms': 0 } };
  return { primary, secondary, window: UNSETTLED_COMMITS_KAFKA };
}
