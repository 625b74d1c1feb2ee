import { describe, expect, it } from 'vitest';
import { ORIGIN, type Epoch, type ExactPosition } from '../position.ts';
import { PROTOCOL_VERSIONS, type Hello } from '../seams/transport.ts';
import { HeardEpochs } from './heard-epochs.ts';

const STREAM = 'aa'.repeat(16);
const [A, B] = ['aa'.repeat(8), 'bb'.repeat(8)];

function hello(number: number, more: Partial<Hello> = {}): Hello {
  const position: ExactPosition = { epoch: number, epochId: A, revision: 9 };
  const epochs: Epoch[] = [{ number, id: A, site: 'there', base: ORIGIN, reason: '', time: 0 }];
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'there',
    role: 'secondary',
    stream: STREAM,
    position,
    digest: 'd',
    epochs,
    durable: true,
    standing: 'secondary',
    standby: false,
    ...more,
  };
}

function heardFrom(...hellos: Hello[]): HeardEpochs {
  const heard = new HeardEpochs(() => STREAM);
  for (const each of hellos) heard.hear(each);
  return heard;
}

describe('the epochs that a site heard of', () => {
  it('are known by the highest number, in whatever order they come', () => {
    expect(heardFrom().number).toBe(0);
    expect(heardFrom(hello(2), hello(4), hello(3)).number).toBe(4);
  });

  it('include those that are promised, and the one that a handover leaves to its target', () => {
    expect(heardFrom(hello(2, { fencedBy: { number: 5, id: B, begun: false } })).number).toBe(5);
    const [entry] = hello(2).epochs;
    expect(heardFrom(hello(2, { epochs: [{ ...entry!, end: { to: 'here', command: 'c' } }] })).number).toBe(3);
  });

  it('are those of this stream only', () => {
    expect(heardFrom(hello(2, { stream: 'bb'.repeat(16) })).number).toBe(0);
    const empty = new HeardEpochs(() => null);
    empty.hear(hello(2, { stream: null }));
    expect(empty.number).toBe(0);
  });

  it('surpass an epoch of their number or a lower one', () => {
    const heard = heardFrom(hello(2));
    expect([1, 2, 3].map(number => heard.surpass({ number, id: B }))).toEqual([true, true, false]);
  });

  it('do not surpass the epoch whose promise they are, unless another one has its number', () => {
    const promised = (id: string) => hello(1, { fencedBy: { number: 2, id, begun: false } });
    expect(heardFrom(promised(A), promised(A)).surpass({ number: 2, id: A })).toBe(false);
    expect(heardFrom(promised(A), promised(B)).surpass({ number: 2, id: A })).toBe(true);
    expect(heardFrom(promised(A), promised(B), promised(A)).surpass({ number: 2, id: A })).toBe(true);
    expect(heardFrom(promised(A), hello(2)).surpass({ number: 2, id: A })).toBe(true);
  });
});
