/** The primary finds a secondary that comes back within 30 of these. */
const RETRY_MS = 10;
const HOST = '127.0.0.1';

/** How a primary and its secondaries are connected, as their configuration files would say it. */
export interface Wire {
  readonly primary: Readonly<Record<string, unknown>>;
  readonly secondary: Readonly<Record<string, unknown>>;
}

export function webSocketWire(port: number): Wire {
  const connection = { 'consumer-address': HOST, 'consumer-port': port, 'connection-retry-interval-ms': RETRY_MS };
  return { primary: { 'netty-connection': connection }, secondary: { 'netty-consumer': { 'listening-port': port } } };
}

/** As the sample files have it, but idempotent, and without their `linger.ms` of 1, which is a millisecond of everybody's lag. */
export function kafkaWire(brokerPort: number, topic: string): Wire {
  const secondary = { 'kafka-connection': { 'kafka-host': HOST, 'kafka-port': brokerPort }, 'kafka-messaging': { topic } };
  return { primary: { ...secondary, 'kafka-producer-properties': { 'enable.idempotence': true, 'linger.ms': 0 } }, secondary };
}
