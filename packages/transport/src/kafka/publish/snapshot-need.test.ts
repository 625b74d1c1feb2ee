import type { ReasonCode } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { POSITION } from '../../../../../test/support/links.ts';
import { snapshotNeed } from './snapshot-need.ts';
import type { SnapshotView } from './snapshot-need.ts';

const at = (revision: number) => ({ ...POSITION, revision });
const NOW = 1_000_000;
const newest = { id: 'b', position: at(50), time: NOW - 1000, bytes: 500, follow: 51n };

/** A topic of 100 records of 10 bytes, with a snapshot in its middle. */
function view(change: Partial<SnapshotView> = {}): SnapshotView {
  return {
    now: NOW,
    low: 0n,
    high: 100n,
    newest,
    whole: false,
    lowTime: NOW - 2000,
    recordBytes: 10,
    retentionMs: undefined,
    retentionBytes: undefined,
    foreignTo: undefined,
    snapshotBytes: 1_000_000,
    wants: [],
    ...change,
  };
}

const want = { site: 's', after: at(40), tried: undefined };

describe('a snapshot beside the frames', () => {
  test.for<[string, SnapshotView]>([
    ['the newest is near', view()],
    ['the topic begins with the first frame of all', view({ newest: undefined, whole: true })],
    ['the topic is empty', view({ newest: undefined, low: 7n, high: 7n })],
    ['less than half of the time has passed', view({ retentionMs: 2000 })],
    ['less than half of the bytes follow', view({ retentionBytes: 980 })],
    ['nothing follows the newest, however old it is', view({ newest: { ...newest, follow: 100n, time: 0 }, retentionMs: 10 })],
    ['a secondary wants one that is there', view({ wants: [want] })],
    ['a secondary tried one that has been followed by another', view({ wants: [{ ...want, tried: 'a' }] })],
    ["the newest stands behind another writer's frames", view({ foreignTo: 51n })],
    ['the topic is another one since those were seen', view({ foreignTo: 101n })],
    ['what follows is less than the tree itself', view({ snapshotBytes: 100 })],
  ])('is not due while %s', ([, given]) => {
    expect(snapshotNeed(given)).toBeUndefined();
  });

  test.for<[string, SnapshotView, RegExp, ReasonCode]>([
    [
      'the topic begins in the middle, and there is none',
      view({ newest: undefined, low: 5n }),
      /^the topic does not reach back to the beginning/,
      'log-begins-late',
    ],
    ['what follows the newest has gone', view({ low: 52n }), /^retention has removed what follows the snapshot of 7-50/, 'log-begins-late'],
    [
      'another writer put frames behind the newest',
      view({ foreignTo: 52n }),
      /^another writer put frames into the topic/,
      'foreign-frames',
    ],
    [
      'half of the time has passed',
      view({ retentionMs: 1999 }),
      /^what follows the snapshot of 7-50 is older than half .*"retention.ms" is 1999/,
      'retention-near',
    ],
    [
      'half of the bytes follow',
      view({ retentionBytes: 979 }),
      /^what follows the snapshot of 7-50 is more than half .*"retention.bytes" is 979/,
      'retention-near',
    ],
    [
      'the beginning is as old as that',
      view({ newest: undefined, whole: true, retentionMs: 3999 }),
      /^what follows the topic's beginning is older/,
      'retention-near',
    ],
    ['too much follows', view({ snapshotBytes: 100, newest: { ...newest, bytes: 400 } }), /^so much follows .* slow/, 'catch-up-slow'],
    [
      'a secondary wants one, and there is none',
      view({ newest: undefined, whole: true, wants: [want] }),
      /^s stands at 7-40 and can go on/,
      'reader-waits',
    ],
    ['a secondary has more than the newest', view({ wants: [{ ...want, after: at(51) }] }), /^s stands at 7-51/, 'reader-waits'],
    ['a secondary tried the newest in vain', view({ wants: [{ ...want, tried: 'b' }] }), /^s stands at 7-40/, 'reader-waits'],
  ])('is due when %s', ([, given, reason, code]) => {
    expect(snapshotNeed(given)?.text).toMatch(reason);
    expect(snapshotNeed(given)?.code).toBe(code);
  });
});
