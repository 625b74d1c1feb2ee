import { expect, test, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { expectErrors } from '../support/reports.ts';
import { SOON } from '../support/topic-sites.ts';
import type { TopicPrimary, TopicSecondary } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

const PROMOTION = { number: 2, id: '22'.repeat(8) };

/** What a site holds that is not in the history that goes on. */
function kept({ store }: TopicPrimary | TopicSecondary) {
  return store.journal.divergences.list().map(({ commits, base, last }) => [base.revision, last.revision, commits]);
}

describeKafka('a topic that holds more of the old primary than its successor had', () => {
  const stage = new TopicStage();

  /** b is promoted while a and a third site hold 3 commits more; the topic holds them, too. */
  async function promote(whileAlive: boolean) {
    const [old, secondary] = await stage.pair();
    const third = await stage.secondary({ site: 'c' });
    await third.equals(old);
    await secondary.close();
    await old.commit(3);
    await third.equals(old);
    await old.sent();
    if (!whileAlive) await old.close();
    const heir = await stage.primary({ site: 'b', disk: secondary.disk, promotion: PROMOTION });
    await heir.commit(2);
    return { old, third, heir };
  }

  test('is read by all as the successor goes on: a third site that was ahead keeps what it had, and goes back', async () => {
    const { third, heir } = await promote(false);
    await third.equals(heir);
    expect(kept(third)).toEqual([[6, 9, 3]]);
    expectNoCopy(third);
    await heir.sent();
    expect(heir.told('foreign-records')).toEqual([]);
    // One that holds nothing reads from the topic's beginning, and never sees what was left behind.
    const fresh = await stage.secondary({ site: 'd' });
    await fresh.equals(heir);
    expect(kept(fresh)).toEqual([]);
    expectNoCopy(fresh);
    await heir.commit(1);
    for (const site of [third, fresh]) await site.equals(heir);
  });

  test('takes nothing of the old primary, which is fenced while it writes, keeps what only it has, and follows', async () => {
    expectErrors('primary-fenced');
    const { old, third, heir } = await promote(true);
    await vi.waitFor(() => expect(old.store.standing).toBe('fenced'), SOON);
    expect(() => old.store.put('/late', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
    await old.close();
    const back = await stage.secondary({ site: 'a', disk: old.disk, standby: true });
    for (const site of [third, back]) await site.equals(heir);
    expect(kept(back)).toEqual(kept(third));
    for (const site of [third, back]) expectNoCopy(site);
    expect(back.store.standing).toBe('secondary');
  });

  test('goes on after the late frames of an abandoned client, without a gap and without a snapshot', async () => {
    const { third, heir } = await promote(false);
    await third.equals(heir);
    await heir.sent();
    const left = (await stage.topic.records()).slice(6, 9);
    await third.close();
    await stage.topic.write(left);
    await heir.commit(2);
    const again = await stage.secondary({ site: 'c', disk: third.disk });
    await again.equals(heir);
    expectNoCopy(again);
    await heir.sent();
    const fresh = await stage.secondary({ site: 'd', disk: new FaultDisk() });
    await fresh.equals(heir);
    expectNoCopy(fresh);
  });

  test('that retention has emptied is filled by the successor', async () => {
    const { third, heir } = await promote(false);
    await third.equals(heir);
    await heir.sent();
    await heir.close();
    await stage.topic.deleteBefore();
    const restarted = await stage.primary({ site: 'b', disk: heir.disk });
    await restarted.commit(1);
    await third.equals(restarted);
  });
});
