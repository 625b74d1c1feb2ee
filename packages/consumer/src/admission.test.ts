import { describe, expect, it } from 'vitest';
import { PROTOCOL_VERSIONS } from '@evertree/core';
import type { Epoch, ExactPosition, Hello } from '@evertree/core';
import { admit } from './admission.ts';
import type { AskedSecondary } from './admission.ts';

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

const EPOCH_2: Pick<AskedSecondary, 'last' | 'epochs'> = {
  last: { epoch: 2, epochId: epoch(2).id, revision: 150 },
  epochs: [epoch(1), epoch(2)],
};
const FREE: AskedSecondary = { site: 's', stream: STREAM, ...EPOCH_2, feeder: undefined, quarantine: undefined };
const EMPTY: AskedSecondary = { ...FREE, stream: null, last: { epoch: 0, epochId: '0'.repeat(16), revision: 0 }, epochs: [] };

function fedBy(feeder: Hello, secondary = FREE): AskedSecondary {
  return { ...secondary, feeder: { hello: feeder, remote: 'there:1' } };
}

const CASES: readonly [name: string, secondary: AskedSecondary, hello: Hello, admission: string][] = [
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
  [
    'any primary while a frame is in quarantine',
    { ...FREE, quarantine: 'its digest differs' },
    hello('a', 2),
    'quarantined FENCED: s reads nothing until it is started again: its digest differs',
  ],
];

describe('whether a far end becomes the primary of this secondary', () => {
  it.each(CASES)('%s', (_name, secondary, theirs, expected) => {
    const admission = admit(secondary, theirs);
    if (admission.kind === 'accept') {
      expect(secondary.feeder === undefined ? 'accept' : `accept, closing ${admission.closes}`).toBe(expected);
    } else {
      expect(`${admission.reason} ${admission.error.code}: ${admission.error.message}`.slice(0, expected.length)).toBe(expected);
    }
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
