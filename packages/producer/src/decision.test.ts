import { describe, expect, it } from 'vitest';
import { ORIGIN, PROTOCOL_VERSIONS, SITE } from '@evertree/core';
import type { Epoch, ExactPosition, Hello } from '@evertree/core';
import { decide, decideReturn, refuseAtTheDoor } from './decision.ts';
import type { Decision, OwnHistory } from './decision.ts';

const IDS: Record<string, string> = {
  '0': '0'.repeat(16),
  '1': '11'.repeat(8),
  '2': '22'.repeat(8),
  '3': '33'.repeat(8),
  x: '99'.repeat(8),
  l: '01'.repeat(8),
};
const STREAM = 'aa'.repeat(16);

/** `2-150`: epoch 2, revision 150. `3x-7`: epoch 3 with another id. */
function at(text: string): ExactPosition {
  const [, number, variant, revision] = /^(\d)([xl]?)-(\d+)$/.exec(text)!;
  return { epoch: Number(number), epochId: IDS[variant === '' ? number! : variant!]!, revision: Number(revision) };
}

function epoch(name: string, base: string): Epoch {
  const { epoch: number, epochId: id } = at(`${name}-1`);
  return { number, id, site: 'a', base: at(base), reason: 'test', time: 0 };
}

const TABLE = [epoch('1', '0-0'), epoch('2', '1-100'), epoch('3', '2-200')];

/** At 3-300, of which the journal keeps what follows 2-150. */
const OURS: OwnHistory = { site: 'a', stream: STREAM, last: at('3-300'), digest: 'd300', base: at('2-150'), epochs: TABLE };
/** The same, started again at 3-300. */
const RESTARTED: OwnHistory = { ...OURS, last: at('3x-320'), epochs: [...TABLE, epoch('3x', '3-300')] };
const FENCED: OwnHistory = { ...OURS, fencedBy: { number: 4, id: IDS['x']!, begun: true } };
const WHOLE: OwnHistory = { ...OURS, base: ORIGIN };
const EMPTY: OwnHistory = { site: 'a', stream: null, last: ORIGIN, digest: 'd0', base: ORIGIN, epochs: [] };

function hello(position: string, more: Partial<Hello> = {}): Hello {
  const place = at(position);
  const epochs = TABLE.filter(known => known.number <= place.epoch);
  const stream = place.revision === 0 ? null : STREAM;
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'b',
    role: 'secondary',
    stream,
    position: place,
    digest: 'd',
    epochs,
    durable: true,
    standing: 'secondary',
    standby: false,
    ...more,
  };
}

function told(decision: Decision): string {
  switch (decision.kind) {
    case 'replicate':
      return `replicate after ${decision.after.epoch}-${decision.after.revision}`;
    case 'wait':
      return `wait ${decision.error.code}`;
    case 'refuse':
      return `${decision.fence === undefined ? 'refuse' : 'fence'} ${decision.reason} ${decision.state} ${decision.error.code}`;
    default:
      return `${decision.kind} ${decision.reason.code}: ${decision.reason.text}`;
  }
}

