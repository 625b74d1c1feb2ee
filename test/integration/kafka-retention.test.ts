import { describe, expect, it, vi } from 'vitest';
import { describeKafka } from '../support/kafka/suite.ts';
import { diskStore } from '../support/stores.ts';
import { SOON } from '../support/topic-sites.ts';
import type { TopicPrimary, TopicPrimaryOptions } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

const MEBIBYTE = 1024 * 1024;
const ITEMS = 500;

describeKafka('what a Kafka topic keeps', () => {
  const stage = new TopicStage();

  /** A primary with a wide tree, all of it in the topic. */
  async function filledPrimary(options: Partial<TopicPrimaryOptions> = {}): Promise<TopicPrimary> {
    const primary = await stage.primary(options);
    primary.store.transact(tx => {
      for (let index = 0; index < ITEMS; index++) tx.put(`/items/${index}`, index);
    });
    await primary.sent();
    return primary;
  }

  /** Retention runs, and leaves the last record; the primary notices, and makes the snapshot that is needed now. */
  async function retain(primary: TopicPrimary): Promise<void> {
    const before = primary.told('topic-snapshot').length;
    await primary.commit(1);
    await primary.sent();
    const { high } = await stage.topic.offsets();
    await stage.topic.deleteBefore(high - 1);
    await vi.waitFor(() => expect(primary.told('topic-snapshot').length).toBeGreaterThan(before), SOON);
  }

  describe('a secondary that retention has passed by', () => {
    it('gets the whole tree as the smallest difference, and every site reports why', async () => {
      const primary = await filledPrimary();
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      await secondary.close();
      await primary.commit(3);
      await retain(primary);
      const again = await stage.secondary({ disk: secondary.disk, listen: '/items/*' });
      await again.equals(primary);
      const reason = expect.stringMatching(/^retention has passed it by: t-.* begins after 1-\d+, the secondary stands at 1-2$/);
      expect(again.consumer.state.resyncs).toEqual({ count: 1, lastReason: reason });
      expect(again.told('resync')).toEqual([expect.stringContaining('retention has passed it by')]);
      await vi.waitFor(() => expect(primary.peer('b').resyncs).toEqual({ count: 1, lastReason: reason }), SOON);
      expect(primary.told('peer-resync')).toEqual([expect.stringMatching(/^b gets a full copy: retention has passed it by/)]);
      // Three of five hundred were changed while it was away, in one step for a listener.
      await vi.waitFor(() => expect(again.batches.length).toBe(2), SOON);
      expect(again.batches[1]!.changes.map(({ path }) => path).toSorted()).toEqual(['/items/0', '/items/1', '/items/2']);
      await primary.commit(2);
      await again.equals(primary);
      expect(again.consumer.state.resyncs.count).toBe(1);
    });

    it('gets it even if the topic is empty after it, and nothing is committed any more', async () => {
      const primary = await filledPrimary();
      await retain(primary);
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      await secondary.close();
      await primary.commit(1);
      await primary.sent();
      const before = primary.told('topic-snapshot').length;
      await stage.topic.deleteBefore();
      const again = await stage.secondary({ disk: secondary.disk });
      await again.equals(primary);
      // An idle stream's topic stays empty: one snapshot is enough. The primary tells of it when it has announced it.
      await vi.waitFor(() => expect(primary.told('topic-snapshot').length).toBeGreaterThan(before), SOON);
      const made = primary.told('topic-snapshot').length;
      const said = (await stage.topic.records(stage.topic.control)).length;
      await vi.waitFor(async () => expect((await stage.topic.records(stage.topic.control)).length).toBeGreaterThan(said + 20), SOON);
      expect(primary.told('topic-snapshot').length).toBe(made);
    });

    it('gets it in the middle of its reading, too', async () => {
      const primary = await filledPrimary();
      // It reads little by little, and stops when so much waits for its disk.
      const secondary = await stage.secondary({ subscribe: { fetch: { partitionBytes: 1000 } }, consumer: { pendingBytes: 1 } });
      await secondary.equals(primary);
      const goOn = secondary.disk.hold('write');
      for (let round = 0; round < 8; round++) {
        await primary.commit(1, () => `/round/${round}`, 'x'.repeat(2000));
        await primary.sent();
      }
      await retain(primary);
      goOn();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^retention has passed it by/) });
    });

    it('needs no copy if only frames that it holds were removed', async () => {
      const primary = await filledPrimary();
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      await secondary.close();
      await retain(primary);
      await primary.commit(3);
      await primary.sent();
      // What it holds already is gone, and what follows is there.
      const again = await stage.secondary({ disk: secondary.disk });
      await again.equals(primary);
      expectNoCopy(again);
    });
  });

  describe('a new secondary', () => {
    it('starts from the snapshot when the topic no longer reaches back, and goes on in the topic', async () => {
      const primary = await filledPrimary();
      await retain(primary);
      await primary.commit(4);
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary: /) });
      await primary.commit(1);
      await secondary.equals(primary);
    });

    it('starts from a snapshot in a topic that takes smaller batches than that of the frames', async () => {
      await stage.topic.create(1, { 'cleanup.policy': 'delete', 'max.message.bytes': '65536' }, stage.topic.snapshots);
      const primary = await filledPrimary();
      await primary.commit(3, index => `/large/${index}`, 'x'.repeat(100 * 1024));
      await retain(primary);
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary: /) });
      for (const { value } of await stage.topic.records(stage.topic.snapshots)) expect(value!.length).toBeLessThan(65_536);
    });

    it('starts from a snapshot that is made for it if retention has left nothing', async () => {
      // No snapshot is made for it before a secondary wants one.
      const primary = await filledPrimary({ limits: { watermarksMs: 60_000 } });
      await stage.topic.deleteBefore();
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary: /) });
      await vi.waitFor(() => expect(primary.told('topic-snapshot').length).toBe(1), SOON);
    });

    it('finds a new snapshot if the last one is gone or damaged', async () => {
      const primary = await filledPrimary();
      await retain(primary);
      await stage.topic.deleteBefore(undefined, stage.topic.snapshots);
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs.count).toBe(1);
      await vi.waitFor(() => expect(primary.told('topic-snapshot').length).toBe(2), SOON);
    });

    it('passes over a snapshot that was never finished', async () => {
      const primary = await filledPrimary();
      await retain(primary);
      const whole = await stage.topic.records(stage.topic.snapshots);
      // As a primary leaves it that was killed in the middle: its own id, a beginning, some chunks, no end, not
      // announced.
      const torn = whole.slice(0, -1).map(record => ({ ...record, key: Buffer.from('f'.repeat(16)) }));
      await stage.topic.write(torn, {}, stage.topic.snapshots);
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      expect(secondary.consumer.state.resyncs.count).toBe(1);
      expect(secondary.warnings.filter(warning => !warning.startsWith('resync'))).toEqual([]);
    });
  });

  /** The broker was away for long, and what the journal may take was little. */
  async function outgrow(primary: TopicPrimary): Promise<TopicPrimary> {
    await primary.close();
    const journalOptions = { segmentBytes: 16 * 1024, retentionMaxBytes: 64 * 1024 };
    const { store } = await diskStore(primary.disk, { site: 'a', role: 'primary', journalOptions });
    for (let index = 0; index < 100; index++) {
      store.put(`/items/${index}`, `${index} ${'x'.repeat(2000)}`);
      await store.flush();
    }
    await store.saveSnapshot();
    await store.journal.retention.apply();
    expect(store.journal.log.base.revision).toBeGreaterThan(2);
    await store.close();
    const again = await stage.primary({ disk: primary.disk });
    await vi.waitFor(() => expect(again.told('topic-snapshot').length).toBe(1), SOON);
    expect(again.topic.resyncs).toEqual({
      count: 1,
      lastReason: expect.stringMatching(/'s position 1-2 lies before what the primary's journal keeps/),
    });
    return again;
  }

  describe('is bridged by a snapshot where the journal no longer reaches back to it', () => {
    const FRAMES_MISSING = { count: 1, lastReason: expect.stringMatching(/^frames are missing: in t-\S+ between 1-2 and 1-\d+$/) };

    it('even if nothing is committed later that would show the gap', async () => {
      const primary = await filledPrimary();
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      const again = await outgrow(primary);
      await secondary.equals(again);
      expect(secondary.consumer.state.resyncs).toEqual(FRAMES_MISSING);
      await again.commit(1);
      await secondary.equals(again);
      expect(secondary.consumer.state.resyncs.count).toBe(1);
    });

    it('for a secondary that meets the gap, and for a new one', async () => {
      const primary = await filledPrimary();
      const secondary = await stage.secondary();
      await secondary.equals(primary);
      await secondary.close();
      const again = await outgrow(primary);
      await again.commit(3);
      await again.sent();
      const late = await stage.secondary({ disk: secondary.disk });
      await late.equals(again);
      expect(late.consumer.state.resyncs).toEqual(FRAMES_MISSING);
      const later = await stage.secondary({ site: 'c' });
      await later.equals(again);
      expect(later.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary/) });
    });
  });

  it('is watched by the primary, which makes a snapshot before half of the time or bytes are used', async () => {
    await stage.topic.create(1, { 'retention.bytes': String(200 * 1024) });
    const primary = await stage.primary();
    await primary.commit(5, index => `/small/${index}`);
    await primary.sent();
    const secondary = await stage.secondary();
    await secondary.equals(primary);
    expect(primary.told('topic-snapshot')).toEqual([]);
    await primary.commit(6, index => `/large/${index}`, 'x'.repeat(20 * 1024));
    await vi.waitFor(() => expect(primary.told('topic-snapshot').length, primary.warnings.join('\n')).toBe(1), SOON);
    expect((await stage.topic.offsets()).low).toBe(0);
    const later = await stage.secondary({ site: 'c' });
    await later.equals(primary);
    expect(later.consumer.state.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary/) });
    await secondary.equals(primary);
    expectNoCopy(secondary);
  });

  describe('a change set larger than the broker takes in one message', () => {
    it.each([
      ['the usual limit', {}, 1_048_588],
      ['a small one', { 'max.message.bytes': '65536' }, 65_536],
    ])('travels in parts and applies whole: %s', async (_name, config, limit) => {
      await stage.topic.create(1, config);
      const [primary, secondary] = await stage.pair();
      await primary.commit(1, () => '/large', 'ü€'.repeat(MEBIBYTE));
      await primary.commit(1);
      await secondary.equals(primary);
      expectNoCopy(secondary);
      const records = await stage.topic.records();
      const parts = records.filter(({ headers }) => headers?.['part'] !== undefined);
      expect(parts.length).toBeGreaterThan((5 * MEBIBYTE) / Math.min(limit, 256 * 1024));
      for (const { value } of records) expect(value!.length).toBeLessThan(limit);
      // A new secondary, too, and one that goes on in the middle of it.
      const later = await stage.secondary({ site: 'c' });
      await later.equals(primary);
      expectNoCopy(later);
    });

    it('is sent again whole if its sender was abandoned in the middle of it', async () => {
      const [primary, secondary] = await stage.pair();
      await primary.commit(1, () => '/large', 'x'.repeat(MEBIBYTE));
      await secondary.equals(primary);
      const parts = (await stage.topic.records()).filter(({ headers }) => headers?.['part'] !== undefined);
      // As late records of the client before: a beginning, a middle, an end.
      for (const part of [...parts.slice(0, 2), parts[3]!, ...parts.slice(0, 3)]) await stage.topic.write([part]);
      await primary.close();
      const again = await stage.primary({ disk: primary.disk });
      await again.commit(1, () => '/larger', 'y'.repeat(MEBIBYTE));
      await again.commit(1);
      await secondary.equals(again);
      expectNoCopy(secondary);
      const later = await stage.secondary({ site: 'c' });
      await later.equals(again);
    });
  });
});
