import type { EpochName } from '@evertree/core';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { encodeClaim, isClaim, reignHeader } from '../../packages/transport/src/kafka/claims/claim.ts';
import { Claimant } from '../support/claimant.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import type { FaultDisk } from '../support/fault-disk.ts';
import { expectErrors } from '../support/reports.ts';
import { diskStore, framesOf } from '../support/stores.ts';
import { SOON } from '../support/topic-sites.ts';
import type { TopicPrimary, TopicSecondary } from '../support/topic-sites.ts';
import type { Written } from '../support/topic.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';
import { KAFKA_CLIENTS } from '@evertree/transport/kafka';
import { useKafkaClient } from '../support/kafka/client.ts';

const TWO = { number: 2, id: '22'.repeat(8) };
const OTHER_TWO = { number: 2, id: 'ee'.repeat(8) };
const THREE = { number: 3, id: '33'.repeat(8) };

/** Resolves when the site takes no writes because of an epoch, and will not after a restart either. */
async function fenced(primary: TopicPrimary, { number, id }: EpochName): Promise<void> {
  await vi.waitFor(() => expect(primary.store.standing).toBe('fenced'), SOON);
  await vi.waitFor(() => expect(primary.store.journal.identity.fencedBy).toMatchObject({ number, id }), SOON);
}

function claimRecord(epoch: EpochName, stream: string): Written {
  const { key, value, headers } = encodeClaim({ epoch, site: 'x', stream, time: 1 }, Buffer.from('k'));
  return { key, value, headers: { ...headers } };
}

