import { crc32 } from 'node:zlib';
import { NO_CHAIN, ORIGIN, decodeFrame, parseFrame, sealFrame } from '@evertree/core';
import type { ExactPosition, Frame } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { beforeAll, describe, expect, test } from 'vitest';
import { pathKey } from '../../packages/history/src/index/path-key.ts';
import { RunWriter } from '../../packages/history/src/index/run-writer.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';

/**
 * Pins FORMAT.md: when one of these fails, the format has changed, and that takes a new version and a line in
 * «Versions».
 */

const STREAM = '000102030405060708090a0b0c0d0e0f';
const EPOCH = 'a0a1a2a3a4a5a6a7';
const first: ExactPosition = { epoch: 4, epochId: EPOCH, revision: 1 };
const second: ExactPosition = { epoch: 4, epochId: EPOCH, revision: 3 };

function makeFrame(base: ExactPosition, last: ExactPosition, body: string, previous: string): Frame {
  const beginsEpoch = base.epoch !== last.epoch;
  return sealFrame(
    {
      codec: 'binary',
      beginsEpoch,
      endsEpoch: false,
      isMark: false,
      stream: STREAM,
      epoch: last.epoch,
      epochId: last.epochId,
      base,
      last,
      digest: '1112131415161718',
      firstTime: 0x0101_0000_0002,
      lastTime: 0x0101_0000_0003,
      count: last.revision - base.revision,
      previous,
      bodyLength: body.length,
    },
    Buffer.from(body),
  );
}

const frames = [
  makeFrame(ORIGIN, first, 'one', NO_CHAIN),
  makeFrame(first, second, 'and another', '20'.repeat(32)),
  makeFrame(second, { ...second, revision: 4 }, 'in the next segment', '30'.repeat(32)),
];

/** Bytes as they are written here: hex digits, with the words of FORMAT.md beside them. */
function golden(...lines: string[]): string {
  return lines.map(line => line.replace(/ \|.*/, '').replaceAll(' ', '')).join('');
}

const FRAME_ONE = golden(
  '45565446 | magic',
  '03 | format version',
  '01 | codec',
  '0100 | flags: begins its epoch',
  '000102030405060708090a0b0c0d0e0f | stream',
  '04000000 | epoch number',
  'a0a1a2a3a4a5a6a7 | epoch id',
  '00000000 | epoch number of the base',
  '0000000000000000 | epoch id of the base',
  '0000000000000000 | revision of the base',
  '0100000000000000 | last revision',
  '1112131415161718 | digest',
  '0200000001010000 | commit time of the first change set',
  '0300000001010000 | commit time of the last one',
  '01000000 | count',
  '03000000 | length of the body',
  '0000000000000000000000000000000000000000000000000000000000000000 | hash of the frame before',
  '6f6e65 | body',
  '6dad5d69 | checksum',
);

/** The same frame, as the versions before wrote it. */
const FRAME_ONE_OF_2 = golden(
  '45565446 | magic',
  '02 | format version',
  '01 | codec',
  '0100 | flags: begins its epoch',
  FRAME_ONE.slice(16, -8),
  '007bb595 | checksum',
);

const FRAME_ONE_OF_1 = golden(
  '45565446 | magic',
  '01 | format version',
  '01 | codec',
  '0100 | flags: begins its epoch',
  FRAME_ONE.slice(16, -8),
  'f607fd4b | checksum',
);

const HANDOVER = golden(
  '45565446 | magic',
  '03 | format version',
  '01 | codec',
  '0200 | flags: ends its epoch',
  '000102030405060708090a0b0c0d0e0f | stream',
  '04000000 | epoch number',
  'a0a1a2a3a4a5a6a7 | epoch id',
  '04000000 | epoch number of the base',
  'a0a1a2a3a4a5a6a7 | epoch id of the base',
  '0300000000000000 | revision of the base',
  '0400000000000000 | last revision',
  '1112131415161718 | digest',
  '0300000001010000 | commit time of the first change set',
  '0300000001010000 | commit time of the last one',
  '01000000 | count',
  '0c000000 | length of the body',
  '2020202020202020202020202020202020202020202020202020202020202020 | hash of the frame before',
  '077ac3bc72696368 | to: zürich',
  '0163 | command: c',
  '00 | flags of the change set: none',
  '00 | operations',
  '54bfbb72 | checksum',
);

