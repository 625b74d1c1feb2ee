import type { Role } from '@evertree/core';
import type { KafkaClientName, KafkaConnection, PublishOptions, SubscribeOptions } from '@evertree/transport/kafka';
import type { Auth, Tls } from './credentials.ts';
import type { ConfigurationDocument } from './document.ts';

/**
 * Where a site keeps its history elsewhere, and where it takes from what it lacks. Empty without
 * the section, else one of `target` and `catchUpFrom` is there. Directories are whole paths.
 */
export interface ArchiveConfiguration {
  /** A directory, or `s3://bucket/prefix`. */
  readonly target?: string;
  readonly everyMs?: number;
  /** Texts `age1…`, sorted; without any nothing is encrypted. */
  readonly recipients?: readonly string[];
  readonly spoolMaxBytes?: number;
  readonly imageEveryMs?: number;
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly pathStyle?: boolean;
  /** As `target`; read by a secondary only. */
  readonly catchUpFrom?: string;
  /** The text of an identity file, a secret: it opens `catchUpFrom`. */
  readonly identity?: string;
}

/** What every site takes from its file. The part that uses an absent value has the default. */
export interface SiteConfiguration {
  /** The file, or `configuration` for an object given in code. */
  readonly source: string;
  readonly limits: {
    readonly pendingBytes?: number;
    readonly frameBytes?: number;
    readonly changeSetBytes?: number;
    readonly listenerBatches?: number;
    readonly windowBytes?: number;
    readonly httpBodyBytes?: number;
    readonly readyLagMs?: number;
  };
  readonly journal: {
    readonly encoding?: 'binary' | 'json';
    readonly sync?: 'auto' | 'dsync' | 'fdatasync';
    readonly segmentBytes?: number;
    readonly snapshotBytes?: number;
    readonly retentionMaxBytes?: number;
    readonly retentionMinBytes?: number;
    readonly retentionMinMs?: number;
    readonly retentionMaxMs?: number;
    readonly retentionMaxCommits?: number;
    readonly retentionRewindMs?: number;
    readonly divergencesMaxBytes?: number;
  };
  readonly archive: ArchiveConfiguration;
  /**
   * What HTTP demands of its clients, and where they reach it. `token` has all rights. `tls` counts beyond loopback, or if the file's `http`
   * section has it. `advertised` is an origin, such as `http://box-a.example:8181`.
   */
  readonly http: Auth & { readonly tls?: Tls; readonly tlsOnLoopback: boolean; readonly advertised?: string };
  /** Facts that a user should know; nothing is wrong. */
  readonly notes: readonly string[];
  /** Dangers that do not keep the site from starting. */
  readonly warnings: readonly string[];
}

/** What is read of one file. */
export interface FileConfiguration extends SiteConfiguration {
  /** As it is written, with the place of everything in it. */
  readonly document: ConfigurationDocument;
}

export interface Connection {
  readonly address: string;
  readonly port: number;
  readonly retryIntervalMs: number;
  readonly tls?: Tls;
  readonly token?: string;
}

/**
 * What becomes of a write that too few secondaries acknowledge in time. The commit stands in each case.
 * - `fail`: 504.
 * - `continue`: 200 with the count.
 * - `refuse`: 504, and further writes get 503 until as many secondaries hold it.
 */
export type OnTimeout = 'fail' | 'continue' | 'refuse';

export interface Acknowledgement {
  /** How many secondaries a write over HTTP waits for, unless the request says so itself. */
  readonly secondaries: number;
  readonly timeoutMs: number;
  readonly onTimeout: OnTimeout;
}

export interface NettyProducerConfiguration extends FileConfiguration {
  readonly kind: 'netty-producer';
  readonly connections: readonly Connection[];
  readonly acknowledgement: Acknowledgement | undefined;
}

export interface NettyConsumerConfiguration extends FileConfiguration, Auth {
  readonly kind: 'netty-consumer';
  readonly address: string;
  readonly port: number;
  readonly autoRestart: boolean;
  readonly tls?: Tls;
}

/** What the file says of sending. */
export type PublishProperties = Pick<
  PublishOptions,
  'idempotent' | 'retries' | 'compression' | 'lingerMs' | 'batchBytes' | 'requestBytes' | 'deliveryMs' | 'blockMs' | 'limits'
>;

/** What the file says of reading. */
export type SubscribeProperties = Pick<SubscribeOptions, 'groupId' | 'commitMs' | 'fetch' | 'readCommitted' | 'limits'>;

export interface KafkaProducerConfiguration extends FileConfiguration {
  readonly kind: 'kafka-producer';
  /** Undefined: kafkajs. */
  readonly client: KafkaClientName | undefined;
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly publish: PublishProperties;
  readonly acknowledgement: Acknowledgement | undefined;
}

export interface KafkaConsumerConfiguration extends FileConfiguration {
  readonly kind: 'kafka-consumer';
  /** Undefined: kafkajs. */
  readonly client: KafkaClientName | undefined;
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly subscribe: SubscribeProperties;
}

/** A primary's files together: each file has one wire, and all of them have the settings of the site. */
export interface PrimaryConfiguration extends SiteConfiguration {
  readonly kind: 'primary';
  readonly wires: readonly ProducerConfiguration[];
  readonly acknowledgement: Acknowledgement | undefined;
}

export type ProducerConfiguration = NettyProducerConfiguration | KafkaProducerConfiguration;
export type ConsumerConfiguration = NettyConsumerConfiguration | KafkaConsumerConfiguration;
export type Configuration = ProducerConfiguration | ConsumerConfiguration;
export type Kind = Configuration['kind'];

/** What a site needs for the parts that it may play, read and checked. */
export interface RoleConfigurations {
  /** As a primary. */
  readonly primary?: PrimaryConfiguration | undefined;
  /** As a secondary. */
  readonly standby?: ConsumerConfiguration | undefined;
}

/**
 * What a configuration says now. While a site runs it may get other credentials, and nothing else (`renewal.ts`): ask
 * again for each connection.
 */
export type Present<C> = () => C;

export function roleOf(kind: Kind): Role {
  return kind === 'netty-producer' || kind === 'kafka-producer' ? 'primary' : 'secondary';
}

/** Freezes a configuration whole. */
export function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freeze(item);
  }
  return value;
}
