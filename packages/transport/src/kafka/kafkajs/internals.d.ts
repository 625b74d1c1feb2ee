/** What kafkajs 2.2.4 keeps to itself and this folder uses; package.json pins the version. */
declare module 'kafkajs/src/cluster/index.js' {
  import type { KafkaConfig } from 'kafkajs';
  import type { Lookup } from 'kafkajs/src/protocol/requests/index.js';

  /** A request and how its answer is read: `decode` its bytes, `parse` throws what they say went wrong. */
  export interface Protocol<Answer, Data> {
    readonly request: { readonly apiVersion: number; encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }> };
    readonly requestTimeout?: number | null | undefined;
    readonly response: { decode(bytes: Buffer): Promise<Answer>; parse(answer: Answer): Promise<Data> };
  }

  export interface ClusterBroker {
    readonly connectionPool: { send<Answer, Data>(protocol: Protocol<Answer, Data>): Promise<Data> };
    /** Of the newest version that both sides know. */
    readonly lookupRequest: Lookup;
    disconnect(): Promise<void>;
    initProducerId(request: {
      readonly transactionTimeout: number;
    }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>;
    listOffsets(request: {
      readonly isolationLevel: number;
      readonly topics: readonly {
        readonly topic: string;
        readonly partitions: readonly { readonly partition: number; readonly timestamp: string }[];
      }[];
    }): Promise<{ readonly responses: readonly { readonly partitions: readonly { readonly offset: string }[] }[] }>;
    produce(request: {
      readonly acks: number;
      readonly topicData: readonly {
        readonly topic: string;
        readonly partitions: readonly {
          readonly partition: number;
          readonly firstSequence: number;
          readonly messages: readonly { readonly value: Buffer }[];
        }[];
      }[];
    }): Promise<unknown>;
    offsetCommit(request: {
      readonly groupId: string;
      readonly groupGenerationId: number;
      readonly memberId: string;
      readonly topics: readonly {
        readonly topic: string;
        readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
      }[];
    }): Promise<unknown>;
  }

  class Cluster {
    constructor(
      options: Omit<KafkaConfig, 'logLevel' | 'logCreator'> & {
        readonly logger: unknown;
        readonly allowAutoTopicCreation: boolean;
        readonly maxInFlightRequests: number | null;
        readonly isolationLevel: number;
      },
    );
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    addTargetTopic(topic: string): Promise<void>;
    refreshMetadata(): Promise<void>;
    readonly brokerPool: { findConnectedBroker(): Promise<ClusterBroker> };
    findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
    findBroker(destination: { readonly nodeId: string }): Promise<ClusterBroker>;
    findGroupCoordinator(group: { readonly groupId: string }): Promise<ClusterBroker>;
  }
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default Cluster;
}

declare module 'kafkajs/src/loggers/index.js' {
  import type { KafkaConfig } from 'kafkajs';

  const loggers: { createLogger(options: { readonly level: number; readonly logCreator: KafkaConfig['logCreator'] }): unknown };
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default loggers;
}

declare module 'kafkajs/src/protocol/requests/apiKeys.js' {
  const apiKeys: { readonly Produce: 0; readonly Fetch: 1 };
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default apiKeys;
}

declare module 'kafkajs/src/protocol/requests/index.js' {
  import type { Protocol } from 'kafkajs/src/cluster/index.js';

  interface PartitionRequest {
    readonly partition: number;
    readonly fetchOffset: string;
    readonly maxBytes: number;
  }

  type Fetch = (request: {
    readonly isolationLevel: number;
    readonly maxWaitTime: number;
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly PartitionRequest[] }[];
  }) => Protocol<unknown, unknown>;

  interface Produced {
    readonly topics: readonly { readonly partitions: readonly { readonly baseOffset: string }[] }[];
  }

  type Produce = (request: {
    readonly acks: number;
    readonly timeout: number;
    readonly topicData: readonly [];
  }) => Protocol<unknown, Produced>;

  /** The versions of a request. */
  interface Definition<Make> {
    protocol(choice: { readonly version: number }): Make;
  }

  export type Lookup = <Make>(key: number, definition: Definition<Make>) => Make;

  export const requests: { readonly Produce: Definition<Produce>; readonly Fetch: Definition<Fetch> };
}

declare module 'kafkajs/src/protocol/error.js' {
  export function createErrorFromCode(code: number): Error;
}

/** See request-front.ts. */
declare module 'kafkajs/src/protocol/encoder.js' {
  export interface Encoded {
    readonly buf: Buffer;
    readonly buffer: Buffer;
  }
  interface Encoder {
    buf: Buffer;
    offset: number;
    readonly buffer: Buffer;
    writeEncoder: (this: Encoder, value: Encoded) => Encoder;
  }
  const Encoder: { readonly prototype: Encoder };
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default Encoder;
}

/** See request-queue.ts. */
declare module 'kafkajs/src/network/requestQueue/index.js' {
  interface RequestQueue {
    readonly pending: readonly unknown[];
    scheduleCheckPendingRequests: (this: RequestQueue) => void;
  }
  const RequestQueue: { readonly prototype: RequestQueue };
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default RequestQueue;
}
