import { NO_CHAIN, ORIGIN, decodeFrame, parseFrame, sealFrame } from '@evertree/core';
import type { ExactPosition, Frame } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { beforeAll, describe, expect, test } from 'vitest';
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
  '02 | format version',
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
  '007bb595 | checksum',
);

/** The same frame, as version 1 wrote it. */
const OLD_FRAME_ONE = golden(
  '45565446 | magic',
  '01 | format version',
  '01 | codec',
  '0100 | flags: begins its epoch',
  FRAME_ONE.slice(16, -8),
  'f607fd4b | checksum',
);

const HANDOVER = golden(
  '45565446 | magic',
  '02 | format version',
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
  '2e97fa4d | checksum',
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
  '"reason":"start","time":1103806595074,"end":{"to":"b","command":"c"}}]}';

const SNAPSHOT = golden(
  '45565453 | magic',
  '02 | format version',
  '000000',
  '00000000 | generation',
  'ad010000 | length of the text',
  `${Buffer.from(SNAPSHOT_TEXT).toString('hex')} | header`,
  '3a825446 | checksum',
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

  test('a frame of version 1 is read', () => {
    expect(parseFrame(Buffer.from(OLD_FRAME_ONE, 'hex')).header).toEqual(frames[0]!.header);
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
});
