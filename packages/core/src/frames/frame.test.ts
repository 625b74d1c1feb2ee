import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { at } from '../../test/histories.ts';
import { ORIGIN } from '../position.ts';
import { FrameWriter } from './frame-writer.ts';
import {
  FRAME_CHECKSUM_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_LIMIT_BYTES,
  frameLength,
  NO_CHAIN,
  parseFrame,
  readFrameHeader,
  ROOM_BYTES,
  sealFrame,
  type FrameHeader,
} from './frame.ts';

const STREAM = '0123456789abcdef0123456789abcdef';
const BODY = Buffer.from('body');

/** Three change sets of epoch 2. */
const GOES_ON: FrameHeader = {
  codec: 'binary',
  beginsEpoch: false,
  endsEpoch: false,
  isMark: false,
  stream: STREAM,
  epoch: 2,
  epochId: 'b'.repeat(16),
  base: at('2b-7'),
  last: at('2b-10'),
  digest: '0123456789abcdef',
  firstTime: 5,
  lastTime: 6,
  count: 3,
  previous: NO_CHAIN,
  bodyLength: BODY.length,
};
/** The frame that begins epoch 3. */
const BEGINS: FrameHeader = {
  ...GOES_ON,
  beginsEpoch: true,
  epoch: 3,
  epochId: 'c'.repeat(16),
  last: at('3c-8'),
  count: 1,
};

/** A handover frame. */
const ENDS: FrameHeader = { ...GOES_ON, endsEpoch: true, last: at('2b-8'), count: 1 };

/** A mark frame. */
const MARKS: FrameHeader = { ...GOES_ON, isMark: true, last: at('2b-8'), count: 1 };

/** The bytes of `GOES_ON` with others in their place from `offset` on, and a checksum that fits. */
function altered(offset: number, ...bytes: number[]): Buffer {
  return alteredFrame(GOES_ON, offset, ...bytes);
}

function alteredFrame(header: FrameHeader, offset: number, ...bytes: number[]): Buffer {
  const frame = Buffer.from(sealFrame(header, BODY).bytes);
  frame.set(bytes, offset);
  const end = frame.length - FRAME_CHECKSUM_BYTES;
  frame.writeUInt32LE(crc32(frame.subarray(0, end)), end);
  return frame;
}

function code(expected: string): unknown {
  return expect.objectContaining({ name: 'EvertreeError', code: expected });
}

