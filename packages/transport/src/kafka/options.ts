import type { Clock, Random, Reporter } from '@evertree/core';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** Bounds of one end of the wire, units last in the names. */
export interface KafkaLimits {
  /**
   * How often each end tells in the control topic that it lives; three of these without a sign, and it counts as gone.
   */
  readonly heartbeatMs: number;
  /** What an answer of the broker may take before the client counts as stuck and a new one is made. */
  readonly answerMs: number;
  /** The wait after a first failure; it grows to `retryMostMs`. */
  readonly retryMs: number;
  readonly retryMostMs: number;
  /** Bytes that wait for the broker at which `writable` turns false; it turns true again at half of it. */
  readonly writableBytes: number;
  /** Bytes that wait for the broker at which another send closes the link. One message may exceed it. */
  readonly bufferedBytes: number;
  /** Pause between two looks at what the topics' retention has left. */
  readonly watermarksMs: number;
  /** Least pause between two acknowledgements of a secondary. */
  readonly acknowledgeMs: number;
  /** Bytes in the topic after the newest snapshot at which another one is due, for the sake of new secondaries. */
  readonly snapshotBytes: number;
}

export const DEFAULT_LIMITS: KafkaLimits = Object.freeze({
  heartbeatMs: 2_000,
  answerMs: 6_000,
  retryMs: 100,
  retryMostMs: 1_000,
  writableBytes: 4 * MEBIBYTE,
  bufferedBytes: 64 * MEBIBYTE,
  watermarksMs: 5_000,
  acknowledgeMs: 20,
  snapshotBytes: 1024 * MEBIBYTE,
});

/** How a client gets to the brokers, and as whom. Everything secret is in here, and none of it is ever logged. */
export interface KafkaConnection {
  /** `host:port`, one or several of the cluster's. */
  readonly brokers: readonly string[];
  /** `client.id`; default `evertree`. */
  readonly clientId?: string | undefined;
  readonly tls?:
    | {
        /** PEM certificates that the brokers' have to descend from; without it, those that Node trusts. */
        readonly authority?: string | undefined;
        /** PEM certificate and key of this client, where the brokers ask for one. */
        readonly certificate?: string | undefined;
        readonly key?: string | undefined;
        readonly passphrase?: string | undefined;
        /** Whether a certificate has to bear the broker's name: `ssl.endpoint.identification.algorithm` "https". */
        readonly checkName: boolean;
      }
    | undefined;
  readonly sasl?: KafkaCredentials | undefined;
  /** `request.timeout.ms`, where it is given. */
  readonly requestTimeoutMs?: number | undefined;
}

export type KafkaCredentials =
  | { readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: string }
  /** `token` is asked for whenever the client connects. */
  | { readonly mechanism: 'oauthbearer'; readonly token: () => Promise<string> };

/** What both ends need. */
export interface KafkaWireOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  /**
   * Read for each new client, so a site may change its credentials while it runs. A client keeps those that it was made
   * with, for all its connections; brokers and name stay what they were when the transport was made.
   */
  readonly connection: KafkaConnection;
  /** Frames go here; snapshots to `<topic>.snapshot`, everything else to `<topic>.control`. */
  readonly topic: string;
  /** This site's name. */
  readonly site: string;
  readonly limits?: Partial<KafkaLimits> | undefined;
}

/** A primary's end. */
export interface PublishOptions extends KafkaWireOptions {
  readonly partition: number;
  /** The messages' key. */
  readonly key: string;
  /** `enable.idempotence`; default true. False with `retries: 0`, as in Java. */
  readonly idempotent?: boolean | undefined;
  /** `retries` of one send by the client itself; what fails in the end is sent again from the journal. Default 5. */
  readonly retries?: number | undefined;
  /** `compression.type`; default none. */
  readonly compression?: 'none' | 'gzip' | 'zstd' | undefined;
  /** `linger.ms`: how long a message waits for others to go with it; default 0. */
  readonly lingerMs?: number | undefined;
  /** `batch.size`: bytes at which a batch is sent, and which it passes only with a single message; default 512 KiB. */
  readonly batchBytes?: number | undefined;
  /** `max.request.size`: the largest batch, whatever the topic allows; default 1 MiB. */
  readonly requestBytes?: number | undefined;
  /** `delivery.timeout.ms`: what a batch may take in all, if it is less than `limits.answerMs`. */
  readonly deliveryMs?: number | undefined;
  /** `max.block.ms`: what opening the topics may take, if it is less than the default of 15 s. */
  readonly blockMs?: number | undefined;
}

/** A secondary's end. */
export interface SubscribeOptions extends KafkaWireOptions {
  /** `group.id`: offsets are committed for dashboards as `<group.id>.<site>`; reading needs no group. */
  readonly groupId: string;
  /** `auto.commit.interval.ms`; undefined (`enable.auto.commit: false`): nothing is committed. */
  readonly commitMs?: number | undefined;
  /** `fetch.min.bytes`, `fetch.max.wait.ms` and so on; defaults 1 B, 500 ms, 16 MiB, 8 MiB. */
  readonly fetch?:
    | {
        readonly minBytes?: number | undefined;
        readonly maxWaitMs?: number | undefined;
        readonly maxBytes?: number | undefined;
        readonly partitionBytes?: number | undefined;
      }
    | undefined;
  /**
   * `isolation.level: read_committed`; default false, as in Java. Sites write no transactions. With it, a transaction
   * that another writer leaves open stops this site's reading.
   */
  readonly readCommitted?: boolean | undefined;
}
