import { createCluster } from './cluster.ts';
import type { ClusterOptions, OwnCluster } from './cluster.ts';

/** Kafka's own sign for a commit by somebody who is no member: taken while a group has none. */
const NO_GENERATION = -1;
const NO_MEMBER = '';

export interface GroupOffsetOptions extends ClusterOptions {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
}

/** Offsets under a group's name, for people's dashboards: nothing here ever reads them. */
export class GroupOffset {
  readonly #options: GroupOffsetOptions;
  readonly #own: OwnCluster;
  #connected: Promise<void> | undefined;

  constructor(options: GroupOffsetOptions) {
    this.#options = options;
    this.#own = createCluster(options);
  }

  /** @param offset of the next record to be read. @throws kafkajs's errors, for instance where the group is in use */
  async commit(offset: bigint): Promise<void> {
    const { group, topic, partition } = this.#options;
    const { cluster } = this.#own;
    this.#connected ??= cluster.connect();
    await this.#connected;
    const coordinator = await cluster.findGroupCoordinator({ groupId: group });
    await coordinator.offsetCommit({
      groupId: group,
      groupGenerationId: NO_GENERATION,
      memberId: NO_MEMBER,
      topics: [{ topic, partitions: [{ partition, offset: offset.toString() }] }],
    });
  }

  /** Cuts the connection; bounded, whatever the broker does. */
  async close(): Promise<void> {
    this.#own.abandon();
    await this.#own.cluster.disconnect().catch(() => undefined);
  }
}
