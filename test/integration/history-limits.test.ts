import { type LeaseKind, type Report, Store } from '@evertree/core';
import { type JournalOptions, openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { SnapshotSchedule } from '../../packages/evertree/src/site/snapshot-schedule.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock, systemRandom as random } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const ALL = Number.MAX_SAFE_INTEGER;

interface Opened {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly reports: Report[];
}

/** A site's store with its schedule, on a clock that the test moves. */
async function open(options: JournalOptions, disk = new FaultDisk()): Promise<Opened> {
  const clock = new ManualClock();
  clock.advance(1_000 * DAY);
  const { reports, report } = collectReports();
  const journal = await openJournal({
    disk,
    clock,
    random,
    report,
    identity: { site: 'a' },
    options: { sync: 'fdatasync', segmentBytes: 64 * 1024, ...options },
  });
  const store = await Store.open({ journal, clock, random, report });
  SnapshotSchedule.start(store, options);
  return { store, clock, reports };
}

/** One commit an hour, for so long. Files are written and removed meanwhile. */
async function live({ store, clock }: Opened, hours: number): Promise<void> {
  for (let hour = 0; hour < hours; hour++) {
    store.put('/hour', clock.now() / HOUR);
    await store.flush();
    clock.advance(HOUR);
    // What the schedule began in that hour goes on between the turns.
    for (let turn = 0; turn < 8; turn++) await new Promise(resolve => setImmediate(resolve));
    await store.flush();
  }
}

function held({ store }: Opened): [LeaseKind, string, number][] {
  return (store.journal.retention.status?.held ?? []).map(({ kind, name, position }) => [kind, name, position.revision]);
}

describe('the history of a site', () => {
  test('stays whole while there is room, whatever snapshots were written', async () => {
    const opened = await open({ retentionMaxMs: ALL });
    await live(opened, 30);
    await opened.store.saveSnapshot();
    await live(opened, 30);
    await opened.store.saveSnapshot();
    const { log, retention } = opened.store.journal;
    expect([log.base.revision, retention.status?.from.position.revision]).toEqual([0, 0]);
    expect(retention.status?.from.time).toBe(1_000 * DAY);
    await opened.store.close();
  });

  test('goes when it is older than it may be, in steps of a quarter, however slowly it grows', async () => {
    const opened = await open({ retentionMaxMs: 4 * DAY });
    await live(opened, 20 * 24);
    const { from } = opened.store.journal.retention.status!;
    const age = opened.clock.now() - from.time!;
    expect(age).toBeGreaterThanOrEqual(4 * DAY - 2 * HOUR);
    expect(age).toBeLessThanOrEqual(6 * DAY + 2 * HOUR);
    expect(opened.store.journal.log.base.revision).toBeGreaterThan(14 * 24);
    await opened.store.close();
  });

  test('goes when more commits follow than are to be kept, in steps of a quarter', async () => {
    const opened = await open({ retentionMaxMs: ALL, retentionMaxCommits: 40 });
    await live(opened, 200);
    const { last } = opened.store.journal.log;
    const kept = last.revision - opened.store.journal.retention.status!.from.position.revision;
    expect(kept).toBeGreaterThanOrEqual(40);
    expect(kept).toBeLessThanOrEqual(64);
    await opened.store.close();
  });

  test.each(['peer', 'copy', 'backup'] as const)('stays for a %s that needs it, which is named and reported once', async kind => {
    const opened = await open({ retentionMaxMs: 4 * DAY });
    await live(opened, 24);
    const { store } = opened;
    const { position } = store;
    store.journal.leases.hold(kind, 'needs-it', position);
    await live(opened, 20 * 24);
    expect(held(opened)).toEqual([[kind, 'needs-it', position.revision]]);
    expect(store.journal.log.base.revision).toBeLessThanOrEqual(position.revision);
    expect(store.journal.retention.status!.held[0]!.bytes).toBeGreaterThan(0);
    const told = opened.reports.filter(({ event }) => event === 'retention-held');
    expect(told.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        new RegExp(`^\\d+ bytes of history beyond the limits of retention stay: the ${kind} needs-it needs what follows 1-25$`),
      ),
    ]);
    store.journal.leases.release(kind, 'needs-it');
    await live(opened, 2);
    expect(held(opened)).toEqual([]);
    expect(store.journal.log.base.revision).toBeGreaterThan(position.revision);
    await store.close();
  });

  test('reaches as far after a restart', async () => {
    const disk = new FaultDisk();
    const opened = await open({ retentionMaxMs: 4 * DAY }, disk);
    await live(opened, 10 * 24);
    const { from } = opened.store.journal.retention.status!;
    await opened.store.close();
    const again = await open({ retentionMaxMs: ALL }, disk);
    expect(again.store.journal.retention.status!.from).toEqual(from);
    await again.store.close();
  });

  test('says when it will be full: by how much it has grown in the last hour', async () => {
    const opened = await open({ retentionMaxMs: ALL, retentionMaxBytes: 2 ** 30 });
    expect(opened.store.journal.retention.status!.fullInMs).toBeUndefined();
    await live(opened, 3);
    const soon = opened.store.journal.retention.status!.fullInMs!;
    opened.clock.advance(30 * DAY);
    expect(opened.store.journal.retention.status!.fullInMs!).toBeGreaterThan(soon);
    await opened.store.close();
  });
});
