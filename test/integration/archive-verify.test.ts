import {
  Archive,
  Identities,
  type Manifest,
  prune,
  readHeadState,
  Recipients,
  type StretchEntry,
  verifyArchive,
  type ArchiveVerification,
  type ArchiveVerificationOptions,
} from '@evertree/archive';
import { type Frame, frameLength, parseFrame, RebuiltTree } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeHead } from '../../packages/archive/src/format/head-codec.ts';
import { encodeManifest } from '../../packages/archive/src/format/manifest-codec.ts';
import { openObject, sealObject } from '../../packages/archive/src/format/sealed-object.ts';
import { buildArchive, type BuiltArchiveOptions, randomStream } from '../support/archive-builder.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';

type Wish = Omit<ArchiveVerificationOptions, 'target' | 'clock' | 'random'>;

function verify(target: MemoryTarget, wish: Wish = {}): Promise<ArchiveVerification> {
  return verifyArchive({ target, clock: systemClock, random: systemRandom, ...wish });
}

async function built(seed: number, options: Partial<BuiltArchiveOptions> = {}, commits = 120) {
  const target = new MemoryTarget();
  const stream = await randomStream(seed, commits);
  const line = await buildArchive({ target, stream, inTails: 7, ...options });
  return { target, stream, line };
}

/** What a verification read, by key. */
function reads(target: MemoryTarget): string[] {
  return target.calls.filter(call => /^get (stretch|image|tail)\//.test(call)).map(call => call.slice('get '.length));
}

/** Objects of lines. */
function keysOf(target: MemoryTarget): string[] {
  return target.keys.filter(key => /^(stretch|image|tail)\//.test(key));
}

function flip(target: MemoryTarget, key: string, at: number): void {
  target.overwrite(key, bytes => {
    bytes[Math.floor(at * bytes.length)]! ^= 0x40;
    return bytes;
  });
}

function* framesIn(payload: Buffer): Generator<Frame> {
  for (let offset = 0; offset < payload.length;) {
    const length = frameLength(payload.subarray(offset));
    yield parseFrame(payload.subarray(offset, offset + length));
    offset += length;
  }
}

/** Puts another manifest in the place of the present one, and makes HEAD name it. */
async function republish(target: MemoryTarget, change: (manifest: Manifest) => Manifest): Promise<void> {
  const { head, manifest } = await readHeadState(target);
  const { bytes, sha256 } = encodeManifest(change(manifest!));
  await target.create(`manifest/${sha256}`, bytes);
  target.overwrite('HEAD', () => encodeHead({ ...head, manifest: sha256 }));
}

/** Replaces the entries of the first line. */
function withObjects(
  manifest: Manifest,
  change: (objects: Manifest['lines'][number]['objects']) => Manifest['lines'][number]['objects'],
): Manifest {
  const [line, ...others] = manifest.lines as [Manifest['lines'][number]];
  return { ...manifest, lines: [{ ...line, objects: change(line.objects) }, ...others] };
}

/** Seals a stretch anew with other frames or another header, and makes the manifest name it as if it had always been so. */
async function reseal(
  target: MemoryTarget,
  path: string,
  change: (payload: Buffer) => Buffer,
  header: Partial<StretchEntry> = {},
): Promise<void> {
  const opened = await openObject(target.bytes(path), undefined, path);
  const payload = change(opened.payload);
  if (opened.kind === 'image') {
    const its = { ...opened.header, plainBytes: payload.length };
    return await exchange(target, path, await sealObject({ kind: 'image', header: its, parts: [payload] }, 'plain'), {});
  }
  const its = { ...opened.header, ...header, plainBytes: payload.length };
  await exchange(target, path, await sealObject({ kind: 'frames', header: its, parts: [payload] }, 'plain'), {
    ...header,
    plainBytes: payload.length,
  });
}

async function exchange(
  target: MemoryTarget,
  path: string,
  { bytes, sha256 }: { bytes: Buffer; sha256: string },
  entry: Partial<StretchEntry>,
): Promise<void> {
  target.overwrite(path, () => bytes);
  const size = { bytes: bytes.length, sha256 };
  await republish(target, manifest =>
    withObjects(manifest, objects =>
      objects.map(object => {
        if (object.kind === 'stretch') return object.path === path ? { ...object, ...entry, ...size } : object;
        return { ...object, parts: object.parts.map(part => (part.path === path ? { ...part, ...size } : part)) };
      }),
    ),
  );
}

const shapes = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  commits: fc.integer({ min: 20, max: 90 }),
  from: fc.constantFrom(0, 0, 10),
  stretchFrames: fc.integer({ min: 1, max: 9 }),
  tailFrames: fc.integer({ min: 1, max: 4 }),
  inTails: fc.integer({ min: 0, max: 6 }),
  hasGap: fc.boolean(),
  encrypted: fc.boolean(),
});
type Shape = typeof shapes extends fc.Arbitrary<infer T> ? T : never;

