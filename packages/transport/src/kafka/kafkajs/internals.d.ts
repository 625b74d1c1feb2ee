/** What kafkajs 2.2.4 keeps to itself and this folder uses; package.json pins the version. */
declare module 'kafkajs/src/cluster/index.js' {
  import type { KafkaConfig, KafkaMessage } from 'kafkajs';

  interface PartitionRequest {
    readonly partition: number;
    readonly fetchOffset: string;
    readonly maxBytes: number;
  }
  interface PartitionResponse {
    readonly errorCode: number;
    readonly highWatermark: string;
    readonly lastStableOffset: string;
    /** The log's start offset. */
    readonly lastStartOffset: string;
    readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[];
    readonly messages: readonly KafkaMessage[];
  }
  interface Broker {
    fetch(request: {
      readonly isolationLevel: number;
      readonly maxWaitTime: number;
      readonly minBytes: number;
      readonly maxBytes: number;
      readonly topics: readonly { readonly topic: string; readonly partitions: readonly PartitionRequest[] }[];
    }): Promise<{ readonly responses: readonly { readonly partitions: readonly PartitionResponse[] }[] }>;
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
        readonly metadataMaxAge: number;
        readonly allowAutoTopicCreation: boolean;
        readonly maxInFlightRequests: number | null;
        readonly isolationLevel: number;
      },
    );
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    addTargetTopic(topic: string): Promise<void>;
    refreshMetadata(): Promise<void>;
    /** Of the brokers that the last metadata named. */
    getNodeIds(): readonly string[];
    findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
    findBroker(destination: { readonly nodeId: string }): Promise<Broker>;
    findGroupCoordinator(group: { readonly groupId: string }): Promise<Broker>;
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

declare module 'kafkajs/src/consumer/batch.js' {
  import type { KafkaMessage } from 'kafkajs';

  class Batch {
    constructor(topic: string, fetchedOffset: string, partitionData: object);
    /** Without markers of transactions, and without what aborted ones wrote. */
    readonly messages: readonly KafkaMessage[];
    lastOffset(): string;
    isEmptyIncludingFiltered(): boolean;
  }
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default Batch;
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
