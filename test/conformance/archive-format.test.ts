import { createHash } from 'node:crypto';
import { Archive, Identities, type ArchiveHead, type Manifest } from '@evertree/archive';
import { type Frame, frameHash, NO_CHAIN, ORIGIN, sealFrame, type SnapshotHeader } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { decodeColumns, encodeColumns } from '../../packages/archive/src/format/frame-columns.ts';
import { encodeHead, parseHead } from '../../packages/archive/src/format/head-codec.ts';
import { encodeChunk, encodeImageHead, parseImageHead, readChunks } from '../../packages/archive/src/format/image-payload.ts';
import { encodeManifest, parseManifest } from '../../packages/archive/src/format/manifest-codec.ts';
import type { FramesHeader } from '../../packages/archive/src/format/object-header.ts';
import * as keys from '../../packages/archive/src/format/object-keys.ts';
import { openObject, sealObject } from '../../packages/archive/src/format/sealed-object.ts';
import { encodeDrill, parseDrill } from '../../packages/archive/src/proof/drill-report.ts';
import { encodeVerification, parseVerification } from '../../packages/archive/src/proof/verification-report.ts';
import { MemoryTarget } from '../support/memory-target.ts';

/**
 * Pins ARCHIVE.md: when one of these fails, the format has changed, and that takes a new version and a line in
 * «Versions». What zstd and age make differs from one time to the next, so of that only the reading is pinned.
 */

const ARCHIVE = '000102030405060708090a0b0c0d0e0f';
const STREAM = '101112131415161718191a1b1c1d1e1f';
const LINE = 'a0a1a2a3a4a5a6a7';
const RUN = 'b0b1b2b3b4b5b6b7';
const SITE = 'c0c1c2c3c4c5c6c7';
const EPOCH = 'd0d1d2d3d4d5d6d7';
import { IDENTITY } from '../support/archived-history.ts';
const at = (revision: number) => ({ epoch: 4, epochId: EPOCH, revision });
const CHAIN = 'e1'.repeat(32);
const DIGEST = 'f0f1f2f3f4f5f6f7';

const HEAD: ArchiveHead = {
  archive: ARCHIVE,
  stream: STREAM,
  counter: 7,
  time: 1_764_000_000_000,
  manifest: '11'.repeat(32),
  recipients: ['22'.repeat(32)],
  conditions: true,
  drilled: { time: 1_764_000_000_001, passed: true, position: { epoch: 4, revision: 2 }, milliseconds: 812, report: 'drill/1' },
  verified: { time: 1_764_000_000_002, level: 1, passed: false, report: 'verified/1' },
};

const HEADER: FramesHeader = {
  archive: ARCHIVE,
  line: LINE,
  base: ORIGIN,
  last: at(2),
  firstTime: 5,
  lastTime: 6,
  commits: 2,
  plainBytes: 3,
  previous: NO_CHAIN,
  chain: CHAIN,
  digest: DIGEST,
  marks: [2],
  after: null,
};

const MANIFEST: Manifest = {
  archive: ARCHIVE,
  stream: STREAM,
  previous: null,
  time: 9,
  lines: [
    {
      id: LINE,
      site: SITE,
      run: RUN,
      private: { site: 'a' },
      objects: [
        {
          kind: 'stretch',
          path: keys.stretchKey(LINE, at(2), RUN, 1),
          bytes: 10,
          sha256: '33'.repeat(32),
          base: ORIGIN,
          last: at(2),
          firstTime: 5,
          lastTime: 6,
          commits: 2,
          plainBytes: 3,
          previous: NO_CHAIN,
          chain: CHAIN,
          digest: DIGEST,
          marks: [2],
          marked: [1],
          archived: 8,
        },
        {
          kind: 'image',
          position: at(2),
          time: 6,
          digest: DIGEST,
          chain: CHAIN,
          plainBytes: 4,
          parts: [{ path: keys.imagePartKey(LINE, at(2), RUN, 1), bytes: 11, sha256: '44'.repeat(32) }],
          marks: [1],
          archived: 8,
        },
      ],
      tails: [{ path: keys.tailPath(4, EPOCH, SITE, RUN), from: 3, base: at(2), previous: CHAIN }],
      gaps: [{ from: ORIGIN, to: at(1), reason: 'spool-full', time: 7 }],
    },
  ],
  condemned: [{ path: 'stretch/x', bytes: 12, since: 6 }],
};