const RECIPIENTS = Recipients.parse(['age1rgzl2tg9wk09waxangek5g8walq5qahrluscswdx4yuz0rletdaspm7wlv']);
const IDENTITIES = Identities.parse(['AGE-SECRET-KEY-124QXXUXT6NUUR6R0K5XK3G6P252E5QEFST82TLFRPGYS259U8A4Q4FS752']);

/** An archive of a shape; undefined where the history has no image for it. */
async function shaped({ seed, commits, from, hasGap, encrypted, ...options }: Shape) {
  const target = new MemoryTarget();
  const stream = await randomStream(seed, commits);
  const indexes = [...stream.images.keys()];
  const gap = { from: 20, to: 24 };
  const last = stream.frames.length - options.inTails;
  const needed = [...(from > 0 ? [from] : []), ...(hasGap ? [gap.to] : [])];
  if (needed.some(at => !indexes.some(index => index + 1 >= at && index + 1 < last)) || last < 12) return undefined;
  const sealing = encrypted ? RECIPIENTS : ('plain' as const);
  const line = await buildArchive({ target, stream, from, sealing, ...options, ...(hasGap ? { gap } : {}) });
  return { target, stream, line };
}

describe('verify passes', () => {
  test('a sound archive on every level, and says what it holds', async () => {
    const { target, stream, line } = await built(1);
    const last = stream.frames.at(-1)!.header;
    for (const level of [0, 1, 2, 3] as const) {
      const found = await verify(target, { level });
      expect(found.findings, `level ${level}`).toEqual([]);
      expect(found).toMatchObject({ passed: true, finished: true, level, commits: last.last.revision, findingCount: 0, remarks: [] });
      expect(found.lines).toMatchObject([{ line: line.id, position: last.last, digest: last.digest }]);
      expect(found.lines[0]!.restorable).toMatchObject([{ from: { revision: 0 }, to: last.last }]);
    }
  });

  test('sound archives of every shape', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.constantFrom(0, 1, 2, 3), async (shape, level) => {
        const archive = await shaped(shape);
        if (archive === undefined) return;
        const { findings, passed, lines } = await verify(archive.target, { level, identities: IDENTITIES });
        expect(findings).toEqual([]);
        expect(passed).toBe(true);
        expect(lines[0]!.restorable.at(-1)!.to).toEqual(archive.stream.frames.at(-1)!.header.last);
      }),
      { numRuns: 30 },
    );
  });
});