const CASES: readonly [name: string, ours: OwnHistory, theirs: Hello, found: string | undefined, decision: string][] = [
  ['an empty secondary of an empty primary', EMPTY, hello('0-0'), undefined, 'replicate after 0-0'],
  ['an empty secondary, and a journal that reaches back to the origin', WHOLE, hello('0-0'), undefined, 'replicate after 0-0'],
  ['an empty secondary that once had the stream', WHOLE, hello('0-0', { stream: STREAM }), undefined, 'replicate after 0-0'],
  [
    'an empty secondary, and a journal that does not',
    OURS,
    hello('0-0'),
    undefined,
    'snapshot new-secondary: new secondary: it holds nothing yet, and the journal keeps what follows 2-150',
  ],
  ['a secondary that is behind', OURS, hello('2-180'), 'd', 'replicate after 2-180'],
  ['a secondary behind by an epoch, at its end', OURS, hello('2-200'), 'd', 'replicate after 2-200'],
  ['a secondary that has everything', OURS, hello('3-300'), 'd', 'replicate after 3-300'],
  ['a secondary where the journal begins, its frame gone', OURS, hello('2-150'), undefined, 'replicate after 2-150'],
  ['a secondary where the journal begins, another tree', OURS, hello('2-150'), 'e', 'refuse history-mismatch diverged HISTORY_MISMATCH'],
  [
    'a secondary that retention has passed by',
    OURS,
    hello('2-149'),
    undefined,
    "snapshot retention-passed: b's position 2-149 lies before what the primary's journal keeps (from 2-150): retention has passed it by",
  ],
  [
    'a secondary that retention has passed by, in an older epoch',
    OURS,
    hello('1-100'),
    undefined,
    "snapshot retention-passed: b's position 1-100 lies before what the primary's journal keeps (from 2-150): retention has passed it by",
  ],
  ['another tree at the same position', OURS, hello('3-250'), 'e', 'refuse history-mismatch diverged HISTORY_MISMATCH'],
  ['no frame that ends there', OURS, hello('3-250'), undefined, 'refuse history-mismatch diverged HISTORY_MISMATCH'],
  ['a secondary further in a finished epoch than that epoch went', OURS, hello('2-201'), undefined, 'wait HISTORY_MISMATCH'],
  ['a revision before its epoch began', OURS, hello('3-200'), 'd', 'refuse history-mismatch diverged HISTORY_MISMATCH'],
  ['an epoch of the same number and a lower id, never ours', OURS, hello('3l-250', { epochs: [] }), undefined, 'wait HISTORY_MISMATCH'],
  ['an old epoch that was never ours, before the journal', OURS, hello('1x-50', { epochs: [] }), undefined, 'wait HISTORY_MISMATCH'],
  ['a secondary ahead in our own epoch', OURS, hello('3-301'), undefined, 'fence history-mismatch diverged FENCED'],
  [
    'a secondary that knows a higher epoch',
    OURS,
    hello('2-180', { epochs: [...TABLE, { ...epoch('3', '3-250'), number: 4, id: IDS['x']! }] }),
    'd',
    'fence fenced fenced FENCED',
  ],
  ['a secondary in a higher epoch', OURS, hello('4x-301', { epochs: [] }), undefined, 'fence fenced fenced FENCED'],
  [
    'a secondary in an epoch of the same number and a higher id',
    OURS,
    hello('3x-250', { epochs: [] }),
    undefined,
    'fence fenced fenced FENCED',
  ],
  ['another stream', OURS, hello('3-250', { stream: 'bb'.repeat(16) }), undefined, 'refuse stream-mismatch diverged STREAM_MISMATCH'],
  [
    'another stream in a higher epoch',
    OURS,
    hello('4x-301', { stream: 'bb'.repeat(16), epochs: [] }),
    undefined,
    'refuse stream-mismatch diverged STREAM_MISMATCH',
  ],
  ['a primary that was started empty', EMPTY, hello('3-250'), undefined, 'fence stream-mismatch diverged STREAM_MISMATCH'],
  ['another primary', OURS, hello('3-250', { role: 'primary' }), 'd', 'refuse wrong-role offline WRONG_ROLE'],
  ['another primary, promoted since', OURS, hello('4x-301', { role: 'primary', epochs: [] }), undefined, 'fence fenced fenced FENCED'],
  [
    'another primary, of an epoch that ours went on from',
    OURS,
    hello('2-180', { role: 'primary', standing: 'primary' }),
    'd',
    'replicate after 2-180',
  ],
  [
    'another primary, which wrote on after the promotion here',
    OURS,
    hello('2-230', { role: 'primary', standing: 'fenced' }),
    undefined,
    'wait HISTORY_MISMATCH',
  ],
  [
    'a copy of this primary, which is ahead',
    OURS,
    hello('3-301', { role: 'primary', standing: 'primary' }),
    undefined,
    'fence history-mismatch diverged FENCED',
  ],
  [
    'a secondary that gave another site a promise',
    OURS,
    hello('3-250', { fencedBy: { number: 4, id: IDS['l']!, begun: false } }),
    'd',
    'fence fenced fenced FENCED',
  ],
  [
    'a secondary that gave this site a promise',
    OURS,
    hello('2-180', { fencedBy: { number: 3, id: IDS['3']!, begun: false } }),
    'd',
    'replicate after 2-180',
  ],
  [
    'a secondary that was fenced by an epoch before ours',
    OURS,
    hello('2-180', { fencedBy: { number: 3, id: IDS['l']!, begun: true } }),
    'd',
    'replicate after 2-180',
  ],
  ['a secondary from before a restart of this primary', RESTARTED, hello('3-280'), 'd', 'replicate after 3-280'],
  ['a secondary in the entry of a restart', RESTARTED, hello('3x-310', { epochs: RESTARTED.epochs }), 'd', 'replicate after 3-310'],
  [
    'a secondary with more from before the restart of an older copy',
    RESTARTED,
    hello('3-301'),
    undefined,
    'fence history-mismatch diverged FENCED',
  ],
  [
    'a secondary in a restart that an older copy never saw, with a lower id',
    OURS,
    hello('3l-310', { epochs: [...TABLE, epoch('3l', '3-290')] }),
    undefined,
    'fence history-mismatch diverged FENCED',
  ],
  [
    'a secondary in a restart that an older copy never saw, with a higher id',
    OURS,
    hello('3x-310', { epochs: [...TABLE, epoch('3x', '3-290')] }),
    undefined,
    'fence history-mismatch diverged FENCED',
  ],
  ['any secondary of a fenced primary', FENCED, hello('3-250'), 'd', 'refuse going-away offline FENCED'],
  [
    'a secondary of a fenced primary that knows a higher epoch itself',
    FENCED,
    hello('4x-301', { epochs: [] }),
    undefined,
    'fence fenced fenced FENCED',
  ],
  [
    'a release from another time',
    OURS,
    hello('3-250', { protocols: [7, 8] }),
    'd',
    'refuse protocol-unsupported offline FORMAT_UNSUPPORTED',
  ],
];