describe('the header of a frame', () => {
  it.each<[string, FrameHeader]>([
    ['goes on in its epoch', GOES_ON],
    ['begins an epoch', BEGINS],
    ['begins an entry of the same number', { ...BEGINS, base: at('3b-7') }],
    ['ends its epoch', ENDS],
    ['sets a mark', MARKS],
    ['begins the first epoch of all', { ...BEGINS, base: ORIGIN, last: at('3c-1') }],
    ['has the highest numbers', { ...GOES_ON, base: at(`2b-${2 ** 53 - 4}`), last: at(`2b-${2 ** 53 - 1}`), lastTime: 2 ** 53 - 1 }],
  ])('that %s comes back as it was', (_, header) => {
    const { bytes } = sealFrame(header, BODY);
    expect(parseFrame(bytes).header).toEqual(header);
    expect(parseFrame(new Uint8Array(bytes)).header).toEqual(header);
  });

  it.each<[string, FrameHeader]>([
    ['no change set', { ...GOES_ON, count: 0, last: GOES_ON.base }],
    ['fewer change sets than revisions', { ...GOES_ON, count: 2 }],
    ['another epoch that it does not begin', { ...GOES_ON, base: at('1a-7') }],
    ['another epoch of the same number that it does not begin', { ...GOES_ON, base: at('2a-7') }],
    ['another epoch of the same id that it does not begin', { ...GOES_ON, base: at('1b-7') }],
    ['an epoch that it begins and goes on in', { ...GOES_ON, beginsEpoch: true, count: 1, last: at('2b-8') }],
    ['more than its first change set in an epoch that it begins', { ...BEGINS, count: 2, last: at('3c-9') }],
    ['an epoch that it begins below the one of its base', { ...BEGINS, base: at('4d-7') }],
    ['an epoch that it begins without a number', { ...BEGINS, epoch: 0, base: ORIGIN, last: at('0c-1') }],
    ['more than its last change set in an epoch that it ends', { ...ENDS, count: 2, last: at('2b-9') }],
    ['another epoch than its base in one that it ends', { ...ENDS, base: at('1a-7') }],
    ['an epoch that it begins and ends', { ...BEGINS, endsEpoch: true }],
    ['more than one change set in a mark frame', { ...MARKS, count: 2, last: at('2b-9') }],
    ['another epoch than its base in a mark frame', { ...MARKS, base: at('1a-7') }],
    ['a mark in the frame that begins an epoch', { ...BEGINS, isMark: true }],
    ['a mark in the frame that ends an epoch', { ...ENDS, isMark: true }],
  ])('is refused when it contradicts itself: it has %s', (_, header) => {
    const { bytes } = sealFrame(header, BODY);
    const { base, last, count, beginsEpoch, endsEpoch, isMark } = header;
    expect(() => parseFrame(bytes)).toThrow(
      expect.objectContaining({ code: 'FORMAT_INVALID', details: { base, last, count, beginsEpoch, endsEpoch, isMark } }) as Error,
    );
  });

  it.each([
    ['a later version of the format', altered(4, 4), 'FORMAT_UNSUPPORTED'],
    ['a version before the first', altered(4, 0), 'FORMAT_UNSUPPORTED'],
    ['a flag from another time in version 1', alteredFrame(ENDS, 4, 1), 'FORMAT_UNSUPPORTED'],
    ['an entry of the same number in version 1', alteredFrame({ ...BEGINS, base: at('3b-7') }, 4, 1), 'FORMAT_INVALID'],
    ['a codec from another time', altered(5, 3), 'FORMAT_UNSUPPORTED'],
    ['a mark in version 2', alteredFrame(MARKS, 4, 2), 'FORMAT_UNSUPPORTED'],
    ['a flag from another time', altered(6, 8), 'FORMAT_UNSUPPORTED'],
    ['a revision above 2^53', altered(54, 0x20), 'FORMAT_INVALID'],
    ['a time above 2^53', altered(86, 0x20), 'FORMAT_INVALID'],
    ['another beginning', altered(0, 0), 'FORMAT_INVALID'],
  ])('is refused when it has %s', (_, bytes, expected) => {
    expect(() => parseFrame(bytes)).toThrow(code(expected));
    expect(() => readFrameHeader(bytes)).toThrow(code(expected));
  });
});

describe('a frame of an old version', () => {
  it.each<[string, number, FrameHeader]>([
    ['goes on in its epoch', 1, GOES_ON],
    ['begins an epoch', 1, BEGINS],
    ['goes on in its epoch', 2, GOES_ON],
    ['begins an entry of the same number', 2, { ...BEGINS, base: at('3b-7') }],
    ['ends its epoch', 2, ENDS],
  ])('that %s is still read in version %d', (_, version, header) => {
    expect(parseFrame(alteredFrame(header, 4, version)).header).toEqual(header);
  });
});