describe('verify passes', () => {
  test('what pruning leaves, whatever it was told to keep, also if all of it was verified before', async () => {
    let dropped = 0;
    await fc.assert(
      fc.asyncProperty(shapes, fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 1, 2, 3), async (shape, last, level) => {
        const archive = await shaped({ ...shape, commits: shape.commits + 60 });
        if (archive === undefined) return;
        const { target } = archive;
        const identities = IDENTITIES;
        expect(await verify(target, { level, identities })).toMatchObject({ passed: true });
        const report = await prune(target, { rules: { last, atLeast: 1 }, graceMs: 0, isExclusive: true });
        dropped += report.condemned.objects;
        const { findings } = await verify(target, { level, identities, rotation: 'all' });
        expect(findings).toEqual([]);
      }),
      { numRuns: 25 },
    );
    expect(dropped).toBeGreaterThan(0);
  });

  test('stretches that overlap, where each frame follows', async () => {
    const { target, line } = await built(22, { inTails: 0 });
    const [before, stretch] = line.objects.filter(object => object.kind === 'stretch') as [StretchEntry, StretchEntry];
    const frames = [...framesIn((await openObject(target.bytes(before.path), undefined, before.path)).payload)];
    const { header, bytes } = frames.at(-1)!;
    await reseal(target, stretch.path, payload => Buffer.concat([bytes, payload]), {
      base: header.base,
      previous: header.previous,
      firstTime: header.firstTime,
      commits: stretch.commits + header.count,
      marks: [...(header.isMark ? [header.last.revision] : []), ...stretch.marks],
    });
    for (const level of [0, 1, 2, 3] as const) expect((await verify(target, { level, rotation: 'all' })).findings).toEqual([]);
  });
});

/** What is done to an archive, and the level that finds it. */
const DAMAGES: {
  readonly [name: string]: {
    readonly level: 0 | 1;
    readonly damage: (target: MemoryTarget, key: string, at: number) => Promise<string[]> | string[];
  };
} = {
  'an object that was deleted': {
    level: 0,
    damage(target, key) {
      target.objects.delete(key);
      return [key];
    },
  },
  'an object that was cut short': {
    level: 1,
    damage(target, key, at) {
      target.overwrite(key, bytes => bytes.subarray(0, Math.floor(at * bytes.length)));
      return [key];
    },
  },
  'a flipped bit': {
    level: 1,
    damage(target, key, at) {
      flip(target, key, at);
      return [key];
    },
  },
  'two objects that were exchanged': {
    level: 1,
    damage(target, key, at) {
      const others = keysOf(target).filter(other => other !== key);
      const other = others[Math.floor(at * others.length)]!;
      const [ours, theirs] = [Buffer.from(target.bytes(key)), Buffer.from(target.bytes(other))];
      target.overwrite(key, () => theirs);
      target.overwrite(other, () => ours);
      return [key, other];
    },
  },
  'an object of another archive': {
    level: 1,
    async damage(target, key, at) {
      const { target: foreign } = await built(77, {}, 30);
      const keys = keysOf(foreign);
      target.overwrite(key, () => Buffer.from(foreign.bytes(keys[Math.floor(at * keys.length)]!)));
      return [key];
    },
  },
};