describeKafka('a claim in a topic', () =>
  describe.each(KAFKA_CLIENTS)('by %s', client => {
    beforeEach(() => useKafkaClient(client));
    const stage = new TopicStage();

    const claimant = (site: TopicPrimary | TopicSecondary, epoch: EpochName = TWO) =>
      Claimant.ask(stage.broker, stage.topic.name, site.store, epoch);

    /** Frames of the primary on this disk that stood still meanwhile, as it would send them. */
    async function writeLate(disk: FaultDisk): Promise<void> {
      const { store } = await diskStore(disk.copy(), { site: 'a', role: 'primary' });
      const { position } = store;
      for (let index = 0; index < 3; index++) {
        store.put(`/late/${index}`, index);
        store.cut();
      }
      await store.flush();
      const { number, id } = store.epochs[0]!;
      const frames = (await framesOf(store.journal)).filter(({ header }) => header.last.revision > position.revision);
      await stage.topic.write(frames.map(({ bytes }) => ({ value: Buffer.from(bytes), headers: reignHeader({ number, id }) })));
      await store.close();
    }

    test('is preceded by a look that changes nothing: the topic tells where it ends', async () => {
      const [old, secondary] = await stage.pair();
      await using asking = await claimant(secondary);
      expect(await asking.met()).toMatchObject({ position: old.store.position, stream: old.store.stream, digest: old.store.digest });
      expect((await stage.topic.records()).every(({ headers }) => headers?.['type'] === undefined)).toBe(true);
      expect((await stage.topic.records(stage.topic.control)).map(({ key }) => String(key))).not.toContain('claim/b');
      await old.commit(1);
      await secondary.equals(old);
    });

    test('fences an idle primary at once, durably, and is answered with all that counts before it', async () => {
      expectErrors('primary-fenced');
      const [old, secondary] = await stage.pair();
      await using asking = await claimant(secondary);
      expect(await asking.claim(TWO)).toMatchObject({ kind: 'promised', epoch: TWO, position: old.store.position });
      await fenced(old, TWO);
      expect(() => old.store.put('/late', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
      await old.close();
      const again = await stage.primary({ disk: old.disk });
      expect(again.store.standing).toBe('fenced');
    });

    test('during live writes loses none that was acknowledged, and leaves none to count behind it', async () => {
      expectErrors('primary-fenced');
      const [old, secondary] = await stage.pair();
      const third = await stage.secondary({ site: 'c' });
      await third.equals(old);
      await secondary.close();
      const acknowledged: number[] = [];
      const writing = (async () => {
        for (let index = 0; ; index++) {
          try {
            const commit = old.store.put(`/live/${index}`, index);
            old.store.cut();
            await commit.acknowledged(1, { timeoutMs: 10_000 });
            acknowledged.push(index);
          } catch {
            return;
          }
        }
      })();
      await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(20), SOON);
      const heir = await stage.secondary({ site: 'b', disk: secondary.disk });
      await vi.waitFor(() => expect(heir.store.position.revision).toBeGreaterThan(10), SOON);
      await using asking = await claimant(heir);
      const answer = await asking.claim(TWO);
      await fenced(old, TWO);
      await writing;
      if (answer.kind !== 'promised') throw new Error(answer.kind);
      // The third site reads to the claim, and never beyond what counts.
      await vi.waitFor(() => expect(third.store.position.revision).toBe(answer.position.revision), SOON);
      await vi.waitFor(() => expect(heir.store.position.revision).toBe(answer.position.revision), SOON);
      for (const index of acknowledged) expect(heir.store.get(`/live/${index}`)).toBe(index);
      expect(acknowledged.length).toBeGreaterThan(20);
      for (const site of [heir, third]) expect(site.store.position).toEqual(answer.position);
    });

    test('lends the frames before it to a promoter that has not read them', async () => {
      expectErrors('primary-fenced');
      const [old, secondary] = await stage.pair();
      await secondary.close();
      await old.commit(40);
      await old.sent();
      const behind = await stage.secondary({ site: 'b', disk: secondary.disk, subscribe: { topic: `${stage.topic.name}-elsewhere` } });
      await using asking = await claimant(behind);
      expect(await asking.claim(TWO)).toMatchObject({ kind: 'promised', position: old.store.position });
      const frames = await asking.borrow(behind.store.position, old.store.position.revision);
      if (!Array.isArray(frames)) throw new Error(JSON.stringify(frames));
      for (const { parsed } of frames) behind.store.applyFrame(parsed!);
      expect(behind.store.digest).toBe(old.store.digest);
    });

    test('of one number is decided by the topic: of two promoters one is promised, and the other is told by whom not', async () => {
      expectErrors('primary-fenced');
      const [old, secondary] = await stage.pair();
      const third = await stage.secondary({ site: 'c' });
      await third.equals(old);
      await using one = await claimant(secondary);
      await using other = await claimant(third, OTHER_TWO);
      const answers = await Promise.all([one.claim(TWO), other.claim(OTHER_TWO)]);
      expect(answers.map(({ kind }) => kind).toSorted()).toEqual(['not-promised', 'promised']);
      const winner = answers[0].kind === 'promised' ? TWO : OTHER_TWO;
      expect(answers.find(({ kind }) => kind === 'not-promised')).toMatchObject({ highest: winner });
      const loser = winner === TWO ? other : one;
      expect(await loser.claim(THREE)).toMatchObject({ kind: 'promised', epoch: THREE });
    });

    test('that a retry wrote again is the same claim, and one with a lower number is void', async () => {
      expectErrors('primary-fenced');
      const [, secondary] = await stage.pair();
      await using asking = await claimant(secondary);
      const first = await asking.claim(THREE);
      expect(await asking.claim(THREE)).toEqual(first);
      expect(await asking.claim(TWO)).toMatchObject({ kind: 'not-promised', highest: THREE });
    });

    test('stands for readers that have heard of nothing else, wherever they begin: what an old primary writes late counts for nobody', async () => {
      const [old, secondary] = await stage.pair();
      const third = await stage.secondary({ site: 'c' });
      await third.equals(old);
      await third.close();
      await old.close();
      const { position } = secondary.store;
      await using asking = await claimant(secondary);
      expect(await asking.claim(TWO)).toMatchObject({ kind: 'promised', position });
      await writeLate(old.disk);
      const again = await stage.secondary({ site: 'c', disk: third.disk });
      const fresh = await stage.secondary({ site: 'd' });
      for (const reader of [secondary, again, fresh]) {
        await vi.waitFor(() => expect(reader.told('records-passed-over').join()).toMatch(/under an epoch that another had ended/), SOON);
        // What was read before that may not be applied yet.
        await vi.waitFor(() => expect(reader.store.position).toEqual(position), SOON);
      }
      await secondary.close();
      const heir = await stage.primary({ site: 'b', disk: secondary.disk, promotion: TWO });
      await heir.commit(2);
      for (const reader of [again, fresh]) {
        await reader.equals(heir);
        expect(reader.store.journal.divergences.list()).toEqual([]);
        expectNoCopy(reader);
      }
    });

    test('that nothing but the topic tells of is found by its idle primary', async () => {
      expectErrors('primary-fenced');
      const [idle] = await stage.pair();
      await stage.topic.write([claimRecord(TWO, idle.store.stream!)]);
      await fenced(idle, TWO);
    });

    test('that nothing but the topic tells of ends the writing of a primary, and what came behind it is settled for nobody', async () => {
      expectErrors('primary-fenced');
      const [old, secondary] = await stage.pair();
      const writing = (async () => {
        for (;;) {
          old.store.put('/live', old.store.position.revision);
          old.store.cut();
          await old.store.flush();
        }
      })();
      writing.catch(() => undefined);
      await stage.topic.write([claimRecord(TWO, old.store.stream!)]);
      await fenced(old, TWO);
      await expect(writing).rejects.toMatchObject({ code: 'FENCED' });
      const records = await stage.topic.records();
      const at = records.findIndex(isClaim);
      const before = Number(String(records[at - 1]!.headers!['position']).split('-')[1]);
      expect(old.topic.position?.revision).toBeLessThanOrEqual(before);
      await vi.waitFor(() => expect(secondary.store.position.revision).toBe(before), SOON);
    });

    test('ends no reign in another stream', async () => {
      const [old, secondary] = await stage.pair();
      await stage.topic.write([claimRecord(THREE, 'f'.repeat(32))]);
      await old.commit(2);
      await old.sent();
      await secondary.equals(old);
      expect(old.store.standing).toBe('primary');
    });

    test('is named by the records of whoever writes under it, also of older epochs', async () => {
      const [old] = await stage.pair();
      const { number, id } = old.store.epochs[0]!;
      const headers = (await stage.topic.records()).map(record => String(record.headers?.['claim']));
      expect(new Set(headers)).toEqual(new Set([reignHeader({ number, id })['claim']]));
      const told = (await stage.topic.records(stage.topic.control)).findLast(({ key }) => String(key) === 'primary');
      expect(JSON.parse(String(told?.value))).toMatchObject({ hello: { site: 'a' } });
    });

    test('that retention removed with all that was written under it asks its primary for a higher epoch', async () => {
      const [old, secondary] = await stage.pair();
      await old.close();
      await stage.topic.deleteBefore();
      const again = await stage.primary({ disk: old.disk });
      await vi.waitFor(() => expect(again.told('reign-void')).toHaveLength(1), SOON);
      await again.commit(1);
      await secondary.equals(again);
      expectNoCopy(secondary);
    });
  }),
);
