import type { CloseReason, Hello, Message } from '@evertree/core';
import { beforeEach, describe, expect, test } from 'vitest';
import { helloOf, POSITION } from '../../../../../test/support/links.ts';
import { encodeControl } from '../control.ts';
import type { Control } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import { ReportOnce } from './report-once.ts';
import { Secondaries } from './secondaries.ts';

const HEARTBEAT_MS = 100;
const FIRST = 'a'.repeat(16);
const SECOND = 'b'.repeat(16);
const at = (revision: number) => ({ ...POSITION, revision });

let secondaries: Secondaries;
let twice: string[];
let offset: number;

beforeEach(() => {
  twice = [];
  offset = 0;
  const once = new ReportOnce(({ event, details }) => void (event === 'site-twice' && twice.push(String(details?.['site']))));
  secondaries = new Secondaries('T.control', 'north', once, () => undefined);
});

function site(state: 'replicate' | 'snapshot' = 'replicate', closing?: { reason: CloseReason; explanation: string }): Control {
  const { hello } = helloOf('secondary') as { hello: Hello };
  const value = {
    hello: { ...hello, heartbeatMs: HEARTBEAT_MS },
    state,
    reason: state === 'snapshot' ? ({ code: 'retention-passed', text: 'far behind' } as const) : null,
  };
  return { kind: 'site', site: 'south', value: closing === undefined ? value : { ...value, closing } };
}

function position(revision: number): Control {
  return { kind: 'position', site: 'south', value: { applied: at(revision), durable: at(revision) } };
}

/** One fetch of records of one link. */
function take(now: number, from: string, ...controls: Control[]): Message[] {
  const records = controls.map((control): ReceivedRecord => {
    const { key, value, headers } = encodeControl(control, from);
    return { key, value, headers, timestamp: '0', offset: String(offset++) };
  });
  secondaries.take(records, now >= 0, now);
  return [...secondaries.news()];
}

const types = (messages: readonly Message[]) => messages.map(({ type }) => type);
/** Before this link began. */
const PAST = -1;

describe('a secondary in the control topic', () => {
  test('of the past is known with its last position, and is not present', () => {
    expect(take(PAST, FIRST, site(), position(7))).toEqual([]);
    expect([...secondaries.known()]).toMatchObject([
      { type: 'reader', present: false, hello: { site: 'south', position: { revision: 7 } } },
    ]);
  });

  test('is new at its hello, and heard with each position, even an unchanged one', () => {
    expect(types(take(0, FIRST, site(), position(7)))).toEqual(['reader', 'acknowledge']);
    expect(types(take(50, FIRST, position(7)))).toEqual(['acknowledge']);
  });

  test('costs one message for all positions of a fetch', () => {
    take(0, FIRST, site());
    expect(take(1, FIRST, position(1), position(2), position(3))).toMatchObject([{ type: 'acknowledge', applied: { revision: 3 } }]);
  });

  test('reports that it takes a snapshot, and that it has taken it', () => {
    take(0, FIRST, site());
    expect(take(1, FIRST, site('snapshot'))).toMatchObject([
      { type: 'reader' },
      { type: 'reader-resync', reason: { code: 'retention-passed', text: 'far behind' } },
    ]);
    expect(types(take(2, FIRST, site()))).toEqual(['reader']);
  });

  test('says goodbye, with its reason', () => {
    take(0, FIRST, site());
    const closing = { reason: 'quarantined', explanation: 'a frame' } as const;
    expect(take(1, FIRST, site('replicate', closing))).toMatchObject([
      { type: 'reader-lost', reason: 'quarantined', explanation: 'a frame' },
    ]);
    secondaries.lapse(10_000);
    expect([...secondaries.news()]).toEqual([]);
  });

  test('is lost after three heartbeats, and present again with any record', () => {
    take(0, FIRST, site());
    secondaries.lapse(299);
    expect([...secondaries.news()]).toEqual([]);
    secondaries.lapse(300);
    expect([...secondaries.news()]).toMatchObject([{ type: 'reader-lost', reason: 'silent' }]);
    expect(types(take(400, FIRST, position(9)))).toEqual(['reader', 'acknowledge']);
  });

  test('is its newest link: late records of the link before change nothing', () => {
    take(0, FIRST, site(), position(5));
    take(1, SECOND, site());
    expect(take(2, FIRST, position(6))).toEqual([]);
    expect(twice).toEqual([]);
  });

  test('is reported as two when both go on under one name', () => {
    take(0, FIRST, site());
    take(1, SECOND, site());
    const both = (now: number) => {
      take(now, SECOND, position(now));
      take(now, FIRST, position(now));
    };
    for (let now = 100; now <= 400; now += 100) both(now);
    expect(twice).toEqual([]);
    both(500);
    expect(twice).toEqual(['south']);
  });

  test('is the link that goes on, if the hello of another came late, from before it died', () => {
    take(0, SECOND, site('snapshot'), position(5));
    take(1, FIRST, site('replicate', { reason: 'going-away', explanation: 'it stops' }));
    for (let now = 100; now <= 400; now += 100) expect(take(now, SECOND, position(now))).toEqual([]);
    expect(types(take(500, SECOND, position(500)))).toEqual(['reader', 'reader-resync', 'acknowledge']);
    expect(types(take(600, SECOND, position(600)))).toEqual(['acknowledge']);
    expect(twice).toEqual([]);
  });

  test('is so for a primary, too, that read the late hello only', () => {
    take(0, FIRST, site('replicate', { reason: 'going-away', explanation: 'it stops' }));
    for (let now = 100; now <= 400; now += 100) expect(take(now, SECOND, position(now))).toEqual([]);
    expect(types(take(500, SECOND, position(500)))).toEqual(['reader', 'acknowledge']);
  });

  test('that was forgotten is not known', () => {
    take(0, FIRST, site());
    take(1, FIRST, { kind: 'site', site: 'south', value: null });
    expect(take(2, FIRST, position(3))).toEqual([]);
  });

  test('wants a snapshot as long as it is there and says so', () => {
    const want: Control = {
      kind: 'want',
      site: 'south',
      value: { after: at(3), reason: { code: 'frames-missing', text: 'a gap' }, tried: null },
    };
    take(0, FIRST, site(), want);
    expect(secondaries.wants).toEqual([{ site: 'south', after: at(3), tried: undefined }]);
    take(1, FIRST, { ...want, value: null });
    expect(secondaries.wants).toEqual([]);
  });
});
