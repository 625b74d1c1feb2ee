import type { Frame } from '@evertree/core';
import { expect, it, vi } from 'vitest';
import { describeKafka } from '../support/kafka/suite.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { framesOf } from '../support/stores.ts';
import { SOON } from '../support/topic-sites.ts';
import type { TopicPrimary } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

describeKafka('a secondary that the topic no longer reaches back to', () => {
  const stage = new TopicStage();

  /** A secondary was away, and the topic keeps nothing of what it lacks. */
  async function passedBy(): Promise<{ primary: TopicPrimary; frames: Frame[]; disk: TopicPrimary['disk'] }> {
    const [primary, secondary] = await stage.pair();
    await secondary.close();
    await primary.commit(20);
    await primary.sent();
    const { high } = await stage.topic.offsets();
    await stage.topic.deleteBefore(high - 2);
    return { primary, frames: await framesOf(primary.store.journal), disk: secondary.disk };
  }

  it('takes what is missing from elsewhere, and goes on in the topic', async () => {
    const { primary, frames, disk } = await passedBy();
    const source = new ScriptedSource(() => frames);
    const again = await stage.secondary({ disk, earlierFrames: source });
    await again.equals(primary);
    expectNoCopy(again);
    // The trees are equal before the other place has been read to its end.
    await vi.waitFor(() => expect(again.consumer.state.catchUps).toMatchObject({ done: 1, failed: 0, last: { state: 'done' } }), SOON);
    await primary.commit(3);
    await again.equals(primary);
    expectNoCopy(again);
    expect(source.asked.length).toBe(1);
    await vi.waitFor(() => expect(primary.peer('b')).toMatchObject({ state: 'replicate', resyncs: { count: 0 }, lagRevisions: 0 }), SOON);
  });

  it('takes it although nothing is left in the topic and nothing is committed', async () => {
    const { primary, frames, disk } = await passedBy();
    await stage.topic.deleteBefore();
    const again = await stage.secondary({ disk, earlierFrames: new ScriptedSource(() => frames) });
    await again.equals(primary);
    expectNoCopy(again);
    await primary.commit(3);
    await again.equals(primary);
    expectNoCopy(again);
  });

  it('takes the snapshot if the other place does not lead to what the topic has', async () => {
    const { primary, frames, disk } = await passedBy();
    const again = await stage.secondary({ disk, earlierFrames: new ScriptedSource(() => frames.slice(0, 10)) });
    await again.equals(primary);
    expect(again.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^retention has passed it by/) });
    expect(again.consumer.state.catchUps).toMatchObject({ done: 0, failed: 1, last: { error: expect.stringContaining('leads to') } });
  });

  it('goes on after a restart by the time of its last frame, which no record of the topic stands beside', async () => {
    const { primary, frames, disk } = await passedBy();
    const again = await stage.secondary({ disk, earlierFrames: new ScriptedSource(() => frames) });
    await again.equals(primary);
    await again.close();
    await primary.commit(4);
    const restarted = await stage.secondary({ disk });
    await restarted.equals(primary);
    expectNoCopy(restarted);
  });
});