describe("the primary's decision on a hello", () => {
  it.each(CASES)('%s', (_name, ours, theirs, found, decision) => {
    expect(told(decide(ours, theirs, SITE, found))).toBe(decision);
  });

  it('names both positions where histories part, and both streams where they differ', () => {
    const parted = decide(OURS, hello('3-250'), SITE, 'e');
    expect(parted).toMatchObject({ error: { details: { ours: at('3-300'), theirs: at('3-250') } } });
    const stranger = decide(OURS, hello('3-250', { stream: 'bb'.repeat(16) }), SITE, undefined);
    expect(stranger).toMatchObject({ error: { details: { expected: STREAM, found: 'bb'.repeat(16) } } });
  });

  it('names the remedies for an older copy', () => {
    const ahead = decide(OURS, hello('3-301'), SITE, undefined);
    expect(ahead).toMatchObject({
      error: { message: expect.stringMatching(/3-301.*3-300.*stop it and start the newer copy.*empty directory/) },
    });
  });

  it('names the epoch that fences it, and none if it lags in its own epoch', () => {
    expect(decide(OURS, hello('4x-301', { epochs: [] }), SITE, undefined)).toMatchObject({
      fence: { epoch: { number: 4, id: IDS['x'], begun: true } },
      error: { details: { ours: at('3-300'), theirs: at('4x-301') } },
    });
    expect(decide(OURS, hello('3-301'), SITE, undefined)).toMatchObject({ fence: { epoch: undefined } });
  });

  it('takes a higher revision of another epoch for another history, and not for a newer copy', () => {
    for (const position of ['2-350', '3l-350', '1x-350']) {
      expect(told(decide(OURS, hello(position, { epochs: [] }), SITE, undefined))).toBe('wait HISTORY_MISMATCH');
    }
  });

  it('tells a promise from an epoch that has begun', () => {
    const promised = { number: 4, id: IDS['l']!, begun: false };
    expect(decide(OURS, hello('3-250', { fencedBy: promised }), SITE, 'd')).toMatchObject({
      fence: { epoch: promised },
      error: { message: expect.stringMatching(/has given a promise for epoch 4 .*is being promoted/) },
    });
  });

  it('waits for a far end that is to go back, and names the fork', () => {
    expect(decide(OURS, hello('2-230'), SITE, undefined)).toMatchObject({
      kind: 'wait',
      error: { message: expect.stringMatching(/part at 2-200\./), details: { ours: at('3-300'), theirs: at('2-230'), fork: at('2-200') } },
    });
  });

  it('takes the entry of a restart at the end of a log for what this primary wrote', () => {
    const log = { kind: 'log', name: 'topic T', remedy: 'delete it' } as const;
    expect(told(decide(RESTARTED, hello('3x-310', { epochs: [] }), log, 'd'))).toBe('replicate after 3-310');
    for (const position of ['3x-310', '3l-310']) {
      expect(told(decide(OURS, hello(position, { epochs: [] }), log, undefined))).toBe('fence history-mismatch diverged FENCED');
    }
  });

  const log = { kind: 'log', name: 'topic T', remedy: 'delete it' } as const;

  it('says in an empty primary why it takes no writes', () => {
    expect(decide(EMPTY, hello('3-250'), SITE, undefined)).toMatchObject({
      error: { code: 'STREAM_MISMATCH' },
      fence: { epoch: undefined, error: { code: 'FENCED', message: expect.stringMatching(/^a is empty.*promote b/) } },
    });
  });

  it('says so in an empty primary of a log that holds a stream, with what to do about the log', () => {
    expect(decide(EMPTY, hello('3-250', { epochs: [] }), log, undefined)).toMatchObject({
      error: { code: 'STREAM_MISMATCH' },
      fence: { epoch: undefined, error: { code: 'FENCED', message: expect.stringMatching(/^a is empty.*promote a secondary.*delete it/) } },
    });
  });

  it('names the remedy of a log if the far end is one', () => {
    const remedies = [hello('3-301'), hello('3-250', { digest: 'e' })].map(theirs => [
      decide(OURS, theirs, log, 'd'),
      decide(OURS, theirs, SITE, 'd'),
    ]);
    for (const [atLog, atSite] of remedies) {
      expect(atLog).toMatchObject({ error: { message: expect.stringContaining('delete it') } });
      expect(atSite).toMatchObject({ error: { message: expect.not.stringContaining('delete it') } });
      expect(atSite).toMatchObject({ error: { message: expect.stringMatching(/(from|with) an empty directory/) } });
    }
    expect(decide(OURS, hello('3-250'), SITE, undefined)).toMatchObject({
      error: { message: expect.stringContaining('no frame of this primary ends') },
    });
  });
});

