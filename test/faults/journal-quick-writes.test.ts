import { setImmediate as nextTurn } from 'node:timers/promises';
import { ORIGIN, type Journal } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { expectedFrames, readAll } from '../conformance/journal-suite.ts';
import { DelayedDisk } from '../support/delayed-disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { ManualClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

/** A disk whose writes take time on the clock, and that counts those that held the event loop. */
class TimedDisk extends DelayedDisk {
  writeMs = 0.2;
  /** Synchronous calls, and the longest of them. */
  holds = 0;
  longestHoldMs = 0;
  readonly #clock: ManualClock;

  constructor(disk: FaultDisk, clock: ManualClock) {
    super(disk);
    this.#clock = clock;
  }

  protected override read<T>(run: () => Promise<T>): Promise<T> {
    return run();
  }

  protected override async write<T>(run: () => Promise<T>): Promise<T> {
    const result = await run();
    this.#clock.advance(this.writeMs);
    return result;
  }

  protected override hold(run: () => void): void {
    run();
    this.#clock.advance(this.writeMs);
    this.holds++;
    this.longestHoldMs = Math.max(this.longestHoldMs, this.writeMs);
  }
}

async function prepare(writeMs = 0.2) {
  const clock = new ManualClock();
  const faults = new FaultDisk();
  const disk = new TimedDisk(faults, clock);
  const { reports, report } = collectReports();
  const journal = await openJournal({ disk, clock, random: systemRandom, report, options: { sync: 'dsync', segmentBytes: 64 * 1024 } });
  const chain = new FrameChain();
  // The first frame makes the first segment, which is synchronous on any disk.
  journal.log.append(chain.next());
  await journal.log.flush();
  disk.writeMs = writeMs;
  disk.holds = 0;
  disk.longestHoldMs = 0;
  return { clock, disk, faults, reports, journal, chain };
}

async function write(journal: Journal, chain: FrameChain, groups: number): Promise<void> {
  for (let group = 0; group < groups; group++) {
    journal.log.append(chain.next());
    await journal.log.flush();
  }
}

describe('small groups', () => {
  test('are written synchronously where the disk is quick, a turn one group, and no listener is called within append', async () => {
    const { disk, journal, chain } = await prepare();
    await write(journal, chain, 20);
    disk.holds = 0;
    const told: number[] = [];
    journal.log.onProgress(() => told.push(journal.log.stable.revision));
    journal.log.append(chain.next());
    journal.log.append(chain.next());
    expect([told, disk.holds, journal.log.busy]).toEqual([[], 0, true]);
    const { revision } = journal.log.last;
    await journal.log.flush();
    expect([told, disk.holds, journal.log.busy, journal.log.stable]).toEqual([[revision], 1, false, journal.log.last]);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('never hold the event loop on a disk that takes 5 ms', async () => {
    const { disk, journal, chain } = await prepare(5);
    await write(journal, chain, 200);
    expect(disk.holds).toBe(0);
    await journal.close();
  });

  test('one that stalls after many quick ones is the last for a hundred times as long', async () => {
    const { clock, disk, journal, chain } = await prepare();
    await write(journal, chain, 100);
    const before = disk.holds;
    expect(before).toBeGreaterThan(50);
    disk.writeMs = 500;
    await write(journal, chain, 1);
    expect([disk.holds, disk.longestHoldMs]).toEqual([before + 1, 500]);
    disk.writeMs = 0.2;
    await write(journal, chain, 200);
    expect(disk.holds).toBe(before + 1);
    clock.advance(50_000);
    await write(journal, chain, 20);
    expect(disk.holds).toBeGreaterThan(before + 1);
    await journal.close();
  });

  test('a large group is written asynchronously', async () => {
    const { disk, journal, chain } = await prepare();
    await write(journal, chain, 20);
    disk.holds = 0;
    journal.log.append(chain.next({ bytes: 20_000 }));
    await journal.log.flush();
    expect(disk.holds).toBe(0);
    await journal.close();
  });

  test('a listener that writes all that is pending takes the next group away', async () => {
    const { faults, journal, chain } = await prepare();
    await write(journal, chain, 20);
    const release = faults.hold('write');
    journal.log.append(chain.next({ bytes: 20_000 }));
    await nextTurn();
    journal.log.append(chain.next());
    const writing = journal.log.onProgress(() => journal.log.flushSync());
    release();
    await journal.log.flush();
    writing[Symbol.dispose]();
    expect([journal.log.stable, journal.log.pendingBytes]).toEqual([chain.position, 0]);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('a listener that writes all that is pending leaves nothing for the next segment, and the journal goes on', async () => {
    const { journal, chain } = await prepare();
    journal.log.append(chain.next({ bytes: 65_000 }));
    journal.log.append(chain.next());
    const writing = journal.log.onProgress(() => journal.log.flushSync());
    await journal.log.flush();
    await write(journal, chain, 2);
    writing[Symbol.dispose]();
    expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('a full disk keeps what was to be written synchronously, and takes it when there is room', async () => {
    expectErrors('storage-full');
    const { clock, faults, journal, chain } = await prepare();
    await write(journal, chain, 20);
    const { stable } = journal.log;
    const full = faults.fail({ operation: 'write', path: /evj/, code: 'ENOSPC' });
    journal.log.append(chain.next());
    await nextTurn();
    expect([journal.log.state, journal.log.stable]).toEqual(['full', stable]);
    full[Symbol.dispose]();
    clock.advance(1_000);
    await nextTurn();
    expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('a synchronous write that fails ends the journal, and nothing of it is stable', async () => {
    expectErrors('storage-failed', 'closed-with-pending');
    const { faults, journal, chain } = await prepare();
    await write(journal, chain, 20);
    const { stable } = journal.log;
    faults.fail({ operation: 'write', path: /evj/, code: 'EIO' });
    journal.log.append(chain.next());
    await nextTurn();
    expect([journal.log.state, journal.log.stable]).toEqual(['failed', stable]);
    await journal.close();
  });
});

test('a group that meets zeros waits for the piece in flight, and not for all of them', async () => {
  const disk = new FaultDisk();
  const { report } = collectReports();
  const options = { sync: 'dsync', segmentBytes: 8 * 1024 * 1024 } as const;
  const journal = await openJournal({ disk, clock: new ManualClock(), random: systemRandom, report, options });
  const chain = new FrameChain();
  await write(journal, chain, 2);
  const [segment] = disk.files.filter(path => path.endsWith('.evj'));
  expect(disk.bytes(segment!).length).toBeLessThan(512 * 1024);
  // No piece is written over what was appended meanwhile.
  await write(journal, chain, 50);
  journal.log.append(chain.next({ bytes: 300_000 }));
  await journal.log.flush();
  expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
  await journal.close();
});