const SNAPSHOT: SnapshotHeader = {
  stream: STREAM,
  position: at(2),
  digest: DIGEST,
  chain: CHAIN,
  epochs: [{ number: 4, id: EPOCH, site: 'a', base: ORIGIN, reason: 'first commit', time: 5, end: { to: 'b', command: 'c' } }],
  marks: [{ name: 'm 🌲', position: at(1), markedAt: at(2), time: 6, author: 'ann', message: 'why' }],
  time: 6,
};

/** Sealed once: 300 bytes of frames, compressed and encrypted. */
const SEALED = [
  'RVZUQQEBAwDIAQAAeyJhcmNoaXZlIjoiMDAwMTAyMDMwNDA1MDYwNzA4MDkwYTBiMGMwZDBlMGYiLCJsaW5lIjoiYTBhMWEyYTNhNGE1YTZhNy',
  'IsImJhc2UiOnsiZXBvY2giOjAsImVwb2NoSWQiOiIwMDAwMDAwMDAwMDAwMDAwIiwicmV2aXNpb24iOjB9LCJsYXN0Ijp7ImVwb2NoIjo0LCJl',
  'cG9jaElkIjoiZDBkMWQyZDNkNGQ1ZDZkNyIsInJldmlzaW9uIjoyfSwiZmlyc3RUaW1lIjo1LCJsYXN0VGltZSI6NiwiY29tbWl0cyI6MiwicG',
  'xhaW5CeXRlcyI6MzAwLCJwcmV2aW91cyI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw',
  'MDAwMDAwMDAiLCJjaGFpbiI6ImUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZTFlMWUxZT',
  'EiLCJkaWdlc3QiOiJmMGYxZjJmM2Y0ZjVmNmY3IiwibWFya3MiOlsyXSwiYWZ0ZXIiOm51bGx9YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgy',
  'NTUxOSBWZTcrUE9DZ2ovLzQrWjJVWiszRGdiMjhJMm5EN1dFa29NdEtIVHhRM1RJCkUrdmMzS2JTZG5rYzlIMUc4bElaRThwUU5GSDBLeXlhVV',
  'hHaDV0Y3JXbU0KLS0tIDBFUXoyVHpVaFdOTXpVdlp1QzhnZ0tFaFdtdktnVXVsaFg2YXhPd1d4WFkKyRvGnBAX9efH/3ARXSSA2e+Kgp+aVCLx',
  'zkgbyUNHYBKEhqVAUzcN7mg8KnKxxuk3rc3RxOeDd0UUMzZM2NOWP+RJRT44pk0iptnjwWmzd1oC9UPQxMbj',
].join('');

/** Three frames in columns. */
const COLUMNS = [
  '0003080d0fe0014556544603010100101112131415161718191a1b1c1d1e1f04000000d0d1d2d3d4d5d6d700000000000000000000000000',
  '000000000000000100000000000000f0f1f2f3f4f5f6f7e803000000000000ec030000000000000100000006000000000000000000000000',
  '00000000000000000000000000000000000000000000004556544603010000101112131415161718191a1b1c1d1e1f04000000d0d1d2d3d4',
  'd5d6d704000000d0d1d2d3d4d5d6d701000000000000000300000000000000f0f1f2f3f4f5f6f7f203000000000000f60300000000000002',
  '0000005100000008f0f1f2f3f4f5f6f70601610162000005050a0101010a010201010101010000000e040105060708200309040704002108',
  '6b6e6d6f7071727308616e6e7774657874010104010111010109000101050101070301040401070101010303030303080101010201010101',
  '0101010901010201010e0402596265130202020001010101040100f83f020103030201020104010101010403010402050801020202020202',
  '0202',
].join('');

