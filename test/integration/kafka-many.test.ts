import { expect, it, vi } from 'vitest';
import { describeKafka } from '../support/kafka/suite.ts';
import { SOON } from '../support/topic-sites.ts';
import type { TopicSecondary } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

const SECONDARIES = 20;
const ROUNDS = 30;
const ROUND_COMMITS = 20;
const TEXT = 'x'.repeat(1024);
/** Twenty in one process, on a machine that may be slow. */
const ALL_SOON = { ...SOON, timeout: 40_000 };

/** Its disk takes nothing more: it reads a little ahead, and stops. */
function hold(secondary: TopicSecondary): Disposable {
  return { [Symbol.dispose]: secondary.disk.hold('write') };
}

describeKafka('one topic', () => {
  const stage = new TopicStage();

  it('feeds twenty secondaries; one that is frozen delays none, and has everything in the end', { timeout: 120_000 }, async () => {
    const primary = await stage.primary();
    await primary.commit(1);
    await primary.sent();
    const names = Array.from({ length: SECONDARIES }, (_, index) => `s${index}`);
    const secondaries = await Promise.all(names.map(site => stage.secondary({ site, consumer: { pendingBytes: 1 } })));
    const [still, ...others] = secondaries as [TopicSecondary, ...TopicSecondary[]];
    for (const secondary of secondaries) await secondary.equals(primary, ALL_SOON);

    await vi.waitFor(() => expect(primary.peer(still.store.site)).toMatchObject({ lagRevisions: 0 }), SOON);
    using standstill = hold(still);
    const stoppedAt = still.store.stable.position.revision;
    for (let round = 0; round < ROUNDS; round++)
      await primary.commit(ROUND_COMMITS, index => `/round/${round % 5}/${index}`, `${round} ${TEXT}`);
    for (const secondary of others) await secondary.equals(primary, ALL_SOON);
    await primary.sent();
    expect(still.store.stable.position.revision).toBe(stoppedAt);
    await vi.waitFor(() => {
      for (const { store } of others) expect(primary.peer(store.site)).toMatchObject({ state: 'replicate', lagRevisions: 0 });
      expect(primary.peer(still.store.site)).toMatchObject({ state: 'replicate', lagRevisions: ROUNDS * ROUND_COMMITS });
    }, SOON);

    standstill[Symbol.dispose]();
    await still.equals(primary, ALL_SOON);
    for (const secondary of secondaries) expectNoCopy(secondary);
    await vi.waitFor(() => expect(primary.peer(still.store.site)).toMatchObject({ lagRevisions: 0 }), SOON);
    expect(primary.producer.peers.length).toBe(SECONDARIES + 1);
  });
});
