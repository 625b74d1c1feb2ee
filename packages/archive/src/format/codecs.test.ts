import { createHash } from 'node:crypto';
import { ORIGIN } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import type { ArchiveHead } from './archive-head.ts';
import { CondemnedPaths, objectsOf, withoutObjects } from './condemned.ts';
import { encodeHead, parseHead } from './head-codec.ts';
import { encodeManifest, parseManifest } from './manifest-codec.ts';
import type { Manifest } from './manifest.ts';
import { imagePartKey, stretchKey, tailKey, tailPath } from './object-keys.ts';

const HEAD: ArchiveHead = {
  archive: 'a'.repeat(32),
  stream: null,
  counter: 4,
  time: 1_000,
  manifest: '1'.repeat(64),
  recipients: ['2'.repeat(64)],
  conditions: true,
  drilled: { time: 7, passed: true, position: { epoch: 1, revision: 2 }, milliseconds: 12, report: 'drill/x' },
  verified: null,
};
const at = (revision: number) => ({ epoch: 1, epochId: 'e'.repeat(16), revision });
const MANIFEST: Manifest = {
  archive: 'a'.repeat(32),
  stream: 'b'.repeat(32),
  previous: null,
  time: 5,
  lines: [
    {
      id: '1'.repeat(16),
      site: '2'.repeat(16),
      run: '3'.repeat(16),
      private: { site: 'a' },
      objects: [
        {
          kind: 'stretch',
          path: stretchKey('1'.repeat(16), at(5), '3'.repeat(16), 1),
          bytes: 100,
          sha256: '4'.repeat(64),
          base: ORIGIN,
          last: at(5),
          firstTime: 1,
          lastTime: 2,
          commits: 5,
          plainBytes: 200,
          previous: '0'.repeat(64),
          chain: '5'.repeat(64),
          digest: '6'.repeat(16),
          marks: [],
        },
        {
          kind: 'image',
          position: at(5),
          time: 2,
          digest: '6'.repeat(16),
          chain: '5'.repeat(64),
          plainBytes: 6 * 2 ** 32,
          parts: [{ path: imagePartKey('1'.repeat(16), at(5), '3'.repeat(16), 1), bytes: 9, sha256: '7'.repeat(64) }],
          marks: [4],
        },
      ],
      tails: [{ path: tailPath(1, 'e'.repeat(16), '2'.repeat(16), '3'.repeat(16)), from: 1, base: at(5), previous: '5'.repeat(64) }],
      gaps: [],
    },
  ],
  condemned: [{ path: 'tail/x', bytes: 1, since: 3 }],
};

/** What is left of a text after one replacement, with its sum made right where it has one. */
function resummed(text: string, from: string, to: string): Buffer {
  const { sum: _, ...head } = JSON.parse(text.replace(from, to)) as { sum: string };
  const sum = createHash('sha256').update(JSON.stringify(head)).digest('hex');
  return Buffer.from(`${JSON.stringify({ ...head, sum })}\n`);
}

function condemnedTail(number: number, since = 3) {
  return { path: tailKey('tail/x', number), bytes: 7, since };
}

describe('HEAD', () => {
  it('is read as it was written', () => {
    expect(parseHead(encodeHead(HEAD))).toEqual(HEAD);
  });

  it('shows every byte that was changed', () => {
    const bytes = encodeHead(HEAD);
    for (let index = 0; index < bytes.length - 1; index++) {
      const changed = Buffer.from(bytes);
      changed[index]! ^= 1;
      expect(() => parseHead(changed), `byte ${index}`).toThrow(/HEAD (is damaged|has the version)/);
    }
  });

  it('names the key and the value that are wrong', () => {
    const text = encodeHead(HEAD).toString();
    expect(() => parseHead(resummed(text, '"counter":4', '"counter":-4'))).toThrow('HEAD is damaged: "counter" is -4');
    expect(() => parseHead(resummed(text, '"milliseconds":12', '"millis":12'))).toThrow('"drilled.milliseconds" is missing');
    expect(() => parseHead(resummed(text, '"counter":4', '"counter":4,"more":1'))).toThrow('"more" is 1: this key is not known');
    expect(() => parseHead(Buffer.from(text.replace('archive 1', 'archive 2')))).toThrow('HEAD has the version 2 of its format');
  });
});