describe('the bytes of a frame', () => {
  const { bytes } = sealFrame(GOES_ON, BODY);

  it('are as many as the header says, and no more', () => {
    expect(frameLength(bytes)).toBe(bytes.length);
    expect(() => parseFrame(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(code('FORMAT_INVALID'));
  });

  it('tell their length by the header and as many bytes as a checksum has', () => {
    const least = FRAME_HEADER_BYTES + FRAME_CHECKSUM_BYTES;
    expect(frameLength(bytes.subarray(0, least))).toBe(bytes.length);
    expect(() => frameLength(bytes.subarray(0, least - 1))).toThrow(code('FORMAT_INVALID'));
  });

  it('are no more than the limit', () => {
    const large = Buffer.from(bytes);
    const most = FRAME_LIMIT_BYTES - FRAME_HEADER_BYTES - FRAME_CHECKSUM_BYTES;
    large.writeUInt32LE(most, 92);
    expect(frameLength(large)).toBe(FRAME_LIMIT_BYTES);
    large.writeUInt32LE(most + 1, 92);
    expect(() => frameLength(large)).toThrow(code('FORMAT_INVALID'));
  });

  it('are refused by both checksums when they were altered', () => {
    const torn = Buffer.from(bytes);
    torn.writeUInt32LE(0x1234, torn.length - FRAME_CHECKSUM_BYTES);
    const right = bytes.subarray(-FRAME_CHECKSUM_BYTES).toReversed();
    expect(() => parseFrame(torn)).toThrow(code('FORMAT_INVALID'));
    expect(() => parseFrame(torn)).toThrow(`a frame's checksum is ${Buffer.from(right).toString('hex')}, but it says 00001234`);
  });
});

describe('the times of change sets', () => {
  const base = { stream: STREAM, last: at('2b-7'), chain: NO_CHAIN };

  it('never step back within an epoch, also where the clock does, and the header has the first and the last', () => {
    const writer = new FrameWriter('json', 100);
    expect([99, 100, 105, 103].map(now => writer.changeSet(now, undefined, undefined, 0))).toEqual([100, 100, 105, 105]);
    expect(writer.count).toBe(4);
    expect(writer.seal(base, GOES_ON.digest).header).toMatchObject({
      codec: 'json',
      firstTime: 100,
      lastTime: 105,
      count: 4,
      last: at('2b-11'),
    });
    expect([writer.count, writer.lastTime]).toEqual([0, 105]);
    expect(writer.changeSet(104, undefined, undefined, 0)).toBe(105);
    expect(writer.seal(base, GOES_ON.digest).header).toMatchObject({ firstTime: 105, lastTime: 105, count: 1 });
  });

  it('begin anew with an epoch, by the clock of the site that begins it', () => {
    const writer = new FrameWriter('binary', 100);
    const epoch = { number: 3, id: 'c'.repeat(16), site: 'here', base: base.last, reason: 'test', time: 40 };
    const { header } = writer.sealEpoch(base, GOES_ON.digest, epoch);
    expect(header).toMatchObject({
      codec: 'binary',
      beginsEpoch: true,
      base: base.last,
      last: at('3c-8'),
      firstTime: 40,
      lastTime: 40,
      count: 1,
    });
    expect(writer.changeSet(30, undefined, undefined, 0)).toBe(40);
  });

  it.each(['binary', 'json'] as const)('go on in a restart entry and in a handover frame, with a %s body', codec => {
    const writer = new FrameWriter(codec, 100);
    const epoch = { number: 2, id: 'c'.repeat(16), site: 'here', base: base.last, reason: 'restart', time: 40 };
    const restart = writer.sealEpoch(base, GOES_ON.digest, epoch);
    expect(restart.header).toMatchObject({ codec, beginsEpoch: true, last: at('2c-8'), firstTime: 100, lastTime: 100, count: 1 });
    const handover = writer.sealHandover({ ...base, last: at('2c-8') }, GOES_ON.digest, { to: 'there', command: 'c1' }, 90);
    expect(handover.header).toMatchObject({ codec, beginsEpoch: false, endsEpoch: true, last: at('2c-9'), firstTime: 100, count: 1 });
    for (const { header, bytes } of [restart, handover]) expect(parseFrame(bytes).header).toEqual(header);
  });
});

describe('a frame around a rest that was encoded ahead', () => {
  const rest = Buffer.from('the rest of a body');
  it.each([0, 1, ROOM_BYTES - FRAME_HEADER_BYTES, ROOM_BYTES - FRAME_HEADER_BYTES + 1, 70_000])(
    'is the one of the whole body, with %i bytes before the rest',
    length => {
      const head = Buffer.alloc(length, 7);
      const header = { ...GOES_ON, bodyLength: length + rest.length };
      const memory = Buffer.alloc(ROOM_BYTES + rest.length + FRAME_CHECKSUM_BYTES, 9);
      rest.copy(memory, ROOM_BYTES);
      const frame = sealFrame(header, head, { memory, from: ROOM_BYTES, to: ROOM_BYTES + rest.length });
      expect(Buffer.from(frame.bytes)).toEqual(Buffer.from(sealFrame(header, Buffer.concat([head, rest])).bytes));
      expect(parseFrame(frame.bytes).header).toEqual(header);
    },
  );
});