const MARK = golden(
  '45565446 | magic',
  '03 | format version',
  '01 | codec',
  '0400 | flags: a mark frame',
  '000102030405060708090a0b0c0d0e0f | stream',
  '04000000 | epoch number',
  'a0a1a2a3a4a5a6a7 | epoch id',
  '04000000 | epoch number of the base',
  'a0a1a2a3a4a5a6a7 | epoch id of the base',
  '0300000000000000 | revision of the base',
  '0400000000000000 | last revision',
  '1112131415161718 | digest',
  '0300000001010000 | commit time of the first change set',
  '0300000001010000 | commit time of the last one',
  '01000000 | count',
  '0e000000 | length of the body',
  '2020202020202020202020202020202020202020202020202020202020202020 | hash of the frame before',
  '05c3bc626572 | name: über',
  '02 | back: to revision 2',
  '00 | not removed',
  '0c | flags of the change set: author, message',
  '01610162 | author: a, message: b',
  '00 | operations',
  'ee695a9b | checksum',
);

const UNMARK = golden(
  '45565446 | magic',
  '03 | format version',
  '02 | codec: JSON',
  '0400 | flags: a mark frame',
  MARK.slice(16, 184),
  '64000000 | length of the body',
  MARK.slice(192, 256),
  `${Buffer.from('{"mark":{"name":"über","back":0,"removed":true},"changes":[{"time":1103806595075,"operations":[]}]}').toString('hex')} | body`,
  'b4a8590c | checksum',
);

const SEGMENT_HEADER = golden(
  '4556544a | magic',
  '01 | format version',
  '000000',
  '000102030405060708090a0b0c0d0e0f | stream',
  '00000000 | epoch number of the base',
  '0000000000000000 | epoch id of the base',
  'd0d1d2d3 | salt',
  '0000000000000000 | revision of the base',
  '00000000 | generation',
  '0000000000000000',
  'b7c0ec13 | checksum',
);

const RECORD_ONE = golden(
  '45565452 | magic',
  'd0d1d2d3 | salt',
  '87000000 | length of the frame',
  '04000000 | length of the trailer',
  '4000000000000000 | offset of this record',
  '4000000000000000 | offset of its group',
  '14fabdcf | checksum of the trailer',
  'b28f8bb2 | checksum of the header',
);

const RECORD_TWO = golden(
  '45565452 | magic',
  'd0d1d2d3 | salt',
  '8f000000 | length of the frame',
  '00000000 | length of the trailer',
  'f300000000000000 | offset of this record',
  'f300000000000000 | offset of its group',
  '00000000 | no trailer',
  'c3bda8d6 | checksum of the header',
);

const SEAL = golden(
  '4556544c | magic',
  'd0d1d2d3 | salt',
  'aa01000000000000 | offset of the seal',
  '04000000 | epoch number of the last position',
  'a0a1a2a3a4a5a6a7 | epoch id of the last position',
  '01000000 | count of index entries',
  '0300000000000000 | revision of the last position',
  '0300000001010000 | commit time of the last change set',
  '0000000000000000 | entry: revision of the base',
  '4000000000000000 | entry: offset of the record',
  '0200000001010000 | entry: commit time',
  '50000000 | length of the seal',
  '9ef2c7ce | checksum',
);

const SNAPSHOT_TEXT =
  '{"stream":"000102030405060708090a0b0c0d0e0f","position":{"epoch":4,"epochId":"a0a1a2a3a4a5a6a7","revision":3},' +
  '"digest":"1112131415161718","chain":"4040404040404040404040404040404040404040404040404040404040404040","time":1103806595075,' +
  '"epochs":[{"number":4,"id":"a0a1a2a3a4a5a6a7","site":"zürich","base":{"epoch":0,"epochId":"0000000000000000","revision":0},' +
  '"reason":"start","time":1103806595074,"end":{"to":"b","command":"c"}}],' +
  '"marks":[{"name":"über","position":{"epoch":4,"epochId":"a0a1a2a3a4a5a6a7","revision":1},' +
  '"markedAt":{"epoch":4,"epochId":"a0a1a2a3a4a5a6a7","revision":2},"time":1103806595074,"author":"ann","message":"wir bauen um"}]}';

const RUN_TEXT =
  '{"stream":"000102030405060708090a0b0c0d0e0f","generation":0,' +
  '"base":{"epoch":4,"epochId":"a0a1a2a3a4a5a6a7","revision":1},"last":{"epoch":4,"epochId":"a0a1a2a3a4a5a6a7","revision":3},' +
  '"segments":[{"name":"0000000004-0000000000000001.evj","salt":67305985,"base":0,"offset":512}],' +
  '"epochs":[{"after":1,"number":4}],"depths":[0,1,2],' +
  '"touches":{"offset":8,"bytes":26},"frames":{"offset":34,"bytes":39}}';

