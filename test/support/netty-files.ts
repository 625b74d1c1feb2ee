import type { ConsumerFile, ProducerFile } from 'evertree';

/** The file of a primary whose secondary listens on that port of this machine. */
export function toPort(port: number): ProducerFile {
  return { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 } };
}

/** The file of a secondary that listens on that port. */
export function onPort(port: number): ConsumerFile {
  return { 'netty-consumer': { 'listening-port': port } };
}
