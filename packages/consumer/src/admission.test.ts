import { describe, expect, it } from 'vitest';
import { PROTOCOL_VERSIONS } from '@evertree/core';
import type { Epoch, ExactPosition, Hello } from '@evertree/core';
import { admit, explain, partsAt } from './admission.ts';
import type { AskedSite } from './admission.ts';

const STREAM = 'aa'.repeat(16);
const OTHER = 'bb'.repeat(16);

function epoch(number: number, id = `${number}`): Epoch {
  const base: ExactPosition = { epoch: number - 1, epochId: '0'.repeat(16), revision: (number - 1) * 100 };
  return { number, id: id.padStart(16, '0'), site: 'a', base, reason: 'test', time: 0 };
}

/** Of a primary in this epoch. */
function hello(site: string, number: number, more: Partial<Hello> & { id?: string } = {}): Hello {
  const { id = `${number}`, ...rest } = more;
  const current = epoch(number, id);
  const position = { epoch: number, epochId: current.id, revision: number * 100 };
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site,
    role: 'primary',
    stream: STREAM,
    position,
    digest: 'd',
    epochs: [current],
    durable: true,
    standing: 'primary',
    standby: false,
    ...rest,
  };
}

const EPOCH_2: Pick<AskedSite, 'last' | 'epochs'> = {
  last: { epoch: 2, epochId: epoch(2).id, revision: 150 },
  epochs: [epoch(1), epoch(2)],
};
const FREE: AskedSite = {
  site: 's',
  stream: STREAM,
  standing: 'secondary',
  fencedBy: undefined,
  ...EPOCH_2,
  feeder: undefined,
  quarantine: undefined,
};
const EMPTY: AskedSite = { ...FREE, stream: null, last: { epoch: 0, epochId: '0'.repeat(16), revision: 0 }, epochs: [] };

function fedBy(feeder: Hello, secondary = FREE): AskedSite {
  return { ...secondary, feeder: { hello: feeder, remote: 'there:1' } };
}

/** In epoch 2, which it began. */
const PRIMARY: AskedSite = { ...FREE, standing: 'primary', epochs: [epoch(1), { ...epoch(2), site: 's' }] };

function fenced(site: AskedSite, number: number, begun = true): AskedSite {
  return { ...site, fencedBy: { number, id: epoch(number).id, begun } };
}

const promised = (number: number) => fenced(FREE, number, false);

const CASES: readonly [name: string, secondary: AskedSite, hello: Hello, admission: string][] = [
  ['the first primary of an empty secondary', EMPTY, hello('a', 1), 'accept'],
  ['a primary without a commit, at an empty secondary', EMPTY, hello('a', 0, { stream: null, epochs: [] }), 'accept'],
  ['a primary of our epoch', FREE, hello('a', 2), 'accept'],
  ['a primary of a later epoch', FREE, hello('a', 3), 'accept'],
  ['the same site again', fedBy(hello('a', 2)), hello('a', 2), 'accept, closing replaced'],
  ['the same site again, in a later epoch', fedBy(hello('a', 2)), hello('a', 3), 'accept, closing replaced'],
  ['another site in a later epoch', fedBy(hello('a', 2)), hello('b', 3), 'accept, closing fenced'],
  [
    'another site in an epoch of the same number and a higher id',
    fedBy(hello('a', 2)),
    hello('b', 2, { id: '3' }),
    'accept, closing fenced',
  ],
  ['another site in the same epoch', fedBy(hello('a', 2)), hello('b', 2), 'refused FORBIDDEN: s is fed by a (there:1)'],
  ['another site in an epoch between', fedBy(hello('a', 4)), hello('b', 3), 'refused FORBIDDEN: s is fed by a (there:1)'],
  ['a primary of an epoch before ours', FREE, hello('a', 1), 'fenced FENCED: a is the primary of epoch 1'],
  ["a primary of our epoch's number and a lower id", FREE, hello('a', 2, { id: '1' }), 'fenced FENCED: a is the primary of epoch 2'],
  ['another stream', FREE, hello('a', 2, { stream: OTHER }), 'stream-mismatch STREAM_MISMATCH: s holds the stream'],
  [
    'another stream in a later epoch',
    fedBy(hello('b', 2)),
    hello('a', 3, { stream: OTHER }),
    'stream-mismatch STREAM_MISMATCH: s holds the stream',
  ],
  [
    'a primary that was started empty',
    FREE,
    hello('a', 0, { stream: null, epochs: [] }),
    'stream-mismatch STREAM_MISMATCH: s holds the stream',
  ],
  ['a secondary', FREE, hello('a', 2, { role: 'secondary' }), 'wrong-role WRONG_ROLE: a is a secondary'],
  ['a release from another time', FREE, hello('a', 2, { protocols: [9] }), 'protocol-unsupported FORMAT_UNSUPPORTED: a speaks'],
  ['a primary of the epoch for which this site gave a promise', promised(3), hello('a', 3), 'accept'],
  ['the old primary after a promise', promised(3), hello('a', 2), 'fenced FENCED: a is the primary of epoch 2'],
  ['a primary of a lower epoch than this site heard of', fenced(FREE, 5), hello('a', 4), 'fenced FENCED: a is the primary of epoch 4'],
  ['a primary of a higher epoch, at a primary', PRIMARY, hello('a', 3), 'accept, fenced by 3'],
  [
    'a primary of a higher epoch, at a site that is handing over',
    { ...PRIMARY, standing: 'handing-over' },
    hello('a', 3),
    'accept, fenced by 3',
  ],
  ['a primary of the epoch that fenced this site', { ...fenced(PRIMARY, 3), standing: 'fenced' }, hello('a', 3), 'accept, fenced by 3'],
  ['the higher of two promotions of one number', PRIMARY, hello('a', 2, { id: '3' }), 'accept, fenced by 2'],
  ['the lower of two promotions of one number', PRIMARY, hello('a', 2, { id: '1' }), 'fenced FENCED: a is the primary of epoch 2'],
  ['a primary of a lower epoch, at a primary', PRIMARY, hello('a', 1), 'fenced FENCED: a is the primary of epoch 1'],
  ["a copy of this primary's directory", PRIMARY, hello('s', 2), 'history-mismatch HISTORY_MISMATCH: s at 2-200'],
  [
    'a primary that was started empty, at a primary',
    PRIMARY,
    hello('a', 0, { stream: null, epochs: [] }),
    'stream-mismatch STREAM_MISMATCH',
  ],
  ['a primary, at a primary that is empty', { ...EMPTY, standing: 'primary' }, hello('a', 1), 'accept, fenced by 1'],
  ['one that asks for a promise', FREE, hello('a', 2, { role: 'secondary', raises: { number: 3, id: epoch(3).id } }), 'raise'],
  [
    'one that asks for a promise, at a primary',
    PRIMARY,
    hello('a', 2, { role: 'secondary', raises: { number: 3, id: epoch(3).id } }),
    'raise',
  ],
  [
    'one of another stream that asks for a promise',
    FREE,
    hello('a', 2, { stream: OTHER, raises: { number: 3, id: epoch(3).id } }),
    'stream-mismatch STREAM_MISMATCH',
  ],
  [
    'any primary while a frame is in quarantine',
    { ...FREE, quarantine: 'its digest differs' },
    hello('a', 2),
    'quarantined FENCED: s reads nothing until it is started again: its digest differs',
  ],
];

