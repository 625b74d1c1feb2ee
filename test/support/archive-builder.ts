import {
  type ArchivedObject,
  type ArchiveLine,
  type GapNote,
  type ImageEntry,
  initArchive,
  movingHead,
  type Sealing,
  type StretchEntry,
  type Target,
  type TailNote,
} from '@evertree/archive';
import { type Frame, frameHash, type SnapshotHeader } from '@evertree/core';
import { encodeChunk, encodeImageHead } from '../../packages/archive/src/format/image-payload.ts';
import { imagePartKey, stretchKey, tailKey, tailPath } from '../../packages/archive/src/format/object-keys.ts';
import { sealPrivate } from '../../packages/archive/src/format/private-part.ts';
import { sealObject } from '../../packages/archive/src/format/sealed-object.ts';
import { systemRandom } from './host.ts';
import { RandomHistory } from './random-history.ts';
import { framesOf, memoryStore } from './stores.ts';

/** A history as a site would archive it: its frames, and the tree at some of their ends. */
export interface RandomStream {
  readonly frames: readonly Frame[];
  /** By the index of the frame that ends there. */
  readonly images: ReadonlyMap<number, { readonly header: SnapshotHeader; readonly chunks: readonly Uint8Array[] }>;
}

/** Commits of every kind at random, one or several a frame. */
export async function randomStream(seed: number, commits: number): Promise<RandomStream> {
  const random = new RandomHistory(seed);
  const { store } = await memoryStore({ site: 'site' });
  const images = new Map<number, { readonly header: SnapshotHeader; readonly chunks: readonly Uint8Array[] }>();
  for (let done = 0; done < commits; done++) {
    random.commit(store);
    if (random.below(3) > 0) continue;
    using snapshot = store.snapshot();
    if (snapshot.position.revision === 0 || random.below(3) > 0) continue;
    await store.flush();
    const count = (await framesOf(store.journal)).length;
    images.set(count - 1, { header: snapshot.header, chunks: [...snapshot.chunks()] });
  }
  await store.flush();
  const frames = await framesOf(store.journal);
  await store.close();
  return { frames, images };
}

/** Commits of so many bytes that can't be compressed much. */
export async function largeStream(commits: number, bytes: number): Promise<RandomStream> {
  const { store } = await memoryStore({ site: 'site' });
  for (let index = 0; index < commits; index++) {
    store.put(['large', `k${index % 50}`], Buffer.from(systemRandom.bytes(bytes)).toString('base64'));
    store.cut();
  }
  await store.flush();
  const frames = await framesOf(store.journal);
  await store.close();
  return { frames, images: new Map() };
}

export interface BuiltArchiveOptions {
  readonly target: Target;
  readonly stream: RandomStream;
  readonly sealing?: Sealing;
  /** The first and the last frame; without them all. */
  readonly from?: number;
  readonly to?: number;
  /** Frames of a stretch and of an object of a tail. */
  readonly stretchFrames?: number;
  readonly tailFrames?: number;
  /** The frames at the end that are in tails. */
  readonly inTails?: number;
  /** Frames that the archive lacks, from one to another; the image at or after its end begins what follows. */
  readonly gap?: { readonly from: number; readonly to: number };
  readonly partBytes?: number;
}

/** Writes an archive, with one line more, as ARCHIVE.md says. */
export async function buildArchive(options: BuiltArchiveOptions): Promise<ArchiveLine> {
  const { target, sealing = 'plain' } = options;
  await initArchive(target, { sealing, conditions: true, random: systemRandom }).catch(() => undefined);
  const { head } = await movingHead(target, () => undefined);
  const line = await new LineBuilder(options, head.archive).build();
  const { stream } = options.stream.frames[0]!.header;
  await movingHead(target, ({ manifest }) => ({
    manifest: { stream, lines: [...(manifest?.lines ?? []), line], condemned: manifest?.condemned ?? [] },
  }));
  return line;
}

class LineBuilder {
  readonly #options: BuiltArchiveOptions;
  readonly #archive: string;
  readonly #id = drawn();
  readonly #run = drawn();
  readonly #site = drawn();
  readonly #objects: ArchivedObject[] = [];
  readonly #gaps: GapNote[] = [];
  #number = 0;

  constructor(options: BuiltArchiveOptions, archive: string) {
    this.#options = options;
    this.#archive = archive;
  }

