import { describe, expect, it } from 'vitest';
import { NO_CHAIN, ORIGIN, SITE, formatPosition } from '@evertree/core';
import type { Epoch, ExactPosition, FrameHeader, Lineage, SnapshotHeader } from '@evertree/core';
import { verdictOn, verdictOnSnapshot } from './verdict.ts';
import type { Memory, SnapshotVerdict, Verdict } from './verdict.ts';

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

const OURS: Lineage = { stream: STREAM, last: at('2-150'), epochs: [epoch('1', '0-0'), epoch('2', '1-100')] };
const RESTARTED: Lineage = { ...OURS, last: at('2x-155'), epochs: [...OURS.epochs, epoch('2x', '2-150')] };
const EMPTY: Lineage = { stream: null, last: ORIGIN, epochs: [] };

/** `2-150..2-160`, with digest `d` unless said otherwise. */
function frame(text: string, more: Partial<FrameHeader> = {}): FrameHeader {
  const [base, last] = text.split('..').map(at) as [ExactPosition, ExactPosition];
  return {
    codec: 'binary',
    beginsEpoch: base.epochId !== last.epochId,
    endsEpoch: false,
    isMark: false,
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

const CASES: readonly [name: string, ours: Lineage, frame: FrameHeader, memory: Memory, verdict: string][] = [
  ['the first frame of all', EMPTY, frame('0-0..1-1'), 'unknown', 'next'],
  ['what follows exactly', OURS, frame('2-150..2-160'), 'unknown', 'next'],
  ['an epoch that begins here', OURS, frame('2-150..3-151'), 'unknown', 'next'],
  ['what follows our revision in another epoch', OURS, frame('2x-150..2x-160'), 'unknown', 'history-mismatch'],
  ['an epoch that began on another one', OURS, frame('2x-150..3-151'), 'unknown', 'history-mismatch'],
  ['the last frame again', OURS, frame('2-140..2-150'), remembered('2-150'), 'duplicate'],
  ['an older frame again', OURS, frame('2-130..2-140'), remembered('2-140'), 'duplicate'],
  ['an older frame with another digest', OURS, frame('2-130..2-140'), remembered('2-140', 'e'), 'history-mismatch'],
  ['an older frame of another epoch', OURS, frame('2x-130..2x-140'), remembered('2-140'), 'history-mismatch'],
  ['an older frame that ends where none of ours does', OURS, frame('2-130..2-141'), 'absent', 'history-mismatch'],
  ['a frame from too long ago, in an epoch of ours', OURS, frame('1-10..1-20'), 'unknown', 'duplicate'],
  ['a frame from too long ago, in an epoch that was never ours', OURS, frame('1x-10..1x-20'), 'unknown', 'history-mismatch'],
  ['a frame from too long ago, behind the end of its epoch here', OURS, frame('1-100..1-110'), 'unknown', 'history-mismatch'],
  ['a frame that begins before our end and ends after it', OURS, frame('2-140..2-160'), 'unknown', 'history-mismatch'],
  ['a frame from further on', OURS, frame('2-160..2-170'), 'unknown', 'gap'],
  ['a frame from further on, in a later epoch', OURS, frame('3-160..3-170'), 'unknown', 'gap'],
  ['a frame from further on, in an epoch before ours', OURS, frame('1-160..1-170'), 'unknown', 'history-mismatch'],
  ['a frame from further on, in a restart of our epoch with a lower id', OURS, frame('2l-160..2l-170'), 'unknown', 'gap'],
  ['a frame from further on, in a restart of our epoch with a higher id', OURS, frame('2x-160..2x-170'), 'unknown', 'gap'],
  ['a frame from further on, from before a restart here', RESTARTED, frame('2-160..2-170'), 'unknown', 'history-mismatch'],
  ['the restart of our epoch', OURS, frame('2-150..2x-151'), 'unknown', 'next'],
  ['a restart behind our position', OURS, frame('2-140..2x-141'), 'absent', 'history-mismatch'],
  ['a later epoch that begins inside our history', OURS, frame('2-140..3-141'), 'absent', 'rewind to 2-140'],
  ['a later epoch that begins inside an earlier one of ours', OURS, frame('1-90..3-91'), 'unknown', 'rewind to 1-90'],
  ['a later epoch that begins beside our history', OURS, frame('2x-140..3-141'), 'absent', 'history-mismatch'],
  ['another promotion of our number, with a lower id', OURS, frame('1-90..2l-91'), 'unknown', 'history-mismatch'],
  ['another promotion of our number, with a higher id', OURS, frame('1-90..2x-91'), 'unknown', 'rewind to 1-90'],
  ['a frame from further on, at an empty secondary', EMPTY, frame('2-160..2-170'), 'unknown', 'gap'],
  ['another stream, though the position fits', OURS, frame('2-150..2-160', { stream: 'bb'.repeat(16) }), 'unknown', 'stream-mismatch'],
  ['another stream, from the past', OURS, frame('2-130..2-140', { stream: 'bb'.repeat(16) }), remembered('2-140'), 'stream-mismatch'],
];

function told(verdict: Verdict | SnapshotVerdict): string {
  if (verdict.kind === 'rewind') return `rewind to ${formatPosition(verdict.fork)}`;
  return verdict.kind === 'refuse' ? verdict.reason : verdict.kind;
}

describe('the verdict on a frame', () => {
  it.each(CASES)('%s', (_name, ours, header, memory, expected) => {
    const verdict = verdictOn(header, ours, memory, SITE);
    expect(told(verdict)).toBe(expected);
  });

  it('names both positions of another history', () => {
    expect(verdictOn(frame('2-140..2-160'), OURS, 'unknown', SITE)).toMatchObject({
      error: {
        code: 'HISTORY_MISMATCH',
        message: expect.stringMatching(/2-140.*2-160.*2-150/),
        details: { ours: at('2-150'), base: at('2-140'), last: at('2-160') },
      },
    });
  });
});

describe('a refusal', () => {
  it('names the log and its remedy if the frame came out of a log, and only then', () => {
    const log = { kind: 'log', name: 'topic T', remedy: 'delete it' } as const;
    const another = frame('2-140..2-160');
    expect(verdictOn(another, OURS, 'unknown', log)).toMatchObject({
      error: { message: expect.stringMatching(/Two primaries have written to the topic T: stop the wrong one, and delete it$/) },
    });
    expect(verdictOn(another, OURS, 'unknown', SITE)).toMatchObject({
      error: { message: expect.stringMatching(/a copy of the right one$/) },
    });
  });

  it('carries a code and details that the caller can act on', () => {
    const stream = 'bb'.repeat(16);
    expect(verdictOn(frame('2-150..2-160', { stream }), OURS, 'unknown', SITE)).toMatchObject({
      error: { code: 'STREAM_MISMATCH', details: { expected: STREAM, found: stream } },
    });
    expect(verdictOnSnapshot(snapshot('2-149', OURS.epochs), OURS)).toMatchObject({
      error: { code: 'HISTORY_MISMATCH', details: { ours: at('2-150'), theirs: at('2-149') } },
    });
  });
});

function snapshot(position: string, epochs: readonly Epoch[], stream = STREAM): SnapshotHeader {
  return { stream, position: at(position), digest: 'd', chain: NO_CHAIN, epochs, marks: [], time: 0 };
}

const SNAPSHOTS: readonly [name: string, ours: Lineage, header: SnapshotHeader, verdict: string][] = [
  ['for an empty secondary', EMPTY, snapshot('2-150', OURS.epochs), 'next'],
  ['from further on', OURS, snapshot('2-400', OURS.epochs), 'next'],
  ['from a later epoch', OURS, snapshot('3-400', [...OURS.epochs, epoch('3', '2-300')]), 'next'],
  ['from before our position', OURS, snapshot('2-149', OURS.epochs), 'history-mismatch'],
  ['from an epoch before ours', OURS, snapshot('1-400', OURS.epochs.slice(0, 1)), 'history-mismatch'],
  ['of our own position', OURS, snapshot('2-150', OURS.epochs), 'next'],
  ['of a later epoch that began on our position', OURS, snapshot('3-400', [...OURS.epochs, epoch('3', '2-150')]), 'next'],
  ['of a later epoch that began before our position', OURS, snapshot('3-400', [...OURS.epochs, epoch('3', '2-120')]), 'rewind to 2-120'],
  ['of that epoch, from before our position', OURS, snapshot('3-130', [...OURS.epochs, epoch('3', '2-120')]), 'rewind to 2-120'],
  ['of an epoch with our number and a higher id', OURS, snapshot('2x-400', [epoch('1', '0-0'), epoch('2x', '1-90')]), 'rewind to 1-90'],
  ['of an epoch with our number and a lower id', OURS, snapshot('2l-400', [epoch('1', '0-0'), epoch('2l', '1-90')]), 'history-mismatch'],
  ['of a later epoch, with no epoch in common', OURS, snapshot('3-400', [epoch('3', '0-0')]), 'rewind to 0-0'],
  ['of our revision in another epoch, which nobody ranks above ours', OURS, snapshot('1-150', [epoch('1', '0-0')]), 'history-mismatch'],
  ['of another stream', OURS, snapshot('2-400', OURS.epochs, 'bb'.repeat(16)), 'stream-mismatch'],
];

describe('the verdict on a snapshot', () => {
  it.each(SNAPSHOTS)('%s', (_name, ours, header, expected) => {
    const verdict = verdictOnSnapshot(header, ours);
    expect(told(verdict)).toBe(expected);
  });
});
