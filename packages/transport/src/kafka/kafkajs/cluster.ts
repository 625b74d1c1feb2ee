import Cluster from 'kafkajs/src/cluster/index.js';
import loggers from 'kafkajs/src/loggers/index.js';
import type { BrokerOptions } from '../broker.ts';
import { clientPatience } from '../client/calls.ts';
import type { Connections } from '../client/patience.ts';
import { Sockets } from '../client/sockets.ts';
import { clientOptions } from './client.ts';

/*
 * kafkajs reads through consumer groups only. A site reads one partition whole and by itself, from where its own
 * journal says: a group gives it nothing, and costs a join at every start (3 s where a broker has its default
 * `group.initial.rebalance.delay.ms`), the wait for a dead predecessor's session, resets of offsets without a word, and
 * a watch on consumers that stop. So what lies below kafkajs's consumer is used as it is: its Cluster and Broker, which
 * speak the protocol.
 */

/** How old the metadata of leaders may get. After an error it is asked for at once. */
const METADATA_AGE_MS = 300_000;

/**
 * Connections to a cluster's brokers, of one user: a broker answers the requests of a connection one after the other.
 */
export class OwnCluster implements Connections {
  readonly cluster: Cluster;
  readonly #sockets = new Sockets();

  constructor(options: BrokerOptions, isolationLevel: number) {
    const { connection, answerMs } = clientPatience(options);
    const { logLevel, logCreator, ...client } = clientOptions(connection, options.report, answerMs, this.#sockets);
    this.cluster = new Cluster({
      ...client,
      logger: loggers.createLogger({ level: logLevel, logCreator }),
      metadataMaxAge: METADATA_AGE_MS,
      allowAutoTopicCreation: false,
      maxInFlightRequests: null,
      isolationLevel,
    });
  }

  get receivedBytes(): number {
    return this.#sockets.receivedBytes;
  }

  abandon(): void {
    this.#sockets.abandon();
  }

  /** Cuts the sockets; kafkajs only forgets them then. */
  async close(): Promise<void> {
    this.abandon();
    await this.cluster.disconnect().catch(() => undefined);
  }
}
