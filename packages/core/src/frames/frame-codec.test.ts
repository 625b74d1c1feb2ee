import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DELETED, DOUBLE, HAS_TIME, NULL, ONE_OPERATION, ROOT_ID, WHOLE } from './binary-format.ts';
import { decodeChangeSets, decodeFrame } from './collect-sink.ts';
import { exportValue, importValue, sameValue } from '../tree/content.ts';
import { emptyDigest } from '../tree/digest.ts';
import { applyFrame, replayFrame, replaySteps } from './frame-application.ts';
import { change, frames, step, STREAM } from '../../test/made-frames.ts';
import { FrameWriter } from './frame-writer.ts';
import {
  frameBody,
  frameHash,
  FRAME_HEADER_BYTES,
  NO_CHAIN,
  parseFrame,
  readFrameHeader,
  sealFrame,
  type BodyCodec,
  type Frame,
} from './frame.ts';
import { encodeTree, SnapshotBuilder } from './snapshot-codec.ts';
import { Tree } from '../tree/tree.ts';

describe.each<BodyCodec>(['binary', 'json'])('frames with a %s body', codec => {
  it('lead from any tree to any other, applied, replayed, replayed in steps or observed, and decode without other frames', () => {
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 25 }), { maxLength: 4 }), runs => {
        const primary = new Tree();
        const made = frames(primary, runs, codec);
        const [applied, replayed, stepped, observed] = [new Tree(), new Tree(), new Tree(), new Tree()];
        let changes = 0;
        for (const frame of made) {
          const read = parseFrame(frame.bytes);
          expect(read.header).toEqual(frame.header);
          applyFrame(applied, read, undefined);
          replayFrame(replayed, read);
          for (const _ of replaySteps(stepped, read)) expect(stepped.undo.empty || codec === 'json').toBe(true);
          changes += applyFrame(observed, read, () => true).observed.length;
        }
        expect(changes).toBe(made.reduce((sum, frame) => sum + frame.header.count, 0) - 1);
        for (const tree of [applied, replayed, stepped, observed]) {
          expect(tree.digest()).toBe(primary.digest());
          expect(sameValue(exportValue(tree.root), exportValue(primary.root))).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('decode to their change sets: paths, values, times, authors, the epoch', () => {
    const tree = new Tree();
    const steps = [
      { path: ['a', '/', '~'], value: { x: [1, { y: null }] }, pin: false },
      { path: ['a', '/', '~'], value: undefined, pin: false },
      { path: ['a', '/', 'z'], value: -1.5, pin: false },
    ];
    const [first, second] = frames(tree, [steps], codec);
    expect(decodeFrame(first!)).toEqual({
      note: { epoch: { site: 's', reason: 'test' } },
      changeSets: [{ revision: 1, time: 5, operations: [] }],
    });
    expect(decodeChangeSets(second!)).toEqual([
      { revision: 2, time: 100, author: 'me', operations: [{ type: 'put', path: ['a', '/', '~'], value: { x: [1, { y: null }] } }] },
      { revision: 3, time: 100, author: 'me', operations: [{ type: 'delete', path: ['a', '/', '~'] }] },
      { revision: 4, time: 100, author: 'me', operations: [{ type: 'put', path: ['a', '/', 'z'], value: -1.5 }] },
    ]);
  });

  it('tell the site that follows and the command where they end their epoch, and change nothing', () => {
    const base = { stream: STREAM, last: { epoch: 1, epochId: '00000000000000aa', revision: 7 }, chain: NO_CHAIN };
    const handover = { to: 'zürich', command: 'c-1' };
    const read = parseFrame(new FrameWriter(codec, 0).sealHandover(base, emptyDigest(), handover, 30).bytes);
    expect(decodeFrame(read)).toEqual({ note: { handover }, changeSets: [{ revision: 8, time: 30, operations: [] }] });
    const tree = new Tree();
    expect(applyFrame(tree, read, undefined)).toEqual({ note: { handover }, observed: [] });
    expect(applyFrame(tree, read, () => true)).toEqual({ note: { handover }, observed: [] });
    expect([replayFrame(tree, read), tree.digest()]).toEqual([{ handover }, emptyDigest()]);
  });

  it('set or remove a mark where they are mark frames, and change nothing', () => {
    const base = { stream: STREAM, last: { epoch: 1, epochId: '00000000000000aa', revision: 7 }, chain: NO_CHAIN };
    const mark = { name: 'über', back: 2, removed: codec === 'json' };
    const frame = new FrameWriter(codec, 0).sealMark(base, emptyDigest(), mark, { now: 30, author: 'a', message: 'b' });
    expect(Buffer.from(frameBody(frame)).toString(codec === 'json' ? 'utf8' : 'hex')).toBe(
      codec === 'json'
        ? '{"mark":{"name":"über","back":2,"removed":true},"changes":[{"time":30,"author":"a","message":"b","operations":[]}]}'
        : '05c3bc62657202000c0161016200',
    );
    const read = parseFrame(frame.bytes);
    expect(read.header).toMatchObject({ beginsEpoch: false, endsEpoch: false, isMark: true, count: 1, last: { revision: 8 } });
    const changeSets = [{ revision: 8, time: 30, author: 'a', message: 'b', operations: [] }];
    expect(decodeFrame(read)).toEqual({ note: { mark }, changeSets });
    const tree = new Tree();
    expect(applyFrame(tree, read, undefined)).toEqual({ note: { mark }, observed: [] });
    expect(applyFrame(tree, read, () => true)).toEqual({ note: { mark }, observed: [] });
    expect([replayFrame(tree, read), tree.digest()]).toEqual([{ mark }, emptyDigest()]);
  });

  it('have a header that can be read from their first bytes', () => {
    const [, frame] = frames(new Tree(), [[{ path: ['a'], value: 'x'.repeat(500), pin: false }]], codec);
    const { header, bytes } = frame!;
    expect(readFrameHeader(bytes.subarray(0, 200))).toEqual(header);
    expect(() => readFrameHeader(bytes.subarray(0, 100))).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
    expect(() => readFrameHeader(bytes.subarray(1))).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });

  it('leave the tree as it was when the digest after them is another', () => {
    const tree = new Tree();
    const steps = Array.from({ length: 40 }, (_, n) => ({ path: ['w', `k${n}`, 'x'], value: n, pin: false }));
    const [epoch, frame] = frames(tree, [steps], codec);
    const wrong = sealFrame({ ...frame!.header, digest: '0000000000000001' }, frame!.bytes.subarray(FRAME_HEADER_BYTES, -4));
    for (const concerns of [undefined, () => true]) {
      const secondary = new Tree();
      applyFrame(secondary, epoch!, undefined);
      expect(() => applyFrame(secondary, wrong, concerns)).toThrow(/digest/);
      expect(exportValue(secondary.root)).toEqual({});
      applyFrame(secondary, frame!, concerns);
      expect(secondary.digest()).toBe(tree.digest());
    }
  });
});

describe('a frame whose bytes were altered', () => {
  it('is refused, and the tree stays, whichever byte was altered or cut off', () => {
    const tree = new Tree();
    const [epoch, frame] = frames(tree, [[{ path: ['a', 'b'], value: { c: [1, 'two', 3.5], d: {} }, pin: false }]], 'binary');
    const { bytes } = frame!;
    for (let at = 0; at < bytes.length; at++) {
      const altered = Buffer.from(bytes);
      altered[at]! ^= 0x41;
      expect(() => parseFrame(altered)).toThrow(/frame/);
      expect(() => parseFrame(bytes.subarray(0, at))).toThrow(/frame/);
    }
    expect(epoch!.header.beginsEpoch).toBe(true);
  });

  it('is refused even if its checksum was made to fit', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (place, flip) => {
        const tree = new Tree();
        const steps = Array.from({ length: 20 }, (_, n) => ({ path: ['w', `k${n}`, 'x'], value: n % 3 === 0 ? { n } : n, pin: false }));
        const [epoch, frame] = frames(tree, [steps], 'binary');
        const body = Buffer.from(frame!.bytes.subarray(FRAME_HEADER_BYTES, -4));
        body[place % body.length]! ^= flip;
        const altered = sealFrame(frame!.header, body);
        const secondary = new Tree();
        applyFrame(secondary, epoch!, undefined);
        try {
          applyFrame(secondary, altered, undefined);
          // A flip that means the same (a longer dictionary, say) gives the same tree; any other is found by the
          // digest.
          expect(secondary.digest()).toBe(tree.digest());
        } catch (error) {
          expect(error).toMatchObject({ name: 'EvertreeError' });
          expect(exportValue(secondary.root)).toEqual({});
          expect(secondary.digest()).toBe(emptyDigest());
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** One put of a value's bytes at /b. */
function put(...written: number[]): Buffer {
  return Buffer.from([ONE_OPERATION, ROOT_ID, 0, 1, 'b'.charCodeAt(0), ...written]);
}

function double(of: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(of);
  return [...bytes];
}

describe('a binary body that no writer makes', () => {
  const [epoch, frame] = frames(new Tree(), [[{ path: ['a'], value: 1, pin: false }]], 'binary');
  it.each<[string, Buffer]>([
    ['goes on behind its last change set', Buffer.concat([frameBody(frame!), Buffer.of(0)])],
    ['ends before', frameBody(frame!).subarray(0, -1)],
    ['deletes what is not there', put(DELETED)],
    ['has NaN', put(DOUBLE, ...double(Number.NaN))],
    ['has an infinite number', put(DOUBLE, ...double(-Infinity))],
    ['has a whole number above 2^53', put(WHOLE, ...Array<number>(7).fill(255), 127)],
    ['has a value of no kind', put(31)],
    ['has unknown flags', Buffer.concat([Buffer.of(16), frameBody(frame!).subarray(1)])],
    ['names a node that was not defined', Buffer.from([ONE_OPERATION, 2, 0, 1, 97, NULL])],
    ['defines a node below one that was not defined', Buffer.from([ONE_OPERATION, 0, 2, 0, 1, 97, 2, 0, 1, 98, NULL])],
    ['names a key that was not defined', Buffer.from([ONE_OPERATION, ROOT_ID, 1, NULL])],
    ['leads through a leaf', Buffer.from([HAS_TIME, 0, 2, ROOT_ID, 0, 1, 97, NULL, 0, ROOT_ID, 1, 2, 1, NULL])],
  ])('is refused, and the tree stays: it %s', (_, body) => {
    for (const concerns of [undefined, () => true]) {
      const tree = new Tree();
      applyFrame(tree, epoch!, undefined);
      applyFrame(tree, frame!, undefined);
      const altered = sealFrame(frame!.header, body);
      expect(() => applyFrame(tree, altered, concerns)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(FORMAT|PATH)_INVALID$/) as string }),
      );
      expect([exportValue(tree.root), tree.digest()]).toEqual([{ a: 1 }, frame!.header.digest]);
    }
  });
});

describe('a JSON body that contradicts its header', () => {
  const [epoch, frame] = frames(new Tree(), [[{ path: ['a'], value: 1, pin: false }]], 'json');
  const begins = JSON.parse(frameText(epoch!)) as object;
  const base = { stream: STREAM, last: frame!.header.last, chain: frameHash(frame!) };
  const handover = new FrameWriter('json', 0).sealHandover(base, frame!.header.digest, { to: 'b', command: 'c' }, 9);
  const ends = JSON.parse(frameText(handover)) as object;
  const note = { now: 9, author: undefined, message: undefined };
  const mark = new FrameWriter('json', 0).sealMark(base, frame!.header.digest, { name: 'm', back: 0, removed: false }, note);
  const marks = JSON.parse(frameText(mark)) as object;
  const goesOn = JSON.parse(frameText(frame!)) as { changes: unknown[] };

  it.each<[string, Frame, object]>([
    ['has a change set more', frame!, { changes: [...goesOn.changes, ...goesOn.changes] }],
    ['has none', frame!, { changes: [] }],
    ['begins an epoch without a word', epoch!, { ...begins, epoch: undefined }],
    ['begins an epoch of nobody', epoch!, { ...begins, epoch: { reason: 'test' } }],
    ['ends its epoch without a word', handover, { ...ends, handover: undefined }],
    ['ends its epoch without a command', handover, { ...ends, handover: { to: 'b' } }],
    ['is a mark frame without a word', mark, { ...marks, mark: undefined }],
    ['sets a mark without a distance', mark, { ...marks, mark: { name: 'm', removed: false } }],
    ['sets a mark in the future', mark, { ...marks, mark: { name: 'm', back: -1, removed: false } }],
    ['sets a mark or does not', mark, { ...marks, mark: { name: 'm', back: 0 } }],
    ['has an operation of no known type', frame!, { changes: [{ time: 1, operations: [['move', '/a', 1]] }] }],
    ['puts nothing', frame!, { changes: [{ time: 1, operations: [['put', '/a']] }] }],
  ])('is refused: it %s', (_, { header }, body) => {
    const altered = sealFrame(header, Buffer.from(JSON.stringify(body)));
    expect(() => decodeFrame(altered)).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });

  it("can't begin or end an epoch, or set a mark, if its header does not", () => {
    const notes = { epoch: { site: 's', reason: 'r' }, handover: { to: 'b', command: 'c' }, mark: { name: 'm', back: 0, removed: false } };
    const altered = sealFrame(frame!.header, Buffer.from(JSON.stringify({ ...goesOn, ...notes })));
    expect(decodeFrame(altered).note).toBeUndefined();
  });
});

function frameText(frame: Frame): string {
  return Buffer.from(frameBody(frame)).toString();
}

describe('a snapshot in chunks', () => {
  it('builds the tree that it was made of', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const tree = new Tree();
        for (const { path, value: item } of steps)
          change(tree, path, item === undefined ? undefined : importValue(item, path, tree.generation));
        const builder = new SnapshotBuilder();
        for (const chunk of encodeTree(tree.pin())) builder.add(chunk);
        expect(builder.tree.digest()).toBe(tree.digest());
        expect(sameValue(exportValue(builder.tree.root), exportValue(tree.root))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