const RUN = golden(
  '45565449 | magic',
  '01 | format version',
  '000000',
  '12000000 | length of the block',
  '49079dda | its checksum',
  '00 | a leaf of touches',
  '00 02 6100 | the key of /a',
  '01 08 | put at 1 + 2',
  '02 05 0101010200 | the key of /a and a segment of the characters 0 and 1',
  '03 07 01 04 | the operation 1 deleted at 1 + 1, put one later',
  '1f000000 | length of the block',
  '0a8bd144 | its checksum',
  '00 | a leaf of frames',
  '00 00 8004 | revision, segment, offset',
  '02 a302 | one change set, length of the record',
  '03 8002 | one change set and chunks, length of the record',
  '8102 02 | time, count of chunks',
  '01 00 14 00 0a0b0c0d | begins one change set, 20 bytes, checksum',
  '01 03 04 14 02 0a0b0c0d | likewise, behind 3 operations of another and with 4 of it, 2 ms later',
  `${Buffer.from(RUN_TEXT).toString('hex')} | description`,
  '4900000000000000 | offset of the description',
  '8b010000 | its length',
  '1c4406f4 | its checksum',
  'f17d4e36 | checksum',
);

const SNAPSHOT = golden(
  '45565453 | magic',
  '03 | format version',
  '000000',
  '00000000 | generation',
  '87020000 | length of the text',
  `${Buffer.from(SNAPSHOT_TEXT).toString('hex')} | header`,
  'f0e42639 | checksum',
  '03000000 | length of the chunk',
  'cc8baddf | its checksum',
  '747265 | the chunk',
  '01000000 | length of the chunk',
  '7a4b9ac6 | its checksum',
  '65 | the chunk',
  '00000000',
  '02000000 | count of chunks',
  '0400000000000000 | bytes of all chunks',
  '30dbca84 | checksum',
);

/** These bytes with another version and other flags, and a checksum that is right. */
function sealed(hex: string, version: number, flags = 4): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  bytes[4] = version;
  bytes[6] = flags;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