describe('verify finds and names', () => {
  test.each(Object.entries(DAMAGES))('%s, whichever it is', async (_name, { level, damage }) => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        async (shape, which, at) => {
          const archive = await shaped(shape);
          if (archive === undefined) return;
          const { target, line } = archive;
          const keys = keysOf(target);
          const damaged = await damage(target, keys[Math.floor(which * keys.length)]!, at);
          // The last object of a tail can't be missed by who does not know that it was there.
          const { tails } = line;
          const [last] = keys.filter(key => tails.some(({ path }) => key.startsWith(path))).slice(-1);
          const isUnknowable = level === 0 && damaged[0] === last;
          for (const wanted of [level, 2] as const) {
            const found = await verify(target, { level: wanted, identities: IDENTITIES });
            expect(found.passed, `level ${wanted}`).toBe(isUnknowable);
            const named = found.findings.map(({ object }) => object);
            if (!isUnknowable)
              expect(
                damaged.some(key => named.includes(key)),
                `${named.join()} instead of ${damaged.join()}`,
              ).toBe(true);
            for (const { restorable } of found.findings) expect(restorable).toMatch(/restored/);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('and says of what is left only what can be restored', async () => {
    let spans = 0;
    await fc.assert(
      fc.asyncProperty(shapes, fc.double({ min: 0, max: 0.999, noNaN: true }), async (shape, which) => {
        const archive = await shaped({ ...shape, encrypted: false });
        if (archive === undefined) return;
        const { target, line } = archive;
        const keys = keysOf(target);
        const key = keys[Math.floor(which * keys.length)]!;
        flip(target, key, 0.7);
        const { lines } = await verify(target, { level: 2 });
        const reading = await Archive.open(target);
        for (const { from, to } of lines[0]!.restorable) {
          for (const position of from.revision === 0 ? [to] : [from, to]) {
            const plan = await reading.plan(position, { line: line.id, without: new Set([key]) });
            const tree = plan.image === undefined ? RebuiltTree.empty() : await RebuiltTree.from(await reading.image(line.id, plan.image));
            for await (const frame of reading.frames(plan)) tree.apply(frame);
            expect(tree.head.last.revision).toBeGreaterThanOrEqual(position.revision);
            spans++;
          }
        }
      }),
      { numRuns: 30 },
    );
    expect(spans).toBeGreaterThan(5);
  });

  test('trap 19: an object that is needed and was deleted, on every level, and also when it was verified before', async () => {
    const { target } = await built(3);
    for (const isRemembered of [false, true]) {
      if (isRemembered) expect(await verify(target, { level: 2 })).toMatchObject({ passed: true });
      for (const key of [...keysOf(target), ...target.keys.filter(each => each.startsWith('manifest/')).slice(-1)]) {
        // Nobody can know of the last object of a tail who never saw it.
        const isLast = key === keysOf(target).findLast(each => each.startsWith('tail/'));
        for (const level of [0, 1, 2] as const) {
          const copy = new MemoryTarget({}, new Map(target.objects));
          copy.objects.delete(key);
          const { passed, findings } = await verify(copy, { level, rotation: { bytes: 0 } });
          expect([passed, findings.some(({ object }) => object === key)], `${key} on level ${level}`).toEqual([
            isLast && !isRemembered,
            !isLast || isRemembered,
          ]);
        }
      }
    }
    const headless = new MemoryTarget({}, new Map(target.objects));
    headless.objects.delete('HEAD');
    expect(await verify(headless, { level: 0 })).toMatchObject({
      passed: false,
      findings: [{ object: 'HEAD', problem: 'it is missing, and there are manifests' }],
    });
  });

  test('an object of a tail in the place of the next one that was verified before, on every level that reads, again and again', async () => {
    for (const level of [1, 2, 3] as const) {
      const { target } = await built(7);
      expect(await verify(target, { level })).toMatchObject({ passed: true });
      const tail = target.keys.filter(key => key.startsWith('tail/'));
      const [before, object] = [tail.at(-3)!, tail.at(-2)!];
      const { bytes } = (await target.get(before))!;
      target.overwrite(object, () => Buffer.from(bytes));
      for (const all of [true, false]) {
        const { passed, findings } = await verify(target, { level, ...(all && { rotation: 'all' }) });
        expect([passed, findings.map(finding => finding.object)]).toEqual([false, [object]]);
      }
    }
  });

  test('HEAD is gone from a copied archive: what is proven is the manifest that a restore takes', async () => {
    const { target } = await built(5);
    const { manifest } = await readHeadState(target);
    await republish(target, present => ({ ...present, time: present.time + 1_000, previous: encodeManifest(manifest!).sha256 }));
    const newest = (await readHeadState(target)).head.manifest!;
    target.objects.delete('HEAD');
    // A copy has its files from whatever moments they were copied at.
    const key = `manifest/${newest}`;
    target.objects.set(key, { ...target.objects.get(key)!, modified: 1 });
    const { remarks } = await verify(target, { level: 0 });
    expect((await Archive.open(target)).manifestHash).toBe(newest);
    expect(remarks.join()).toContain(newest);
  });

  test('a manifest that was altered, although HEAD names it', async () => {
    const { target, line } = await built(5);
    const stretches = line.objects.filter(object => object.kind === 'stretch');
    const [, , third, fourth] = stretches as [StretchEntry, StretchEntry, StretchEntry, StretchEntry];
    const altered = async (change: (manifest: Manifest) => Manifest): Promise<MemoryTarget> => {
      const copy = new MemoryTarget({}, new Map(target.objects));
      await republish(copy, change);
      return copy;
    };
    const entry = (patch: Partial<StretchEntry>) => (manifest: Manifest) =>
      withObjects(manifest, objects =>
        objects.map(object => (object.kind === 'stretch' && object.path === third.path ? { ...object, ...patch } : object)),
      );
    const without = await altered(manifest =>
      withObjects(manifest, objects =>
        objects.filter(object => object !== objects.find(each => each.kind === 'stretch' && each.path === third.path)),
      ),
    );
    expect((await verify(without, { level: 0 })).findings).toMatchObject([
      {
        level: 0,
        object: fourth.path,
        line: line.id,
        problem: expect.stringMatching(/^it begins at .*: \d+ commits are missing before it$/),
      },
    ]);
    for (const [patch, level, object] of [
      [{ last: { ...third.last, revision: third.last.revision - 1 } }, 0, fourth.path],
      [{ last: { ...third.last, revision: third.last.revision + 1 } }, 1, third.path],
      [{ chain: 'c'.repeat(64) }, 0, fourth.path],
      [{ digest: 'd'.repeat(16) }, 1, third.path],
      [{ commits: third.commits + 1 }, 1, third.path],
      [{ sha256: 'a'.repeat(64) }, 1, third.path],
    ] as const) {
      const { findings } = await verify(await altered(entry(patch)), { level: 1 });
      expect(
        findings.filter(found => found.level === level).map(found => found.object),
        JSON.stringify(patch),
      ).toContain(object);
    }
    const beginning = await altered(manifest =>
      withObjects(manifest, objects =>
        objects.slice(objects.findIndex(each => each.kind === 'stretch') + 1).filter(({ kind }) => kind === 'stretch'),
      ),
    );
    expect((await verify(beginning, { level: 0 })).findings[0]!.problem).toMatch(
      /neither an image nor the origin of the stream comes before it/,
    );
  });

  test('a header that claims a range of which the frames have a part, with right sums all over', async () => {
    const { target, line } = await built(6);
    const [before, stretch] = line.objects.filter(object => object.kind === 'stretch') as [StretchEntry, StretchEntry];
    await reseal(target, stretch.path, payload => {
      const first = frameLength(payload);
      return Buffer.concat([payload.subarray(0, first), payload.subarray(first + frameLength(payload.subarray(first)))]);
    });
    expect(await verify(target, { level: 1 })).toMatchObject({ passed: true });
    const found = await verify(target, { level: 2 });
    expect(found.findings).toMatchObject([
      { level: 2, object: stretch.path, problem: expect.stringMatching(/^a frame that follows .* stands after/) },
    ]);
    expect(found.findings[0]!.restorable).toContain(`to ${before.last.epoch}-${before.last.revision}`);
  });

  test('an image that is another tree than the frames give, with right sums all over', async () => {
    const { target, line } = await built(8);
    const image = line.objects.findLast(object => object.kind === 'image')!;
    const { path } = image.parts.at(-1)!;
    await reseal(target, path, payload => {
      const at = payload.indexOf('text');
      expect(at).toBeGreaterThan(0);
      return Buffer.concat([payload.subarray(0, at), Buffer.from('TEXT'), payload.subarray(at + 4)]);
    });
    expect(await verify(target, { level: 1 })).toMatchObject({ passed: true });
    const { findings } = await verify(target, { level: 2 });
    expect(findings.map(({ object }) => object)).toEqual([image.parts[0]!.path]);
    expect(findings[0]!.problem).toMatch(/digest/);
  });

  test('an object that is not encrypted in an archive that is', async () => {
    const target = new MemoryTarget();
    const line = await buildArchive({ target, stream: await randomStream(9, 40), sealing: RECIPIENTS });
    const { path } = line.objects.find(object => object.kind === 'stretch')!;
    const opened = await openObject(target.bytes(path), IDENTITIES, path);
    await exchange(target, path, await sealObject({ ...opened, parts: [opened.payload] }, 'plain'), {});
    expect((await verify(target)).findings).toMatchObject([{ object: path, problem: 'it is not encrypted, and the archive is' }]);
    await expect(verify(target, { level: 2 })).rejects.toThrow(/give the identity/);
    const other = Identities.parse(['AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP']);
    await expect(verify(target, { level: 2, identities: other })).rejects.toThrow(/encrypted for others/);
  });

  test('a tail that ends before the place at which it ended when it was verified', async () => {
    const { target } = await built(10);
    await verify(target);
    const keys = keysOf(target).filter(key => key.startsWith('tail/'));
    for (const key of keys.slice(-2)) target.objects.delete(key);
    const { findings } = await verify(target, { level: 0 });
    expect(findings[0]).toMatchObject({ object: keys.at(-2), problem: expect.stringContaining('when it was verified before') });
  });
});

describe('verify draws a state', () => {
  test('and rebuilds it to the digest that the site recorded; the seed draws it again', async () => {
    const { target, stream } = await built(20);
    const digests = new Map(stream.frames.map(({ header }) => [header.last.revision, header.digest]));
    const drawn = new Set<number>();
    for (let seed = 0; seed < 12; seed++) {
      const found = await verify(target, { level: 3, seed, rotation: { bytes: 0 } });
      expect(found).toMatchObject({ passed: true, drawn: { seed } });
      expect(found.drawn!.digest).toBe(digests.get(found.drawn!.position.revision));
      expect((await verify(target, { level: 3, seed, rotation: { bytes: 0 } })).drawn).toEqual(found.drawn);
      drawn.add(found.drawn!.position.revision);
    }
    expect(drawn.size).toBeGreaterThan(3);
  });

  test('and names an object that is damaged although it was verified before', async () => {
    const { target, line } = await built(21);
    await verify(target, { level: 2 });
    for (const object of line.objects) if (object.kind === 'stretch') flip(target, object.path, 0.6);
    const { findings } = await verify(target, { level: 3, seed: 5, rotation: { bytes: 0 } });
    expect(findings).toMatchObject([{ level: 3, object: expect.stringMatching(/^stretch\//), problem: expect.stringContaining('seed 5') }]);
  });
});

describe('verify remembers', () => {
  test('what it read, and reads only what is new, and a part of the rest', async () => {
    const { target, stream } = await built(11, { to: 40 });
    const keys = keysOf(target);
    const first = await verify(target);
    expect(first).toMatchObject({ objectsRemembered: 0, passed: true });
    expect(new Set(reads(target))).toEqual(new Set(keys));
    target.calls.length = 0;
    const second = await verify(target, { rotation: { bytes: 0 } });
    expect(second).toMatchObject({ objectsRead: 0, objectsRemembered: keys.length, passed: true });
    expect(reads(target)).toEqual([]);
    // A line that came since is new.
    await buildArchive({ target, stream, to: 20 });
    target.calls.length = 0;
    expect(await verify(target, { rotation: { bytes: 0 } })).toMatchObject({ passed: true });
    const news = keysOf(target).filter(key => !keys.includes(key));
    expect(new Set(reads(target))).toEqual(new Set(news));
    target.calls.length = 0;
    await verify(target, { rotation: 'all' });
    expect(new Set(reads(target))).toEqual(new Set(keysOf(target)));
    const { head } = await readHeadState(target);
    expect(head.verified).toMatchObject({ level: 1, passed: true });
    expect(target.keys).toContain(head.verified!.report);
  });

  test('each part in its turn', async () => {
    const { target } = await built(12);
    await verify(target);
    const seen: string[] = [];
    for (const part of [1, 2, 3]) {
      target.calls.length = 0;
      await verify(target, { rotation: { part, of: 3 } });
      seen.push(...reads(target));
    }
    expect(seen.toSorted()).toEqual(keysOf(target));
  });

  test('the oldest first, so that all are read again within as many runs as it takes', async () => {
    const { target } = await built(13);
    await verify(target);
    const seen = new Set<string>();
    for (let run = 0; run < 30; run++) {
      target.calls.length = 0;
      await verify(target);
      for (const key of reads(target)) seen.add(key);
    }
    expect(seen).toEqual(new Set(keysOf(target)));
  });

  test('the level on which something was verified', async () => {
    const { target } = await built(14);
    await verify(target, { level: 1 });
    expect(await verify(target, { level: 2, rotation: { bytes: 0 } })).toMatchObject({ objectsRemembered: 0, passed: true });
    expect(await verify(target, { level: 2, rotation: { bytes: 0 } })).toMatchObject({ objectsRead: 0, passed: true });
    expect(await verify(target, { level: 1, rotation: { bytes: 0 } })).toMatchObject({ objectsRead: 0, passed: true });
  });

  test('nothing of what is not sound', async () => {
    const { target } = await built(15);
    const [key] = keysOf(target).filter(each => each.startsWith('stretch/')) as [string];
    flip(target, key, 0.5);
    for (let run = 0; run < 2; run++)
      expect((await verify(target, { rotation: { bytes: 0 } })).findings.map(({ object }) => object)).toEqual([key]);
    flip(target, key, 0.5);
    expect(await verify(target, { rotation: { bytes: 0 } })).toMatchObject({ passed: true, objectsRead: 1 });
  });

  test('another object of the same key as another one', async () => {
    const { target, line } = await built(16);
    await verify(target, { level: 2 });
    const { path } = line.objects.filter(object => object.kind === 'stretch')[1]!;
    await reseal(target, path, payload => payload.subarray(0, frameLength(payload)));
    expect((await verify(target, { level: 2, rotation: { bytes: 0 } })).findings.map(({ object }) => object)).toContain(path);
  });

  test('what it did when it was interrupted, by a signal or by the target', async () => {
    for (const isSignal of [true, false]) {
      const { target } = await built(17);
      const controller = new AbortController();
      const fault = target.fail({ operation: 'get', key: isSignal ? /nothing/ : /^tail\//, after: 1 });
      const progress = () => {
        if (isSignal && reads(target).length > 6) controller.abort();
      };
      const running = verify(target, { signal: controller.signal, progress });
      if (isSignal) expect(await running).toMatchObject({ finished: false, passed: false, findingCount: 0 });
      else await expect(running).rejects.toThrow(/planted/);
      fault[Symbol.dispose]();
      expect((await readHeadState(target)).head.verified).toBeNull();
      const before = new Set(reads(target));
      target.calls.length = 0;
      const found = await verify(target, { rotation: { bytes: 0 } });
      expect(found).toMatchObject({ passed: true, finished: true });
      expect(found.objectsRemembered).toBeGreaterThan(0);
      expect(reads(target).length).toBeLessThan(keysOf(target).length);
      expect(new Set([...before, ...reads(target)])).toEqual(new Set(keysOf(target)));
    }
  });

  test('nothing where the target may only be read, and says so', async () => {
    const { target } = await built(18);
    for (const operation of ['create', 'replace'] as const) target.fail({ operation, code: 'FORBIDDEN' });
    const found = await verify(target, { level: 2 });
    expect(found).toMatchObject({ passed: true, report: null });
    expect(found.remarks.join()).toMatch(/can't be remembered/);
  });

  test('nothing from a report that is damaged', async () => {
    const { target } = await built(19);
    const { report } = await verify(target);
    flip(target, report!, 0.5);
    const found = await verify(target, { rotation: { bytes: 0 } });
    expect(found).toMatchObject({ passed: true, objectsRemembered: 0 });
    expect(found.remarks.join()).toContain(report!);
  });
});