/** Three frames: the second has every kind of value, the third follows from it. */
function columnFrames(): Frame[] {
  const frames: Frame[] = [];
  const add = (body: string, count: number, flags: { readonly beginsEpoch?: boolean } = {}) => {
    const before = frames.at(-1);
    const base = before?.header.last ?? ORIGIN;
    const bytes = Buffer.from(body.replaceAll(' ', ''), 'hex');
    const header = { codec: 'binary', beginsEpoch: false, endsEpoch: false, isMark: false, ...flags } as const;
    const last = at(base.revision + count);
    const times = { firstTime: 1_000 + 10 * base.revision, lastTime: 1_004 + 10 * base.revision };
    const rest = { stream: STREAM, epoch: 4, epochId: EPOCH, base, last, digest: DIGEST, ...times, count, bodyLength: bytes.length };
    frames.push(sealFrame({ ...header, ...rest, previous: before === undefined ? NO_CHAIN : frameHash(before) }, bytes));
  };
  // Site «a», reason «b»; an empty change set.
  add('0161 0162 00 00', 1, { beginsEpoch: true });
  // /k = 300 by «ann»; 4 ms later /n/k and so on, with a message: null, -5, 1.5, «text», an array and an object.
  add(
    '05 03616e6e 01 00016b 04ac02' +
      '0a 04 0177 06' +
      '00 01 00016e 02 01 01' +
      '02 00016d 05 05' +
      '02 00016f 06 000000000000f83f' +
      '02 000170 07 0474657874' +
      '02 000171 08 02 20 03' +
      '02 000172 09 02 01 04 ad02 000173 07 0474657874',
    2,
  );
  // /n/k = 310; it is deleted, with /n defined anew and k spelled anew; the root is put.
  add('01 00 01 00016e 02 00016b 04b602 01 00 01 01 03 00016b 00 01 00 00 21', 3);
  return frames;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');
const ORIGIN_TEXT = '{"epoch":0,"epochId":"0000000000000000","revision":0}';
const AT_1 = `{"epoch":4,"epochId":"${EPOCH}","revision":1}`;
const AT_2 = `{"epoch":4,"epochId":"${EPOCH}","revision":2}`;

/** The same with the sum of its text as the last key, and a line feed. */
function summed(json: string): string {
  return `${json.slice(0, -1)},"sum":"${createHash('sha256').update(json).digest('hex')}"}\n`;
}

describe('an archive’s layout', () => {
  it('has HEAD as one JSON object with a sum, and a line feed', () => {
    const expected =
      `{"format":"evertree archive 1","archive":"${ARCHIVE}","stream":"${STREAM}","counter":7,"time":1764000000000,` +
      `"manifest":"${'11'.repeat(32)}","recipients":["${'22'.repeat(32)}"],"conditions":true,` +
      '"drilled":{"time":1764000000001,"passed":true,"position":{"epoch":4,"revision":2},"milliseconds":812,"report":"drill/1"},' +
      '"verified":{"time":1764000000002,"level":1,"passed":false,"report":"verified/1"},' +
      '"sum":"SUM"}\n';
    expect(text(encodeHead(HEAD))).toBe(expected.replace('SUM', '4b022c0865c3ad77a92f5777f0baee2dea86e9011c6b3590ac6e801a215d1fd2'));
    expect(parseHead(encodeHead(HEAD))).toEqual(HEAD);
  });

  it('has a manifest as JSON whose hash is its name', () => {
    const { bytes, sha256 } = encodeManifest(MANIFEST);
    const stretch =
      `{"kind":"stretch","path":"stretch/${LINE}/0000000004-0000000000000002-${RUN}-0000000001","bytes":10,"sha256":"${'33'.repeat(32)}",` +
      `"base":${ORIGIN_TEXT},"last":${AT_2},"firstTime":5,"lastTime":6,"commits":2,"plainBytes":3,"previous":"${NO_CHAIN}",` +
      `"chain":"${CHAIN}","digest":"${DIGEST}","marks":[2],"marked":[1],"archived":8}`;
    const image =
      `{"kind":"image","position":${AT_2},"time":6,"digest":"${DIGEST}","chain":"${CHAIN}","plainBytes":4,` +
      `"parts":[{"path":"image/${LINE}/0000000004-0000000000000002-${RUN}/0000000001","bytes":11,"sha256":"${'44'.repeat(32)}"}],` +
      '"marks":[1],"archived":8}';
    const expected =
      `{"format":"evertree manifest 1","archive":"${ARCHIVE}","stream":"${STREAM}","previous":null,"time":9,"lines":[` +
      `{"id":"${LINE}","site":"${SITE}","run":"${RUN}","private":{"site":"a"},"objects":[${stretch},${image}],` +
      `"tails":[{"path":"tail/0000000004-${EPOCH}-${SITE}-${RUN}","from":3,"base":${AT_2},"previous":"${CHAIN}"}],` +
      `"gaps":[{"from":${ORIGIN_TEXT},"to":${AT_1},"reason":"spool-full","time":7}]}],` +
      '"condemned":[{"path":"stretch/x","bytes":12,"since":6}]}';
    expect(text(bytes)).toBe(expected);
    expect(sha256).toBe('34ea5cc2b3a26005ee590c3ba4c1795ab7fe14dedc1b2cd521d02fb9ef9c73fa');
    expect(parseManifest(bytes, sha256)).toEqual(MANIFEST);
  });

  it('has sealed objects: magic, version, kind, flags, header, payload, sum', async () => {
    const { bytes, sha256 } = await sealObject({ kind: 'frames', header: HEADER, parts: [Buffer.from('ab'), Buffer.from('c')] }, 'plain');
    const header =
      `{"archive":"${ARCHIVE}","line":"${LINE}","base":${ORIGIN_TEXT},"last":${AT_2},"firstTime":5,"lastTime":6,"commits":2,` +
      `"plainBytes":3,"previous":"${NO_CHAIN}","chain":"${CHAIN}","digest":"${DIGEST}","marks":[2],"after":null}`;
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length);
    const before = `4556544101010000${length.toString('hex')}${Buffer.from(header).toString('hex')}616263`;
    expect(bytes.toString('hex')).toBe(`${before}${sha256}`);
    expect(sha256).toBe('4848df6196965549bc79fa7e0bcda06bda390b88e32973439ae0605fd88923ec');

    const part = { archive: ARCHIVE, line: LINE, position: at(2), part: 1, plainBytes: 1 };
    const image = await sealObject({ kind: 'image', header: part, parts: [Buffer.from('d')] }, 'plain');
    const partHeader = `{"archive":"${ARCHIVE}","line":"${LINE}","position":${AT_2},"part":1,"plainBytes":1}`;
    expect(image.bytes.subarray(0, 12).toString('hex')).toBe(`4556544101020000${partHeader.length.toString(16)}000000`);
    expect(text(image.bytes.subarray(12, -33))).toBe(partHeader);
  });

  it('has a payload that zstd compressed and age encrypted', async () => {
    const opened = await openObject(Buffer.from(SEALED, 'base64'), Identities.parse([IDENTITY]), 'x');
    expect(opened).toMatchObject({ kind: 'frames', isCompressed: true, isEncrypted: true, header: { ...HEADER, plainBytes: 300 } });
    expect(text(opened.payload)).toBe('frames'.repeat(50));
  });

  it('has frames in columns', () => {
    const frames = columnFrames();
    const plain = Buffer.concat(frames.map(({ bytes }) => bytes));
    const columns = encodeColumns(plain)!;
    expect(columns.toString('hex')).toBe(COLUMNS);
    expect(decodeColumns(Buffer.from(COLUMNS, 'hex'), plain.length).equals(plain)).toBe(true);
  });

  it('has reports as JSON with their format first and a sum last', () => {
    const verification = {
      archive: ARCHIVE,
      manifest: '11'.repeat(32),
      time: 9,
      level: 2 as const,
      finished: true,
      passed: false,
      findings: [{ level: 1 as const, object: 'stretch/x', line: LINE }],
      lines: [{ line: LINE, position: at(2) }],
      tails: [{ path: 'tail/x', number: 3, last: at(2), chain: CHAIN, digest: DIGEST, sum: '55'.repeat(32) }],
      objects: [['stretch/y', '66'.repeat(8), 2 as const, 8] satisfies [string, string, 2, number]],
    };
    const verified =
      `{"format":"evertree verification 1","archive":"${ARCHIVE}","manifest":"${'11'.repeat(32)}","time":9,"level":2,"finished":true,` +
      `"passed":false,"findings":[{"level":1,"object":"stretch/x","line":"${LINE}"}],"lines":[{"line":"${LINE}","position":${AT_2}}],` +
      `"tails":[{"path":"tail/x","number":3,"last":${AT_2},"chain":"${CHAIN}","digest":"${DIGEST}","sum":"${'55'.repeat(32)}"}],` +
      `"objects":[["stretch/y","${'66'.repeat(8)}",2,8]]}`;
    expect(text(encodeVerification(verification))).toBe(summed(verified));
    expect(parseVerification(encodeVerification(verification), 'verified/x')).toMatchObject(verification);
    const drill = {
      archive: ARCHIVE,
      time: 9,
      passed: true,
      failed: null,
      seed: 7,
      line: LINE,
      position: at(2),
      stateTime: 6,
      digest: DIGEST,
      found: DIGEST,
      phases: { open: 1, restore: 2, start: 3, check: null, flip: 4 },
      check: null,
      flip: { object: 'stretch/x', offset: 5, bit: 7, found: true },
      milliseconds: 10,
    };
    const drilled =
      `{"format":"evertree drill 1","archive":"${ARCHIVE}","time":9,"passed":true,"failed":null,"seed":7,"line":"${LINE}",` +
      `"position":${AT_2},"stateTime":6,"digest":"${DIGEST}","found":"${DIGEST}",` +
      '"phases":{"open":1,"restore":2,"start":3,"check":null,"flip":4},"check":null,' +
      '"flip":{"object":"stretch/x","offset":5,"bit":7,"found":true},"milliseconds":10}';
    expect(text(encodeDrill(drill))).toBe(summed(drilled));
    expect(parseDrill(encodeDrill(drill), 'drill/x')).toEqual(drill);
    const changed = Buffer.from(text(encodeDrill(drill)).replace('"seed":7', '"seed":8'));
    expect(() => parseDrill(changed, 'drill/x')).toThrow(/drill\/x is damaged: its sum is/);
    expect(() => parseDrill(Buffer.from(drilled.replace('drill 1', 'drill 2')), 'drill/x')).toThrow(/has the version 2 of its format/);
  });

  it('has images: the head of a snapshot behind its length, then chunks behind theirs', () => {
    const head =
      `{"stream":"${STREAM}","position":${AT_2},"digest":"${DIGEST}","chain":"${CHAIN}","epochs":[{"number":4,"id":"${EPOCH}",` +
      `"site":"a","base":${ORIGIN_TEXT},"reason":"first commit","time":5,"end":{"to":"b","command":"c"}}],` +
      `"marks":[{"name":"m 🌲","position":${AT_1},"markedAt":${AT_2},"time":6,"author":"ann","message":"why"}],"time":6}`;
    const payload = Buffer.concat([...encodeImageHead(SNAPSHOT), ...encodeChunk(Buffer.from('xyz'))]);
    const length = Buffer.byteLength(head);
    expect(payload.readUInt32LE(0)).toBe(length);
    expect(text(payload.subarray(4, 4 + length))).toBe(head);
    expect(payload.subarray(4 + length).toString('hex')).toBe('0300000078797a');
    const [first, second] = [...readChunks(payload, 'x')];
    expect(parseImageHead(first!, 'x')).toEqual(SNAPSHOT);
    expect(text(second!)).toBe('xyz');
  });

  it('has keys of one length, so that they sort as they count', () => {
    expect(keys.tailKey(keys.tailPath(4, EPOCH, SITE, RUN), 12)).toBe(`tail/0000000004-${EPOCH}-${SITE}-${RUN}/0000000012`);
    expect(keys.manifestKey('11'.repeat(32))).toBe(`manifest/${'11'.repeat(32)}`);
    expect([keys.pinKey('1'), keys.drillKey('1'), keys.verifiedKey('1'), keys.probeKey('1')]).toEqual([
      'pin/1',
      'drill/1',
      'verified/1',
      'probe/1',
    ]);
  });

  it('is refused where it is of a later version, and not taken for damage', async () => {
    const target = new MemoryTarget();
    await target.create(keys.HEAD_KEY, Buffer.from(text(encodeHead(HEAD)).replace('archive 1', 'archive 2')));
    await expect(Archive.open(target)).rejects.toMatchObject({ code: 'FORMAT_UNSUPPORTED' });
  });
});