  async build(): Promise<ArchiveLine> {
    const { stream, sealing = 'plain', stretchFrames = 5, gap, inTails = 0 } = this.#options;
    const to = this.#options.to ?? stream.frames.length;
    const from = this.#beginning(this.#options.from ?? 0);
    if (from > 0) await this.#image(from - 1);
    const end = to - inTails;
    for (let at = from; at < end;) {
      if (gap !== undefined && at >= gap.from && at < gap.to) {
        at = await this.#gap(at, gap.to);
        continue;
      }
      const next = Math.min(at + stretchFrames, end, gap !== undefined && at < gap.from ? gap.from : Infinity);
      for (let index = at; index < next; index++) if (stream.images.has(index) && index > from) await this.#image(index);
      await this.#stretch(stream.frames.slice(at, next));
      at = next;
    }
    const tails = inTails === 0 ? [] : [await this.#tail(stream.frames.slice(end, to))];
    return {
      id: this.#id,
      site: this.#site,
      run: this.#run,
      private: await sealPrivate({ site: 'site' }, sealing),
      objects: this.#objects,
      tails,
      gaps: this.#gaps,
    };
  }

  /** The frame at which the line can begin: the first, or one after an image. */
  #beginning(from: number): number {
    if (from === 0) return 0;
    const index = [...this.#options.stream.images.keys()].toSorted((a, b) => a - b).find(at => at + 1 >= from);
    if (index === undefined) throw new Error('there is no image to begin with');
    return index + 1;
  }

  async #gap(from: number, to: number): Promise<number> {
    const { frames } = this.#options.stream;
    const next = this.#beginning(to);
    const position = { from: frames[from]!.header.base, to: frames[next - 1]!.header.last };
    this.#gaps.push({ ...position, reason: 'spool-full', time: 1 });
    await this.#image(next - 1);
    return next;
  }

  async #stretch(frames: readonly Frame[]): Promise<void> {
    const path = stretchKey(this.#id, frames.at(-1)!.header.last, this.#run, ++this.#number);
    const { bytes, sha256 } = await this.#seal(path, frames, null);
    const { archive: _, line: _line, after: _after, ...header } = this.#header(frames, null);
    const entry: StretchEntry = { kind: 'stretch', path, bytes, sha256, ...header };
    this.#objects.push(entry);
  }

  async #tail(frames: readonly Frame[]): Promise<TailNote> {
    const { tailFrames = 2 } = this.#options;
    const [first] = frames as [Frame];
    const path = tailPath(first.header.epoch, first.header.epochId, this.#site, this.#run);
    let after: string | null = null;
    for (let at = 0, number = 1; at < frames.length; at += tailFrames, number++) {
      const sealed = await this.#seal(tailKey(path, number), frames.slice(at, at + tailFrames), after);
      after = sealed.sha256;
    }
    return { path, from: 1, base: first.header.base, previous: first.header.previous };
  }

  #header(frames: readonly Frame[], after: string | null) {
    const [first, last] = [frames[0]!, frames.at(-1)!];
    return {
      archive: this.#archive,
      line: this.#id,
      base: first.header.base,
      last: last.header.last,
      firstTime: first.header.firstTime,
      lastTime: last.header.lastTime,
      commits: frames.reduce((sum, { header }) => sum + header.count, 0),
      plainBytes: frames.reduce((sum, { bytes }) => sum + bytes.length, 0),
      previous: first.header.previous,
      chain: frameHash(last),
      digest: last.header.digest,
      marks: frames.filter(({ header }) => header.isMark).map(({ header }) => header.last.revision),
      after,
    };
  }

  async #seal(path: string, frames: readonly Frame[], after: string | null) {
    const { target, sealing = 'plain' } = this.#options;
    const header = this.#header(frames, after);
    const sealed = await sealObject({ kind: 'frames', header, parts: frames.map(({ bytes }) => bytes) }, sealing);
    await target.create(path, sealed.bytes);
    return { bytes: sealed.bytes.length, sha256: sealed.sha256 };
  }

  async #image(index: number): Promise<void> {
    const { target, stream, sealing = 'plain', partBytes = 2_000 } = this.#options;
    const { header, chunks } = stream.images.get(index)!;
    const pieces = chunks.map(chunk => encodeChunk(chunk));
    const parts: Uint8Array[][] = [encodeImageHead(header)];
    for (const piece of pieces) {
      const present = parts.at(-1)!;
      if (sizeOf(present) > 0 && sizeOf(present) + sizeOf(piece) > partBytes) parts.push([...piece]);
      else present.push(...piece);
    }
    const stored: { path: string; bytes: number; sha256: string }[] = [];
    const { position } = header;
    for (const [at, part] of parts.entries()) {
      const path = imagePartKey(this.#id, position, this.#run, at + 1);
      const its = { archive: this.#archive, line: this.#id, position, part: at + 1, plainBytes: sizeOf(part) };
      const sealed = await sealObject({ kind: 'image', header: its, parts: part }, sealing);
      await target.create(path, sealed.bytes);
      stored.push({ path, bytes: sealed.bytes.length, sha256: sealed.sha256 });
    }
    const { time, digest, chain, marks } = header;
    const plainBytes = parts.reduce((sum, part) => sum + sizeOf(part), 0);
    const entry: ImageEntry = {
      kind: 'image',
      position,
      time,
      digest,
      chain,
      plainBytes,
      parts: stored,
      marks: marks.map(mark => mark.position.revision),
    };
    this.#objects.push(entry);
  }
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function drawn(): string {
  return Buffer.from(systemRandom.bytes(8)).toString('hex');
}
