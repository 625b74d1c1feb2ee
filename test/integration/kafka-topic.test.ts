import { describe, expect, it, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { expectErrors } from '../support/reports.ts';
import { diskStore, framesOf } from '../support/stores.ts';
import type { RecordOptions, Topic, Written } from '../support/topic.ts';
import { SOON } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

const STRANGE: readonly [name: string, records: (topic: Topic) => Promise<readonly Written[]>, told: RegExp][] = [
  ['no frame', async () => [{ value: Buffer.from('{"some":"JSON"}') }], /passed over: .*frame/],
  ['an empty value', async () => [{ value: Buffer.alloc(0) }], /passed over: /],
  ['no value at all', async () => [{ key: 'k', value: null }], /passed over: it has no value/],
  [
    'a frame that was cut off',
    async at => (await at.records()).slice(-1).map(record => ({ ...record, value: record.value!.subarray(0, -7) })),
    /passed over: /,
  ],
  [
    'a frame with a flipped bit',
    async at =>
      (await at.records()).slice(-1).map(record => {
        const value = Buffer.from(record.value!);
        value.writeUInt8(value.readUInt8(value.length - 9) ^ 1, value.length - 9);
        return { ...record, value };
      }),
    /passed over: /,
  ],
  [
    "another stream's frame",
    async () => [{ value: Buffer.from(new FrameChain().next().bytes) }],
    /passed over: it belongs to the stream 5a5a/,
  ],
  [
    'a frame of a later protocol',
    async at => (await at.records()).slice(-1).map(record => ({ ...record, headers: { ...record.headers, evertree: '9' } })),
    /passed over: it speaks version 9/,
  ],
  ['a part of nothing', async () => [{ value: Buffer.from('part'), headers: { part: '3/5/100' } }], /passed over: /],
  ['a part that lies about its length', async () => [{ value: Buffer.alloc(9), headers: { part: '0/2/999999999' } }], /passed over: /],
];

/** Another writer's frames make a snapshot due at the primary's next look. A new secondary would begin with it, and not read them. */
const NO_SNAPSHOT = { limits: { watermarksMs: 600_000 } };

describeKafka('a Kafka topic', () => {
  const stage = new TopicStage();

  describe('records that should not be in a topic', () => {
    it.each(STRANGE)('%s is reported, and passed over', async (_name, make, told) => {
      const [primary, secondary] = await stage.pair(NO_SNAPSHOT);
      await stage.topic.write(await make(stage.topic));
      await primary.commit(3);
      await secondary.equals(primary);
      expect(secondary.told('records-passed-over')).toEqual([expect.stringMatching(told)]);
      expectNoCopy(secondary);
      // Who reads it all from the beginning meets the same.
      const later = await stage.secondary({ site: 'c' });
      await later.equals(primary);
      expect(later.told('records-passed-over')).toEqual([expect.stringMatching(told)]);
      await vi.waitFor(() => expect(primary.told('foreign-records').length).toBe(1), SOON);
    });

    it('many such records are reported as the first one and a count, and frames beside them are not delayed', async () => {
      const [primary, secondary] = await stage.pair();
      await stage.topic.write(Array.from({ length: 300 }, (_, index) => ({ value: Buffer.from(`junk ${index}`) })));
      await primary.commit(3);
      await secondary.equals(primary);
      expect(secondary.told('records-passed-over')).toEqual([
        expect.stringContaining('offset 6'),
        expect.stringMatching(/^300 records .* in a row/),
      ]);
    });

    it('a second partition with records is reported by the primary, and not read', async () => {
      await stage.topic.create(2);
      const [primary, secondary] = await stage.pair();
      const frames = await stage.topic.records();
      await stage.topic.write([{ value: Buffer.from('aside') }, ...frames], { partition: 1 });
      await primary.commit(1);
      await secondary.equals(primary);
      expect(secondary.warnings).toEqual([]);
      await primary.close();
      const again = await stage.primary({ disk: primary.disk });
      await again.sent();
      await vi.waitFor(
        () => expect(again.told('other-partitions')).toEqual([expect.stringMatching(/in partition 1, too.*not read/)]),
        SOON,
      );
    });
  });

  describe('frames that are there twice', () => {
    it.each<[string, RecordOptions]>([
      ['written again by a client', {}],
      ['in a transaction that was committed', { transaction: 'commit' }],
      ['in a transaction that was aborted', { transaction: 'abort' }],
    ])('%s count once', async (_name, aside) => {
      const [primary, secondary] = await stage.pair(NO_SNAPSHOT);
      await stage.topic.write(await stage.topic.records(), aside);
      await primary.commit(2);
      await stage.topic.write((await stage.topic.records()).slice(2, 4), aside);
      await primary.commit(2);
      await secondary.equals(primary);
      const later = await stage.secondary({ site: 'c', subscribe: { readCommitted: true } });
      await later.equals(primary);
      for (const site of [secondary, later]) {
        expectNoCopy(site);
        expect(site.warnings).toEqual([]);
      }
      // Old frames at its end do not take a primary that starts for one that lost its history.
      await stage.topic.write((await stage.topic.records()).slice(0, 2), aside);
      await primary.close();
      const again = await stage.primary({ disk: primary.disk });
      await again.commit(2);
      await secondary.equals(again);
      expectNoCopy(secondary);
    });

    it('a transaction that another client leaves open delays no secondary', async () => {
      const [primary, secondary] = await stage.pair();
      await stage.topic.write([{ value: Buffer.from('not ours') }], { transaction: 'leave' });
      await primary.commit(3);
      await secondary.equals(primary);
      const later = await stage.secondary({ site: 'c' });
      await later.equals(primary);
      for (const site of [secondary, later]) expectNoCopy(site);
    });

    it('offsets that transactions use are no gaps', async () => {
      const [primary, secondary] = await stage.pair();
      for (const transaction of ['commit', 'abort', 'commit', 'abort'] as const) {
        await stage.topic.write([{ value: Buffer.from('not ours') }], { transaction });
        await primary.commit(1);
      }
      await secondary.equals(primary);
      expectNoCopy(secondary);
      const { high } = await stage.topic.offsets();
      await secondary.close();
      await primary.commit(1);
      const again = await stage.secondary({ disk: secondary.disk });
      await again.equals(primary);
      expect((await stage.topic.offsets()).high).toBe(high + 1);
      expect(again.warnings).toEqual([]);
      expectNoCopy(again);
    });
  });

  describe('a topic that was changed', () => {
    it('is filled again after it was deleted and made again under both sites, and no change is lost or repeated', async () => {
      const [primary, secondary] = await stage.pair();
      await stage.topic.remove();
      await primary.commit(3);
      await primary.sent();
      await secondary.equals(primary);
      expectNoCopy(secondary);
      const later = await stage.secondary({ site: 'c' });
      await later.equals(primary);
    });

    it('is filled again after it was deleted with its .snapshot and .control', async () => {
      const [primary, secondary] = await stage.pair();
      await stage.topic.remove(stage.topic.name, stage.topic.snapshots, stage.topic.control);
      await primary.commit(3);
      await primary.sent();
      await secondary.equals(primary);
    });

    it('may have other offsets after a secondary was away: its place is found by position, and the change is reported', async () => {
      const [primary, secondary] = await stage.pair();
      await secondary.close();
      await primary.close();
      await stage.topic.remove();
      await stage.topic.create();
      await stage.topic.write(Array.from({ length: 4 }, () => ({ value: Buffer.from('shift') })));
      const refilling = await stage.primary({ disk: primary.disk });
      await refilling.commit(5);
      await refilling.sent();
      const again = await stage.secondary({ disk: secondary.disk });
      await again.equals(refilling);
      expect(again.told('topic-changed')).toEqual([expect.stringMatching(/made anew, or its offsets were reset/)]);
      expectNoCopy(again);
    });
  });

  describe('a primary that may not have the topic', () => {
    it('because another stream has it, is refused by name, and changes nothing there', async () => {
      const [primary] = await stage.pair();
      await primary.close();
      const before = await stage.topic.records();
      const other = await stage.primary({ site: 'other' });
      await other.commit(3);
      await vi.waitFor(
        () => expect(other.topic.lastError).toMatch(/holds the stream .*: one stream has one log; name another topic/),
        SOON,
      );
      expect(other.topic.state).toBe('diverged');
      expect((await stage.topic.records()).length).toBe(before.length);
      expect(other.store.state).toBe('open');
    });

    it('because it was started from an older copy of its directory, refuses writes and says why', async () => {
      expectErrors('primary-fenced');
      const [primary, secondary] = await stage.pair();
      const copy = primary.disk.copy();
      await primary.commit(4);
      await secondary.equals(primary);
      await primary.close();
      // What ended the topic does not do so any more, and is there all the same.
      await stage.topic.write((await stage.topic.records()).slice(0, 2));
      const before = await stage.topic.records();
      const older = await stage.primary({ disk: copy });
      await vi.waitFor(() => expect(older.store.standing).toBe('secondary'), SOON);
      expect(() => older.store.put('/n', 1)).toThrow(/older copy/);
      expect(await stage.topic.records()).toEqual(before);
      await older.close();
      const right = await stage.primary({ disk: primary.disk });
      await right.commit(1);
      await secondary.equals(right);
    });

    it('because a copy of its directory uses it, too, reports that, and so does the copy', async () => {
      const [primary] = await stage.pair();
      const copy = await stage.primary({ disk: primary.disk.copy() });
      for (const each of [primary, copy]) {
        await vi.waitFor(() => expect(each.told('second-primary')).toContainEqual(expect.stringMatching(/stop the other/)), SOON);
      }
    });

    it('because a copy of its directory has written there, does not mix the two histories; a new topic is the remedy', async () => {
      const [primary, secondary] = await stage.pair();
      const copy = await diskStore(primary.disk.copy(), { site: 'a', role: 'primary' });
      copy.store.put('/copy', 1);
      await copy.store.flush();
      await primary.commit(1);
      await secondary.equals(primary);
      await stage.topic.write((await framesOf(copy.store.journal)).slice(-1).map(({ bytes }) => ({ value: Buffer.from(bytes) })));
      await primary.commit(1);
      await vi.waitFor(() => expect(secondary.consumer.state.lastError).toMatch(/is not of the history of this secondary/), SOON);
      await vi.waitFor(() => expect(primary.peer('b').lastError).toMatch(/history-mismatch: .*is not of the history/), SOON);
      await vi.waitFor(() => expect(primary.told('foreign-records')).toContainEqual(expect.stringMatching(/puts frames into/)), SOON);
      expect(secondary.store.get('/copy')).toBeUndefined();
      // Who starts from a snapshot behind the copy's frame gets past it.
      await vi.waitFor(() => expect(primary.told('topic-snapshot').length).toBe(1), SOON);
      const fresh = await stage.secondary({ site: 'c' });
      await fresh.equals(primary);
      // Each time that it refuses the frame, it waits longer until the next attempt. A restart makes it try at once.
      await secondary.close();
      await stage.topic.remove(stage.topic.name, stage.topic.snapshots, stage.topic.control);
      const again = await stage.secondary({ disk: secondary.disk });
      await again.equals(primary);
      expectNoCopy(again);
    });
  });

  it('is read whether its primary is alive or not', async () => {
    const [primary, secondary] = await stage.pair();
    await secondary.close();
    await primary.commit(3);
    await primary.sent();
    await primary.close();
    const { position, digest } = primary.store;
    for (const disk of [secondary.disk, new FaultDisk()]) {
      const again = await stage.secondary({ disk });
      await vi.waitFor(() => expect({ position: again.store.position, digest: again.store.digest }).toEqual({ position, digest }), SOON);
      await vi.waitFor(
        () => expect(again.consumer.state).toMatchObject({ state: 'offline', lastError: expect.stringMatching(/^(?:going-away|silent)/) }),
        SOON,
      );
      await again.close();
    }
  });

  it('a site with an empty disk is new, whatever the topic says of its name', async () => {
    const [primary, secondary] = await stage.pair();
    await secondary.close();
    const again = await stage.secondary({ disk: new FaultDisk() });
    await again.equals(primary);
    // Until the primary reads the control topic, it shows the site that closed.
    await vi.waitFor(() => expect(primary.peer('b')).toMatchObject({ state: 'replicate', through: `topic ${stage.topic.name}` }), SOON);
  });
});