describe('a manifest', () => {
  it('tells of condemned objects of a tail that follow one another in one entry', () => {
    const condemned = [
      ...Array.from({ length: 1_000 }, (_, index) => condemnedTail(index + 1)),
      condemnedTail(1_002),
      condemnedTail(1_003, 4),
      { ...condemnedTail(5), path: 'stretch/5' },
    ];
    const { bytes, sha256 } = encodeManifest({ ...MANIFEST, condemned });
    const read = parseManifest(bytes, sha256).condemned;
    expect(read).toEqual([
      { path: 'tail/x', numbers: [1, 1_000], bytes: 7_000, since: 3 },
      { path: 'tail/x', numbers: [1_002, 1_002], bytes: 7, since: 3 },
      { path: 'tail/x', numbers: [1_003, 1_003], bytes: 7, since: 4 },
      condemned.at(-1),
    ]);
    expect(read.flatMap(entry => [...objectsOf(entry)])).toEqual(condemned);
    const paths = new CondemnedPaths(read);
    expect(condemned.filter(({ path }) => !paths.has(path))).toEqual([]);
    expect([condemnedTail(1_001), condemnedTail(1_004)].filter(({ path }) => paths.has(path))).toEqual([]);
    const left = withoutObjects(read, new Set([condemnedTail(3).path, condemnedTail(4).path, 'stretch/5']));
    expect(left.map(({ numbers }) => numbers)).toEqual([
      [1, 2],
      [5, 1_000],
      [1_002, 1_002],
      [1_003, 1_003],
    ]);
  });

  it('is read as it was written, with sizes above 4 GiB', () => {
    const { bytes, sha256 } = encodeManifest(MANIFEST);
    expect(parseManifest(bytes, sha256)).toEqual(MANIFEST);
  });

  it('names the key and the value that are wrong', () => {
    const text = encodeManifest(MANIFEST).bytes.toString();
    const parse = (from: string, to: string) => {
      const bytes = Buffer.from(text.replace(from, to));
      return () => parseManifest(bytes, createHash('sha256').update(bytes).digest('hex'));
    };
    expect(parse('"commits":5', '"commits":0')).toThrow(/manifest\/[0-9a-f]{64} is damaged: "lines.0.objects.0.commits" is 0/);
    expect(parse('"path":"stretch', '"path":"../stretch/')).toThrow('"lines.0.objects.0.path" is "../stretch//');
    expect(parse('"kind":"image"', '"kind":"picture"')).toThrow('"lines.0.objects.1.kind" is "picture"');
    expect(parse('manifest 1', 'manifest 9')).toThrow('has the version 9 of its format');
    expect(() => parseManifest(Buffer.from(text), '0'.repeat(64))).toThrow('its hash is');
  });
});

describe('keys', () => {
  it('have numbers of one length, so that they sort as they count', () => {
    expect(tailKey(tailPath(12, 'e'.repeat(16), 's'.repeat(16), 'r'.repeat(16)), 7)).toBe(
      `tail/0000000012-${'e'.repeat(16)}-${'s'.repeat(16)}-${'r'.repeat(16)}/0000000007`,
    );
    expect(stretchKey('l', { epoch: 2, revision: 2 ** 53 - 1 }, 'r', 3)).toBe('stretch/l/0000000002-9007199254740991-r-0000000003');
    expect(imagePartKey('l', { epoch: 2, revision: 5 }, 'r', 70_000)).toBe('image/l/0000000002-0000000000000005-r/0000070000');
  });
});
