/** The primary finds a secondary that comes back within 30 of these. */
const RETRY_MS = 10;
const HOST = '127.0.0.1';
/** What a writer as fast as acknowledgements let it may have made that is not acknowledged. */
export const UNSETTLED_COMMITS = 65_536;
/**
 * A topic holds more of it: between a commit and its acknowledgement are two requests to the broker each way. What is
 * written by hand awaits the broker alone.
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
 * As the sample files have it, but idempotent, and without their `linger.ms` of 1, which is a millisecond of
 * everybody's lag.
 */
export function kafkaWire(brokerPort: number, topic: string): Wire {
  const secondary = { 'kafka-connection': { 'kafka-host': HOST, 'kafka-port': brokerPort }, 'kafka-messaging': { topic } };
  const primary = { ...secondary, 'kafka-producer-properties': { 'enable.idempotence': true, 'linger.ms': 0 } };
  return { primary, secondary, window: UNSETTLED_COMMITS_KAFKA };
}