describe('the format', () => {
  let disk: FaultDisk;
  const hex = (path: string) => disk.bytes(path).toString('hex');

  const fence = { number: 5, id: '51'.repeat(8), begun: false };

  beforeAll(async () => {
    disk = new FaultDisk();
    const random = { bytes: (length: number) => Buffer.from('d0d1d2d3', 'hex').subarray(0, length), fraction: () => 0 };
    const clock = new ManualClock();
    const journal = await openJournal({
      disk,
      clock,
      random,
      report: strictReport,
      identity: { site: 'a' },
      options: { sync: 'dsync', segmentBytes: 300 },
    });
    journal.log.append(frames[0]!, Buffer.from('note'));
    await journal.log.flush();
    journal.log.append(frames[1]!);
    await journal.log.flush();
    const writer = await journal.snapshots.create({
      stream: STREAM,
      position: second,
      digest: '1112131415161718',
      chain: '40'.repeat(32),
      epochs: [
        { number: 4, id: EPOCH, site: 'zürich', base: ORIGIN, reason: 'start', time: 0x0101_0000_0002, end: { to: 'b', command: 'c' } },
      ],
      marks: [
        {
          name: 'über',
          position: first,
          markedAt: { ...first, revision: 2 },
          time: 0x0101_0000_0002,
          author: 'ann',
          message: 'wir bauen um',
        },
      ],
      time: 0x0101_0000_0003,
    });
    await writer.write(Buffer.from('tre'));
    await writer.write(Buffer.from('e'));
    await writer.commit();
    journal.log.append(frames[2]!);
    journal.leases.hold('peer', 'b', first);
    journal.leases.hold('backup', 's3', second, 0x0101_0000_0004);
    await journal.identity.fence(fence);
    await journal.close();
  });

  test('names', () => {
    expect(disk.files.toSorted()).toEqual([
      'journal/0000000004-0000000000000001.evj',
      'journal/0000000004-0000000000000004.evj',
      'leases.json',
      'site.json',
      'snapshots/0000000004-0000000000000003.evs',
    ]);
  });

  test('frame', () => {
    expect(Buffer.from(frames[0]!.bytes).toString('hex')).toBe(FRAME_ONE);
  });

  test('handover frame', () => {
    const frame = parseFrame(Buffer.from(HANDOVER, 'hex'));
    expect(frame.header).toMatchObject({ beginsEpoch: false, endsEpoch: true, base: second, last: { ...second, revision: 4 }, count: 1 });
    expect(decodeFrame(frame)).toEqual({
      note: { handover: { to: 'zürich', command: 'c' } },
      changeSets: [{ revision: 4, time: 0x0101_0000_0003, operations: [] }],
    });
    expect(Buffer.from(sealFrame(frame.header, frame.bytes.subarray(128, -4)).bytes).toString('hex')).toBe(HANDOVER);
  });

  test('mark frame, binary', () => {
    const frame = parseFrame(Buffer.from(MARK, 'hex'));
    const at = { base: second, last: { ...second, revision: 4 }, count: 1 };
    expect(frame.header).toMatchObject({ beginsEpoch: false, endsEpoch: false, isMark: true, ...at });
    expect(decodeFrame(frame)).toEqual({
      note: { mark: { name: 'über', back: 2, removed: false } },
      changeSets: [{ revision: 4, time: 0x0101_0000_0003, author: 'a', message: 'b', operations: [] }],
    });
    expect(Buffer.from(sealFrame(frame.header, frame.bytes.subarray(128, -4)).bytes).toString('hex')).toBe(MARK);
  });

  test('mark frame that removes a mark, JSON', () => {
    const frame = parseFrame(Buffer.from(UNMARK, 'hex'));
    expect(decodeFrame(frame)).toEqual({
      note: { mark: { name: 'über', back: 0, removed: true } },
      changeSets: [{ revision: 4, time: 0x0101_0000_0003, operations: [] }],
    });
    expect(Buffer.from(sealFrame(frame.header, frame.bytes.subarray(128, -4)).bytes).toString('hex')).toBe(UNMARK);
  });

  test.each([
    ['1', FRAME_ONE_OF_1],
    ['2', FRAME_ONE_OF_2],
  ])('a frame of version %s is read', (_, bytes) => {
    expect(parseFrame(Buffer.from(bytes, 'hex')).header).toEqual(frames[0]!.header);
  });

  test('a mark frame is refused in a version that has none', () => {
    const bytes = sealed(MARK, 2);
    expect(() => parseFrame(bytes)).toThrow(/a frame has unknown flags \(4\)/);
  });

  test.each([3, 5, 6, 7])('a frame with the flags %d is refused', flags => {
    const bytes = sealed(MARK, 3, flags);
    expect(() => parseFrame(bytes)).toThrow(/positions contradict each other/);
  });

  test('segment: header, records, seal', () => {
    const parts = [SEGMENT_HEADER, RECORD_ONE, FRAME_ONE, golden('6e6f7465 | trailer'), RECORD_TWO];
    expect(hex('journal/0000000004-0000000000000001.evj')).toBe([...parts, Buffer.from(frames[1]!.bytes).toString('hex'), SEAL].join(''));
  });

  test('snapshot', () => {
    expect(hex('snapshots/0000000004-0000000000000003.evs')).toBe(SNAPSHOT);
  });

  test('site.json and leases.json', () => {
    const identity = { format: 3, site: 'a', role: 'primary', directory: 'original' };
    expect(JSON.parse(disk.bytes('site.json').toString())).toEqual({
      ...identity,
      fencedBy: fence,
      declined: [],
      closedAt: frames[2]!.header.last,
    });
    expect(JSON.parse(disk.bytes('leases.json').toString())).toEqual({
      format: 3,
      leases: [
        { kind: 'peer', name: 'b', position: first },
        { kind: 'backup', name: 's3', position: second, expiresAt: 0x0101_0000_0004 },
      ],
    });
  });

  test('run of an index', async () => {
    const file = await disk.open('run', { create: true, write: true });
    const range = {
      stream: STREAM,
      generation: 0,
      base: first,
      segments: [{ name: '0000000004-0000000000000001.evj', salt: 0x0403_0201, base: 0, offset: 0x200 }],
      epochs: [{ after: 1, number: 4 }],
    };
    const writer = new RunWriter(file, range);
    const touches: [string[], number, number, boolean][] = [
      [['a'], 3, 0, false],
      [['a', '\0\u0001'], 2, 1, true],
      [['a', '\0\u0001'], 3, 0, false],
    ];
    for (const [path, revision, operation, isDelete] of touches) {
      const key = pathKey(path);
      if (!writer.isPath(key, key.length)) writer.path(key, key.length);
      writer.posting(revision, operation, isDelete);
    }
    const chunk = { begun: 1, skipped: 0, left: 0, bytes: 20, time: 0x101, checksum: 0x0d0c_0b0a };
    const chunks = [chunk, { ...chunk, begun: 1, skipped: 3, left: 4, time: 0x103 }];
    writer.frame({ base: 1, count: 1, segment: 0, offset: 0x200, length: 0x123, chunks: [] });
    writer.frame({ base: 2, count: 1, segment: 0, offset: 0x323, length: 0x100, chunks });
    await writer.finish(second);
    expect(hex('run')).toBe(RUN);
  });
});
