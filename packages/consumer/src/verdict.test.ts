import { describe, expect, it } from 'vitest';
import { NO_CHAIN, ORIGIN, SITE } from '@evertree/core';
import type { Epoch, ExactPosition, FrameHeader, SnapshotHeader } from '@evertree/core';
import { verdictOn, verdictOnSnapshot } from './verdict.ts';
import type { Memory, Place } from './verdict.ts';

const IDS: Record<string, string> = {
  '0': '0'.repeat(16),
  '1': '11'.repeat(8),
  '2': '22'.repeat(8),
  '3': '33'.repeat(8),
  x: '99'.repeat(8),
  l: '01'.repeat(8),
};
const STREAM = 'aa'.repeat(16);

/** `2-150`: epoch 2, revision 150. `2x-7`: epoch 2 with another, higher id; `2l-7`: with a lower one. */
function at(text: string): ExactPosition {
  const [, number, variant, revision] = /^(\d)([xl]?)-(\d+)$/.exec(text)!;
  return { epoch: Number(number), epochId: IDS[variant === '' ? number! : variant!]!, revision: Number(revision) };
}

function epoch(name: string, base: string): Epoch {
  const { epoch: number, epochId: id } = at(`${name}-1`);
  return { number, id, site: 'a', base: at(base), reason: 'test', time: 0 };
}

const PLACE: Place = { stream: STREAM, position: at('2-150'), epochs: [epoch('1', '0-0'), epoch('2', '1-100')] };
const EMPTY: Place = { stream: null, position: ORIGIN, epochs: [] };

/** `2-150..2-160`, with digest `d` unless said otherwise. */
function frame(text: string, more: Partial<FrameHeader> = {}): FrameHeader {
  const [base, last] = text.split('..').map(at) as [ExactPosition, ExactPosition];
  return {
    codec: 'binary',
    beginsEpoch: base.epochId !== last.epochId,
    stream: STREAM,
    epoch: last.epoch,
    epochId: last.epochId,
    base,
    last,
    digest: 'd',
    firstTime: 0,
    lastTime: 0,
    count: last.revision - base.revision,
    previous: NO_CHAIN,
    bodyLength: 0,
    ...more,
  };
}

function remembered(position: string, digest = 'd'): Memory {
  return { position: at(position), digest };
}

const CASES: readonly [name: string, place: Place, frame: FrameHeader, memory: Memory, verdict: string][] = [
  ['the first frame of all', EMPTY, frame('0-0..1-1'), 'unknown', 'next'],
  ['what follows exactly', PLACE, frame('2-150..2-160'), 'unknown', 'next'],
  ['an epoch that begins here', PLACE, frame('2-150..3-151'), 'unknown', 'next'],
  ['what follows our revision in another epoch', PLACE, frame('2x-150..2x-160'), 'unknown', 'history-mismatch'],
  ['an epoch that began on another one', PLACE, frame('2x-150..3-151'), 'unknown', 'history-mismatch'],
  ['the last frame again', PLACE, frame('2-140..2-150'), remembered('2-150'), 'duplicate'],
  ['an older frame again', PLACE, frame('2-130..2-140'), remembered('2-140'), 'duplicate'],
  ['an older frame with another digest', PLACE, frame('2-130..2-140'), remembered('2-140', 'e'), 'history-mismatch'],
  ['an older frame of another epoch', PLACE, frame('2x-130..2x-140'), remembered('2-140'), 'history-mismatch'],
  ['an older frame that ends where none of ours does', PLACE, frame('2-130..2-141'), 'absent', 'history-mismatch'],
  ['a frame from too long ago, in an epoch of ours', PLACE, frame('1-10..1-20'), 'unknown', 'duplicate'],
  ['a frame from too long ago, in an epoch that was never ours', PLACE, frame('1x-10..1x-20'), 'unknown', 'history-mismatch'],
  ['a frame from too long ago, behind the end of its epoch here', PLACE, frame('1-100..1-110'), 'unknown', 'history-mismatch'],
  ['a frame that begins before our end and ends after it', PLACE, frame('2-140..2-160'), 'unknown', 'history-mismatch'],
  ['a frame from further on', PLACE, frame('2-160..2-170'), 'unknown', 'gap'],
  ['a frame from further on, in a later epoch', PLACE, frame('3-160..3-170'), 'unknown', 'gap'],
  ['a frame from further on, in an epoch before ours', PLACE, frame('1-160..1-170'), 'unknown', 'history-mismatch'],
  ['a frame from further on, in an epoch of our number and a lower id', PLACE, frame('2l-160..2l-170'), 'unknown', 'history-mismatch'],
  ['a frame from further on, at an empty secondary', EMPTY, frame('2-160..2-170'), 'unknown', 'gap'],
  ['another stream, though the position fits', PLACE, frame('2-150..2-160', { stream: 'bb'.repeat(16) }), 'unknown', 'stream-mismatch'],
  ['another stream, from the past', PLACE, frame('2-130..2-140', { stream: 'bb'.repeat(16) }), remembered('2-140'), 'stream-mismatch'],
];

describe('the verdict on a frame', () => {
  it.each(CASES)('%s', (_name, place, header, memory, expected) => {
    const verdict = verdictOn(header, place, memory, SITE);
    expect(verdict.kind === 'refuse' ? verdict.reason : verdict.kind).toBe(expected);
  });

  it('names both positions of another history', () => {
    expect(verdictOn(frame('2-140..2-160'), PLACE, 'unknown', SITE)).toMatchObject({
      error: {
        code: 'HISTORY_MISMATCH',
        message: expect.stringMatching(/2-140.*2-160.*2-150/),
        details: { ours: at('2-150'), base: at('2-140'), last: at('2-160') },
      },
    });
  });
});

function snapshot(position: string, epochs: readonly Epoch[], stream = STREAM): SnapshotHeader {
  return { stream, position: at(position), digest: 'd', chain: NO_CHAIN, epochs, time: 0 };
}

const SNAPSHOTS: readonly [name: string, place: Place, header: SnapshotHeader, verdict: string][] = [
  ['for an empty secondary', EMPTY, snapshot('2-150', PLACE.epochs), 'next'],
  ['from further on', PLACE, snapshot('2-400', PLACE.epochs), 'next'],
  ['from a later epoch', PLACE, snapshot('3-400', [...PLACE.epochs, epoch('3', '2-300')]), 'next'],
  ['from before our position', PLACE, snapshot('2-149', PLACE.epochs), 'history-mismatch'],
  ['from an epoch before ours', PLACE, snapshot('1-400', PLACE.epochs.slice(0, 1)), 'history-mismatch'],
  ['of another stream', PLACE, snapshot('2-400', PLACE.epochs, 'bb'.repeat(16)), 'stream-mismatch'],
];

describe('the verdict on a snapshot', () => {
  it.each(SNAPSHOTS)('%s', (_name, place, header, expected) => {
    const verdict = verdictOnSnapshot(header, place);
    expect(verdict.kind === 'refuse' ? verdict.reason : verdict.kind).toBe(expected);
  });
});