describe('a secondary that has gone back', () => {
  it.each<[string, OwnHistory, string, string | undefined]>([
    ['gets the frames after the fork', OURS, '2-200', 'replicate after 2-200'],
    ['gets a snapshot if the journal does not reach back to the fork', OURS, '1-100', 'snapshot retention-passed'],
    ['gets a snapshot if it could not go back', WHOLE, '0-0', 'snapshot fork-passed'],
    ['is in no history of ours', OURS, '2-201', undefined],
  ])('%s', (_name, ours, after, decision) => {
    const decided = decideReturn(ours, 'b', at(after), false);
    expect(decided === undefined ? undefined : told(decided).slice(0, decision?.length)).toBe(decision);
  });
});

describe('a far end that bears the name of a linked secondary', () => {
  it.each<[string, Partial<Hello>, string | undefined]>([
    ['is let in when it may be that one', {}, undefined],
    ['is refused with another stream', { stream: 'bb'.repeat(16) }, 'stream-mismatch'],
    ['is refused as a primary', { role: 'primary' }, 'wrong-role'],
    ['is refused with another release', { protocols: [9] }, 'protocol-unsupported'],
  ])('%s', (_name, more, reason) => {
    expect(refuseAtTheDoor(OURS, hello('3-250', more), SITE)?.reason).toBe(reason);
  });
});
