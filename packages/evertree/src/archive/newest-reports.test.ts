import type { ArchiveHead, Target } from '@evertree/archive';
import { EvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { encodeHead } from '../../../archive/src/format/head-codec.ts';
import { ManualClock } from '../../../../test/support/host.ts';
import { NewestReports } from './newest-reports.ts';

const HEAD: ArchiveHead = {
  archive: '0'.repeat(32),
  stream: null,
  counter: 1,
  time: 0,
  manifest: null,
  recipients: [],
  conditions: true,
  drilled: { time: 5, passed: true, position: { epoch: 1, revision: 2 }, milliseconds: 3, report: 'drill/1' },
  verified: null,
};

/** A target of which only HEAD is read; it is away while `head` is undefined. */
class HeadTarget {
  head: ArchiveHead | undefined;
  reads = 0;
  opened = 0;
  closed = 0;

  readonly open = (): Promise<Target> => {
    this.opened++;
    if (this.head === undefined) return Promise.reject(new EvertreeError('UNREACHABLE', 'it is away'));
    return Promise.resolve(this as unknown as Target);
  };

  get(): Promise<{ readonly bytes: Buffer }> {
    this.reads++;
    return Promise.resolve({ bytes: encodeHead(this.head!) });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

/** Lets what is under way go on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe('the newest reports of an archive', () => {
  test('are read in the background, once a minute, and no more often than every 5 s for whoever asks', async () => {
    const clock = new ManualClock();
    const target = new HeadTarget();
    target.head = HEAD;
    await using reports = new NewestReports(clock, target.open);
    expect(reports.drilled).toBe(null);
    await settled();
    expect(reports).toMatchObject({ drilled: HEAD.drilled, verified: null });
    expect(target.reads).toBe(1);
    clock.advance(4_999);
    expect(reports.drilled).toEqual(HEAD.drilled);
    expect(target.reads).toBe(1);
    target.head = { ...HEAD, drilled: { ...HEAD.drilled!, passed: false } };
    clock.advance(1);
    // Whoever asks gets what is known, and has it read anew.
    expect(reports.drilled).toMatchObject({ passed: true });
    await settled();
    expect(reports.drilled).toMatchObject({ passed: false });
    clock.advance(60_000);
    await settled();
    expect(target).toMatchObject({ reads: 3, opened: 1 });
  });

  test('stay as they were while the target is away, which is opened as soon as it is there', async () => {
    const clock = new ManualClock();
    const target = new HeadTarget();
    const reports = new NewestReports(clock, target.open);
    await settled();
    clock.advance(60_000);
    await settled();
    expect(reports.drilled).toBe(null);
    expect(target).toMatchObject({ opened: 2, reads: 0 });
    target.head = HEAD;
    clock.advance(60_000);
    await settled();
    expect(reports.drilled).toEqual(HEAD.drilled);
    await reports[Symbol.asyncDispose]();
    expect(target.closed).toBe(1);
    clock.advance(600_000);
    expect(reports.drilled).toEqual(HEAD.drilled);
    expect(target.reads).toBe(1);
  });
});
