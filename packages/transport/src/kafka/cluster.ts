import type { Reporter } from '@evertree/core';
import Cluster from 'kafkajs/src/cluster/index.js';
import loggers from 'kafkajs/src/loggers/index.js';
import { clientOptions, Sockets } from './client.ts';
import type { KafkaConnection } from './options.ts';

/*
 * kafkajs reads through consumer groups only. A site reads one partition whole and by itself, from where its own journal says: a group
 * gives it nothing, and costs a join at every start (3 s where a broker has its default `group.initial.rebalance.delay.ms`), the wait for a dead
 * predecessor's session, resets of offsets without a word, and a watch on consumers that stop. So what lies below kafkajs's consumer is
 * used as it is: its Cluster and Broker, which speak the protocol.
 */

/** How old what is known of a cluster's leaders may get. An error makes it be asked anew at once. */
const METADATA_AGE_MS = 300_000;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;

export interface ClusterOptions {
  readonly connection: KafkaConnection;
  readonly report: Reporter;
  /** What an answer may take. */
  readonly answerMs: number;
  /** Also what transactions have not committed. */
  readonly readUncommitted?: boolean | undefined;
}

/** Connections to a cluster's brokers, of one user: a broker answers the requests of a connection one after the other. */
export interface OwnCluster {
  readonly cluster: Cluster;
  readonly isolationLevel: number;
  /** What came from the brokers so far. */
  readonly receivedBytes: number;
  /** Cuts the connections: whatever waits for an answer fails now. */
  abandon(): void;
}

export function createCluster({ connection, report, answerMs, readUncommitted }: ClusterOptions): OwnCluster {
  const sockets = new Sockets();
  const { logLevel, logCreator, ...options } = clientOptions(connection, report, answerMs, sockets);
  const isolationLevel = readUncommitted === true ? READ_UNCOMMITTED : READ_COMMITTED;
  const cluster = new Cluster({
    ...options,
    logger: loggers.createLogger({ level: logLevel, logCreator }),
    metadataMaxAge: METADATA_AGE_MS,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel,
  });
  return {
    cluster,
    isolationLevel,
    get receivedBytes() {
      return sockets.receivedBytes;
    },
    abandon: () => sockets.abandon(),
  };
}
