import { Readable } from 'node:stream';
import type { ArchivedObject, GapNote, ImageEntry, Manifest, Sealing, StretchEntry, TailNote, Target } from '@evertree/archive';
import { type ExactPosition, frameHash, type Frame, type Store, type StoredSnapshot } from '@evertree/core';
import { encodeHead } from '../../packages/archive/src/format/head-codec.ts';
import { encodeChunk, encodeImageHead } from '../../packages/archive/src/format/image-payload.ts';
import { encodeManifest } from '../../packages/archive/src/format/manifest-codec.ts';
import { HEAD_KEY, imagePartKey, manifestKey, stretchKey, tailKey, tailPath } from '../../packages/archive/src/format/object-keys.ts';
import type { FramesHeader } from '../../packages/archive/src/format/object-header.ts';
import { sealPrivate } from '../../packages/archive/src/format/private-part.ts';
import { sealObject } from '../../packages/archive/src/format/sealed-object.ts';

const ARCHIVE = 'ab'.repeat(16);

/** Writes archives by hand, as ARCHIVE.md says and without an archiver: for tests of what reads them. */
export class ArchiveMaker {
  readonly lines: LineMaker[] = [];
  readonly target: Target;
  readonly sealing: Sealing;
  readonly archive: string;
  #counter = 0;
  #previous: string | null = null;

  constructor(target: Target, { sealing = 'plain', archive = ARCHIVE }: { readonly sealing?: Sealing; readonly archive?: string } = {}) {
    this.target = target;
    this.sealing = sealing;
    this.archive = archive;
  }

  line(site = 'a'): LineMaker {
    const line = new LineMaker(this, site, (this.lines.length + 1).toString(16).padStart(16, '1'));
    this.lines.push(line);
    return line;
  }