describe('where a history parts from that of a primary', () => {
  const through = (id: string, base: number) => [epoch(1), epoch(2), { ...epoch(3, id), base: { ...EPOCH_2.last, revision: base } }];
  const restarted = {
    ...EPOCH_2,
    last: { epoch: 2, epochId: epoch(2, '9').id, revision: 150 },
    epochs: [...EPOCH_2.epochs, epoch(2, '9')],
  };

  it.each<[string, Pick<AskedSite, 'last' | 'epochs'>, Hello, number | undefined]>([
    ['nowhere if that one went on from ours', FREE, hello('a', 3, { epochs: through('3', 150) }), undefined],
    ['nowhere if we are behind', FREE, hello('a', 3, { epochs: through('3', 190) }), undefined],
    ['where its epoch began', FREE, hello('a', 3, { epochs: through('3', 120) }), 120],
    ['nowhere in one epoch: the primary judges that', FREE, hello('a', 2, { position: { ...EPOCH_2.last, revision: 140 } }), undefined],
    ['where a restart began that it never saw', restarted, hello('a', 3, { epochs: through('3', 120) }), 100],
    ['at the beginning if they have no epoch in common', FREE, hello('a', 3, { epochs: [epoch(3)] }), 0],
  ])('%s', (_name, ours, theirs, revision) => {
    expect(partsAt(ours, theirs)?.revision).toBe(revision);
  });
});

describe('whether a far end becomes the primary of this secondary', () => {
  it.each(CASES)('%s', (_name, secondary, theirs, expected) => {
    const admission = admit(secondary, theirs);
    if (admission.kind === 'accept') {
      const fence = admission.fence === undefined ? '' : `, fenced by ${admission.fence.number}`;
      expect(secondary.feeder === undefined ? `accept${fence}` : `accept, closing ${admission.closes}`).toBe(expected);
    } else if (admission.kind === 'raise') {
      expect(admission.kind).toBe(expected);
    } else {
      expect(`${admission.reason} ${admission.error.code}: ${admission.error.message}`.slice(0, expected.length)).toBe(expected);
    }
  });

  it('names the epoch to programs when it closes a link as fenced', () => {
    const admission = admit(promised(3), hello('a', 2));
    expect(admission.kind === 'refuse' && explain(admission, promised(3))).toMatch(
      /^epoch 3 0{15}3 promised: a is the primary.*gave a promise/,
    );
  });

  it('says whether a copy of its directory went further than itself', () => {
    expect(admit(PRIMARY, hello('s', 2))).toMatchObject({ namesake: { isBehind: true } });
    const older = hello('s', 2, { position: { ...EPOCH_2.last, revision: 120 } });
    expect(admit(PRIMARY, older)).toMatchObject({
      namesake: { isBehind: false },
      error: { message: expect.stringMatching(/is a copy of the other/) },
    });
  });

  it('refuses with a code and details that the caller can act on', () => {
    expect(admit(FREE, hello('a', 1))).toMatchObject({
      kind: 'refuse',
      error: { details: { ours: { number: 2, id: epoch(2).id }, theirs: { number: 1, id: epoch(1).id } } },
    });
    expect(admit(fedBy(hello('a', 2)), hello('b', 2))).toMatchObject({
      kind: 'refuse',
      error: { details: { feeder: 'a', remote: 'there:1' } },
    });
  });
});
