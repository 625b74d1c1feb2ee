import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect } from 'vitest';
import { sharedBroker } from './kafka/suite.ts';
import { Topic } from './topic.ts';
import { TopicPrimary, TopicSecondary } from './topic-sites.ts';
import type { TopicPrimaryOptions, TopicSecondaryOptions } from './topic-sites.ts';

/** For a suite: each test has a topic of its own on the shared broker, and the sites that it starts end with it. */
export class TopicStage {
  topic!: Topic;
  broker!: string;
  #open!: AsyncDisposableStack;

  constructor() {
    beforeEach(async () => {
      this.#open = new AsyncDisposableStack();
      this.broker = await sharedBroker();
      this.topic = this.#open.use(await Topic.at(this.broker, `t-${randomUUID().slice(0, 8)}`));
    });
    afterEach(() => this.#open.disposeAsync());
  }

  async primary(options: Partial<TopicPrimaryOptions> = {}): Promise<TopicPrimary> {
    return this.#open.use(await TopicPrimary.start({ broker: this.broker, topic: this.topic.name, ...options }));
  }

  async secondary(options: Partial<TopicSecondaryOptions> = {}): Promise<TopicSecondary> {
    return this.#open.use(await TopicSecondary.start({ broker: this.broker, topic: this.topic.name, ...options }));
  }

  /** A primary and a secondary that hold the same few commits, through the topic. */
  async pair(options: Partial<TopicPrimaryOptions> = {}): Promise<[TopicPrimary, TopicSecondary]> {
    const primary = await this.primary(options);
    await primary.commit(5);
    await primary.sent();
    const secondary = await this.secondary();
    await secondary.equals(primary);
    return [primary, secondary];
  }
}

/** What it has came in frames, and not as a copy of the whole tree. */
export function expectNoCopy(secondary: TopicSecondary): void {
  expect(secondary.consumer.state.resyncs).toEqual({ count: 0, lastReason: null });
}