  /** Writes the manifest of all lines, and HEAD. */
  async publish(change: (manifest: Manifest) => Manifest = manifest => manifest): Promise<string> {
    const stream = this.lines.find(line => line.stream !== undefined)?.stream ?? '00'.repeat(16);
    const lines = await Promise.all(
      this.lines.map(async ({ id, site, run, objects, tails, gaps }) => ({
        id,
        site: '5'.repeat(16),
        run,
        private: await sealPrivate({ site }, this.sealing),
        objects: [...objects],
        tails: [...tails],
        gaps: [...gaps],
      })),
    );
    const time = 1_000_000 + ++this.#counter;
    const manifest = change({ archive: this.archive, stream, previous: this.#previous, time, lines, condemned: [] });
    const { bytes, sha256 } = encodeManifest(manifest);
    await this.target.create(manifestKey(sha256), bytes);
    const head = await this.target.get(HEAD_KEY);
    const recipients = this.sealing === 'plain' ? [] : this.sealing.hashes;
    const common = { archive: this.archive, stream, counter: this.#counter, time, manifest: sha256, recipients, conditions: true };
    await this.target.replace(HEAD_KEY, encodeHead({ ...common, drilled: null, verified: null }), head?.tag);
    this.#previous = sha256;
    return sha256;
  }
}

/** One line of an archive that is written by hand. */
export class LineMaker {
  readonly id: string;
  readonly site: string;
  readonly run = '7'.repeat(16);
  readonly objects: ArchivedObject[] = [];
  readonly tails: TailNote[] = [];
  readonly gaps: GapNote[] = [];
  stream: string | undefined;
  readonly #maker: ArchiveMaker;
  #numbers = 0;
  #tails = 0;

  constructor(maker: ArchiveMaker, site: string, id: string) {
    this.#maker = maker;
    this.site = site;
    this.id = id;
  }

  /**
   * Frames as one stretch.
   * @param change what header and manifest say instead
   * @param stored the frames that are in it instead
   */
  async stretch(frames: readonly Frame[], change: Partial<FramesHeader> = {}, stored = frames): Promise<StretchEntry> {
    const plainBytes = lengthOf(stored.map(({ bytes }) => bytes));
    const header = { ...this.#header(frames), plainBytes, ...change };
    const path = stretchKey(this.id, header.last, this.run, ++this.#numbers);
    const { archive: _, line: __, after: ___, ...said } = header;
    const entry: StretchEntry = { kind: 'stretch', path, ...(await this.#seal(path, header, stored)), ...said };
    this.objects.push(entry);
    return entry;
  }

  /** Groups of frames as the objects of a tail. @returns their keys */
  async tail(
    groups: readonly (readonly Frame[])[],
    { from = 1, change = {} }: { readonly from?: number; readonly change?: Partial<FramesHeader> } = {},
  ): Promise<string[]> {
    const first = groups[0]![0]!.header;
    const { epoch, epochId } = first.last;
    const path = tailPath(epoch, epochId, '5'.repeat(16), (++this.#tails).toString(16).padStart(16, '7'));
    this.tails.push({ path, from, base: first.base, previous: first.previous });
    let after: string | null = from === 1 ? null : 'a5'.repeat(32);
    const keys: string[] = [];
    for (const [index, frames] of groups.entries()) {
      const key = tailKey(path, from + index);
      const { sha256 } = await this.#seal(key, { ...this.#header(frames), after, ...change }, frames);
      after = sha256;
      keys.push(key);
    }
    return keys;
  }

  /** A snapshot as an image, with so many bytes of chunks in a part. */
  async image(snapshot: StoredSnapshot, { partBytes = 200_000, marks = [] as number[] } = {}): Promise<ImageEntry> {
    const { header } = snapshot;
    const parts: Uint8Array[][] = [encodeImageHead(header)];
    for await (const chunk of snapshot.chunks()) {
      if (lengthOf(parts.at(-1)!) >= partBytes) parts.push([]);
      parts.at(-1)!.push(...encodeChunk(chunk));
    }
    const named = await Promise.all(parts.map((part, index) => this.#part(header.position, index + 1, part)));
    const { position, time, digest, chain } = header;
    const plainBytes = lengthOf(parts.flat());
    const entry: ImageEntry = { kind: 'image', position, time, digest, chain, plainBytes, parts: named, marks };
    this.stream ??= header.stream;
    this.objects.push(entry);
    return entry;
  }

  async #part(position: ExactPosition, part: number, parts: readonly Uint8Array[]): Promise<ImageEntry['parts'][number]> {
    const path = imagePartKey(this.id, position, this.run, part);
    const header = { archive: this.#maker.archive, line: this.id, position, part, plainBytes: lengthOf(parts) };
    const { bytes, sha256 } = await sealObject({ kind: 'image', header, parts }, this.#maker.sealing);
    await this.#maker.target.create(path, bytes);
    return { path, bytes: bytes.length, sha256 };
  }

  async #seal(path: string, header: FramesHeader, frames: readonly Frame[]): Promise<{ readonly bytes: number; readonly sha256: string }> {
    const parts = frames.map(({ bytes }) => bytes);
    const sealed = await sealObject({ kind: 'frames', header: { ...header, plainBytes: lengthOf(parts) }, parts }, this.#maker.sealing);
    await this.#maker.target.create(path, sealed.bytes);
    this.stream ??= frames[0]?.header.stream;
    return { bytes: sealed.bytes.length, sha256: sealed.sha256 };
  }

  #header(frames: readonly Frame[]): FramesHeader {
    const [first, end] = [frames[0]!, frames.at(-1)!];
    return {
      archive: this.#maker.archive,
      line: this.id,
      base: first.header.base,
      last: end.header.last,
      firstTime: first.header.firstTime,
      lastTime: end.header.lastTime,
      commits: end.header.last.revision - first.header.base.revision,
      plainBytes: lengthOf(frames.map(({ bytes }) => bytes)),
      previous: first.header.previous,
      chain: frameHash(end),
      digest: end.header.digest,
      marks: frames.filter(({ header }) => header.isMark).map(({ header }) => header.last.revision),
      after: null,
    };
  }
}

/** Frames in groups of so many. */
export function inGroups(frames: readonly Frame[], size: number): Frame[][] {
  const groups: Frame[][] = [];
  for (let at = 0; at < frames.length; at += size) groups.push(frames.slice(at, at + size));
  return groups;
}

/** A store's present state as a stored snapshot. */
export function snapshotOf(store: Store): StoredSnapshot {
  using snapshot = store.snapshot();
  const chunks = [...snapshot.chunks()];
  return { header: snapshot.header, bytes: lengthOf(chunks), chunks: () => Readable.from(chunks) };
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
