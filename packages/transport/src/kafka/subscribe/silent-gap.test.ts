import { PROTOCOL_VERSIONS } from '@evertree/core';
import type { ExactPosition } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import type { PrimaryRecord, SnapshotRecord } from '../control.ts';
import type { HeardPrimary } from './control-view.ts';
import { SilentGap } from './silent-gap.ts';

const at: ExactPosition = { epoch: 1, epochId: '0011223344556677', revision: 2 };
const NEXT = 12n;

/** A word of the primary; each is another one. */
function word(closing?: PrimaryRecord['closing'], revision = at.revision): HeardPrimary {
  const hello = {
    protocols: PROTOCOL_VERSIONS,
    program: 't',
    site: 'a',
    stream: null,
    role: 'primary',
    position: { ...at, revision },
    digest: '',
    epochs: [],
    durable: true,
    standing: 'primary',
    standby: false,
  } as const;
  return { record: { hello: { ...hello, heartbeatMs: 1 }, partition: 0, closing }, from: 'f', saidAt: 0 };
}

function snapshot(revision: number, follow = NEXT): SnapshotRecord {
  const header = { stream: '5a'.repeat(16), position: { ...at, revision }, digest: '', chain: '', epochs: [], time: 0 };
  return { id: 'f'.repeat(16), header, begin: '0', end: '1', chunks: 1, bytes: 1, follow: String(follow) };
}

/** What each of so many fetches in vain leads to. */
function starve(gap: SilentGap, times: number, found: SnapshotRecord | undefined, heard = () => word()): boolean[] {
  return Array.from({ length: times }, () => gap.unfed(heard(), found, at, NEXT) !== undefined);
}

describe('a topic that gives nothing', () => {
  it('lacks what a snapshot holds, if its primary was heard three times since', () => {
    expect(starve(new SilentGap(), 5, snapshot(3))).toEqual([false, false, false, true, true]);
  });

  it('lacks what its primary has, if that one was heard three times since, and says up to where', () => {
    const gap = new SilentGap();
    expect(starve(gap, 5, undefined, () => word(undefined, 4))).toEqual([false, false, false, true, true]);
    expect(gap.unfed(word(undefined, 4), snapshot(3), at, NEXT)?.revision).toBe(4);
    expect(gap.unfed(word(undefined, 4), snapshot(5), at, NEXT)?.revision).toBe(5);
  });

  it('is waited for while its primary is not heard again', () => {
    const same = word();
    expect(starve(new SilentGap(), 9, snapshot(3), () => same)).not.toContain(true);
  });

  it('is waited for anew after something came', () => {
    const gap = new SilentGap();
    starve(gap, 3, snapshot(3));
    gap.fed();
    expect(starve(gap, 3, snapshot(3))).toEqual([false, false, false]);
  });

  it.each<[string, SnapshotRecord | undefined]>([
    ['without a snapshot, where the primary is no further', undefined],
    ['with one that is no further', snapshot(2)],
    ['when what follows the snapshot has not been read up to', snapshot(3, NEXT + 1n)],
  ])('lacks nothing %s', (_name, found) => {
    expect(starve(new SilentGap(), 9, found)).not.toContain(true);
  });

  it('lacks nothing if its primary is closing', () => {
    expect(starve(new SilentGap(), 9, snapshot(3), () => word({ reason: 'going-away', explanation: '' }))).not.toContain(true);
  });
});
