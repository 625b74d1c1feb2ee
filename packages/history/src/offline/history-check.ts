import { isDeepStrictEqual } from 'node:util';
import type { Disk, ExactPosition, Frame } from '@evertree/core';
import { formatExactPosition, formatPosition, frameHash, NO_CHAIN, ORIGIN, RebuiltTree, samePosition } from '@evertree/core';
import type { FoundSeal, SnapshotFile, StoredRecord } from '@evertree/journal/files';
import { isMissing, SEGMENT_HEADER_BYTES, storedSnapshot } from '@evertree/journal/files';
import type { DamageList } from './damage.ts';
import { listSnapshots, type ListedDirectory, type NewestEnd } from './directory-listing.ts';
import { type ListedSegment, SegmentReader } from './segment-reader.ts';

/** Entries of a seal are at least so far apart. */
const SEAL_STEP_BYTES = 64 * 1024;

/** The directory was cut back, or its history replaced, while it was read: what was read is no one state of it. */
export class ChangedMeanwhile extends Error {}

/** What may be done with a frame that follows the one before it in every respect that was looked at. */
export type FrameTaker = (record: StoredRecord, file: string, offset: number) => Promise<void> | void;

/** Counts of what was read. */
export interface HistoryCounts {
  segments: number;
  snapshots: number;
  frames: number;
  commits: number;
  operations: number;
  /** Commits whose frames were applied, and the digest compared. */
  rebuiltCommits: number;
}

/**
 * Reads the history of a directory from its beginning to its end: each record, the chain of the frames, positions and
 * times, and each snapshot where the history meets it. Unless only checksums are wanted, it applies every frame to the
 * tree that came before and compares the digests.
 */
export class HistoryCheck {
  readonly counts: HistoryCounts = { segments: 0, snapshots: 0, frames: 0, commits: 0, operations: 0, rebuiltCommits: 0 };
  readonly #disk: Disk;
  readonly #directory: ListedDirectory;
  readonly #list: DamageList;
  readonly #checksumsOnly: boolean;
  readonly #take: FrameTaker | undefined;
  /** Of the first file: all others must have it. */
  #stream: string | undefined;
  /** Where the history begins; the first position from which it has no hole. */
  #base: ExactPosition | undefined;
  /** The end of what was read; undefined before the first segment, and after a damaged place until the next one. */
  #last: ExactPosition | undefined;
  /** The last sound position of all. */
  #reached: ExactPosition = ORIGIN;
  /** Hash of the frame that ends there; undefined where it is not known. */
  #chain: string | undefined;
  /** Commit time there. */
  #time = 0;
  /** Digest there, as the frame or the snapshot says. */
  #digest: string | undefined;
  /** The tree there; undefined before the first snapshot of a history that has lost its beginning, and after damage. */
  #tree: RebuiltTree | undefined;
  /** A snapshot was met, or the history begins with the stream. */
  #hasBeginning = false;
  /** Snapshots that the history has not met yet. */
  #ahead: SnapshotFile[];

  constructor(
    disk: Disk,
    directory: ListedDirectory,
    list: DamageList,
    options: { readonly checksumsOnly: boolean; readonly take?: FrameTaker | undefined },
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#list = list;
    this.#checksumsOnly = options.checksumsOnly;
    this.#take = options.take;
    this.#ahead = [...directory.snapshots];
  }

  get stream(): string | undefined {
    return this.#stream;
  }

  get base(): ExactPosition {
    return this.#base ?? ORIGIN;
  }

  get last(): ExactPosition {
    return this.#last ?? this.#reached;
  }

  get digest(): string | undefined {
    return this.#tree?.digest ?? this.#digest;
  }

  /** The tree at the end; undefined if it could not be rebuilt, or if that was not wanted. */
  get tree(): RebuiltTree | undefined {
    return this.#tree;
  }

  /** Hash of the last frame, 64 hex digits. */
  get chain(): string | undefined {
    return this.#chain;
  }

  /** @throws ChangedMeanwhile */
  async run(): Promise<void> {
    const { segments } = this.#directory;
    if (segments.length === 0) await this.#beginWithSnapshot();
    for (const [index, segment] of segments.entries()) {
      if (index === segments.length - 1 && this.#isVain(segment)) break;
      await this.#segment(segment, segments[index + 1]);
    }
    this.#end();
  }

  /** A history without frames is its newest snapshot. */
  async #beginWithSnapshot(): Promise<void> {
    const newest = this.#ahead.at(-1);
    if (newest === undefined) return;
    this.#begin(newest.header.position);
    await this.#meet(newest.header.position);
  }

  /**
   * A newest segment without records that begins before the end of the one before it was created in vain: a synchronous
   * commit was written to that one in the meantime.
   */
  #isVain({ path, header }: ListedSegment): boolean {
    if (!this.#isEmptyNewest(path) || this.#last === undefined || header.base.revision >= this.#last.revision) return false;
    this.#list.remark(path, 'it has no records and was created in vain: a leftover');
    return true;
  }

  #isEmptyNewest(path: string): boolean {
    const { newest } = this.#directory;
    return newest?.path === path && newest.end === SEGMENT_HEADER_BYTES;
  }

  #begin(base: ExactPosition): void {
    this.#base ??= base;
    this.#last = base;
    this.#reached = base;
    const isFirst = samePosition(base, ORIGIN);
    this.#hasBeginning ||= isFirst;
    this.#chain = isFirst ? NO_CHAIN : undefined;
    this.#time = 0;
    this.#digest = undefined;
    this.#tree = isFirst && !this.#checksumsOnly ? RebuiltTree.empty() : undefined;
  }

  async #segment(segment: ListedSegment, next: ListedSegment | undefined): Promise<void> {
    let reader: SegmentReader;
    try {
      reader = await SegmentReader.open(this.#disk, segment);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#vanished(segment, next);
      return;
    }
    await using _ = reader;
    this.counts.segments++;
    this.#assertStream(segment.header.stream, segment.path);
    await this.#reach(segment);
    const isWhole = await this.#records(reader, next);
    if (isWhole) await this.#checkEnd(reader, next);
    this.#list.read(segment.bytes - reader.offset);
  }

  /** Retention removes the oldest first. Anything else that goes while the directory is read changes the history. */
  async #vanished({ path }: ListedSegment, next: ListedSegment | undefined): Promise<void> {
    if (next === undefined) throw new ChangedMeanwhile(`${path} has gone`);
    this.#list.remark(path, 'retention removed it while this was reading');
    this.#base = undefined;
    this.#last = undefined;
    // What is left begins with a snapshot that may be younger than the listing.
    const known = new Set(this.#directory.snapshots.map(file => file.path));
    for (const file of await listSnapshots(this.#disk, this.#list)) {
      const isNew = !known.has(file.path) && !this.#ahead.some(other => other.path === file.path);
      if (isNew && file.generation === this.#directory.generation && file.header.position.revision <= this.#newest().last.revision) {
        this.#ahead.push(file);
      }
    }
    this.#ahead.sort((a, b) => a.header.position.revision - b.header.position.revision);
  }

  /** Goes on where a segment begins. */
  async #reach({ path, header }: ListedSegment): Promise<void> {
    const { base } = header;
    if (this.#last !== undefined && samePosition(this.#last, base)) return;
    if (this.#last !== undefined) {
      const missing = base.revision - this.#last.revision;
      const lack = missing > 0 ? `${missing} commits are missing before it` : 'it is of another history';
      this.#list.damage(
        path,
        0,
        `it begins at ${formatExactPosition(base)}, and what comes before ends at ${formatExactPosition(this.#last)}: ${lack}`,
      );
    }
    this.#begin(base);
    this.#leaveBehind(base);
    await this.#meet(base);
  }

  /** Snapshots before a beginning: what retention was about to remove, unless the frames after them are missing. */
  #leaveBehind({ revision }: ExactPosition): void {
    const behind = this.#ahead.filter(file => file.header.position.revision < revision);
    this.#ahead = this.#ahead.filter(file => !behind.includes(file));
    for (const { path } of behind) this.#list.remark(path, `the history begins after it, at revision ${revision}: a leftover`);
  }

  /** @returns whether nothing is wrong with the records */
  async #records(reader: SegmentReader, next: ListedSegment | undefined): Promise<boolean> {
    const { path, header } = reader.segment;
    const end = next === undefined ? this.#newest().end : Infinity;
    // A record behind the base of the next segment counts for nothing; an empty one may have been created in vain.
    const stop = next === undefined || this.#isEmptyNewest(next.path) ? undefined : next.header.base;
    const seal = new SealCheck(reader.seal, path, this.#list);
    let groupStart = SEGMENT_HEADER_BYTES;
    for (let isFirst = true; reader.offset < end; isFirst = false) {
      const { offset } = reader;
      if (reader.seal?.offset === offset) break;
      if (stop !== undefined && !isFirst && samePosition(this.last, stop)) break;
      const record = await this.#read(reader, next);
      if (record === undefined) return false;
      if (record === 'end') break;
      if (record.groupStart !== offset && record.groupStart !== groupStart) {
        this.#list.damage(path, offset, `its group begins at ${record.groupStart}, and no group does`);
      }
      ({ groupStart } = record);
      seal.record(record, offset);
      if (!(await this.#frame(record, header.stream, path, offset))) return false;
      this.#list.read(record.next - offset);
    }
    const isCutBack = next === undefined && this.#directory.rewind !== undefined;
    if (!isCutBack) seal.end(this.last, this.#time, reader.offset);
    return true;
  }

  /** @returns 'end' where the records of a segment without a seal end; undefined where one is damaged */
  async #read(reader: SegmentReader, next: ListedSegment | undefined): Promise<StoredRecord | 'end' | undefined> {
    const { path } = reader.segment;
    const { offset } = reader;
    try {
      const record = await reader.next();
      if (record !== undefined) return record;
    } catch (error) {
      this.#list.take(error, path, offset);
      return undefined;
    }
    // It was sound when the directory was listed; or the history was cut back before it.
    if (next === undefined || (await this.#hasGone(next.path))) throw new ChangedMeanwhile(`${path} was cut back`);
    if (reader.seal === undefined && (await reader.rest()).isZero) return 'end';
    this.#list.damage(path, offset, 'the record there is damaged');
    this.#break();
    return undefined;
  }

  /** Nothing is known of what follows until the next segment. */
  #break(): void {
    this.#last = undefined;
    this.#tree = undefined;
    this.#chain = undefined;
  }

  /** @returns whether the frame follows: else the rest of its segment is left out */
  async #frame(record: StoredRecord, stream: string, path: string, offset: number): Promise<boolean> {
    const { frame } = record;
    const { header } = frame;
    this.#assertStream(header.stream, path, offset);
    if (header.stream !== stream || !samePosition(header.base, this.last)) {
      const found = `a frame that follows ${formatExactPosition(header.base)} stands after ${formatExactPosition(this.last)}`;
      this.#list.damage(
        path,
        offset,
        header.stream === stream ? found : `its stream is ${header.stream}, and that of the segment ${stream}`,
      );
      this.#break();
      return false;
    }
    if (this.#chain !== undefined && header.previous !== this.#chain) {
      this.#list.damage(
        path,
        offset,
        `it does not name the frame before it: ${header.previous}, where that one has the hash ${this.#chain}`,
      );
    }
    this.#checkTime(frame, path, offset);
    this.counts.frames++;
    this.counts.commits += header.count;
    this.#chain = frameHash(frame);
    this.#rebuild(frame, path, offset);
    this.#last = header.last;
    this.#reached = header.last;
    this.#time = header.lastTime;
    this.#digest = header.digest;
    const taken = this.#take?.(record, path, offset);
    if (taken !== undefined) await taken;
    if (this.#ahead.length > 0) await this.#meet(header.last);
    return true;
  }

  #checkTime({ header }: Frame, path: string, offset: number): void {
    const { firstTime, lastTime, epoch, base, last } = header;
    if (firstTime > lastTime) this.#list.damage(path, offset, `its times go back, from ${firstTime} to ${lastTime}`);
    if (epoch !== base.epoch || firstTime >= this.#time) return;
    this.#list.damage(
      path,
      offset,
      `the time goes back before ${formatPosition(last)}, within its epoch: from ${this.#time} to ${firstTime}`,
    );
  }

  #rebuild(frame: Frame, path: string, offset: number): void {
    const tree = this.#tree;
    if (tree === undefined) return;
    const before = tree.operations;
    try {
      tree.apply(frame);
      this.counts.rebuiltCommits += frame.header.count;
      this.counts.operations += tree.operations - before;
    } catch (error) {
      this.#list.take(error, path, offset);
      this.#tree = undefined;
    }
  }

  /** Compares the snapshots of a position with the history, and goes on from one where the tree is not known. */
  async #meet(position: ExactPosition): Promise<void> {
    for (;;) {
      const file = this.#ahead[0];
      if (file === undefined || file.header.position.revision > position.revision) return;
      this.#ahead.shift();
      if (samePosition(file.header.position, position)) await this.#snapshot(file);
      else this.#list.damage(file.path, 0, `no frame ends at ${formatExactPosition(file.header.position)}`);
    }
  }

  async #snapshot(file: SnapshotFile): Promise<void> {
    const { path, header } = file;
    this.#assertStream(header.stream, path);
    const differ = (what: string, its: unknown, ours: unknown) =>
      this.#list.damage(
        path,
        0,
        `its ${what} is ${String(its)}, and the history has ${String(ours)} at ${formatPosition(header.position)}`,
      );
    if (this.#chain !== undefined && header.chain !== this.#chain) differ('chain', header.chain, this.#chain);
    if (this.#digest !== undefined && header.digest !== this.#digest) differ('digest', header.digest, this.#digest);
    if (this.#digest !== undefined && header.time !== this.#time) differ('time', header.time, this.#time);
    if (this.#tree !== undefined && !isDeepStrictEqual(this.#tree.head.epochs, header.epochs)) {
      this.#list.damage(path, 0, `its table of epochs is not that of the history at ${formatPosition(header.position)}`);
    }
    const tree = await this.#build(file);
    if (tree === undefined) return;
    this.counts.snapshots++;
    this.#hasBeginning = true;
    this.#chain ??= header.chain;
    this.#digest ??= header.digest;
    this.#time = header.time;
    if (tree !== 'checked') this.#tree ??= tree;
  }

  /** @returns the tree that the chunks give; undefined if they are damaged, or have gone */
  async #build(file: SnapshotFile): Promise<RebuiltTree | 'checked' | undefined> {
    const stored = storedSnapshot(this.#disk, file);
    try {
      if (!this.#checksumsOnly) return await RebuiltTree.from(stored);
      for await (const chunk of stored.chunks()) void chunk;
      return 'checked';
    } catch (error) {
      if (await this.#hasGone(file.path)) this.#list.remark(file.path, 'retention removed it while this was reading');
      else this.#list.take(error, file.path, 0);
      return undefined;
    } finally {
      this.#list.read(file.bytes);
    }
  }

  async #hasGone(path: string): Promise<boolean> {
    try {
      await (await this.#disk.open(path, {})).close();
      return false;
    } catch (error) {
      if (isMissing(error)) return true;
      throw error;
    }
  }

  /** What lies behind the last record of a segment. */
  async #checkEnd(reader: SegmentReader, next: ListedSegment | undefined): Promise<void> {
    const { path, bytes } = reader.segment;
    if (next === undefined) {
      const { rest, end } = this.#newest();
      const text = `${bytes - end} bytes at its end, from offset ${end} on, are the rest of a write that is under way or never ended; they count for nothing`;
      if (rest === 'torn') this.#list.remark(path, text);
      else if (rest === 'damaged') this.#list.damage(path, end, this.#tornText());
    } else if (reader.seal === undefined) {
      await this.#checkUnsealed(reader, next);
    }
  }

  /**
   * The seal of a segment that another one follows is missing. A site that dies, or has no room, leaves it so, and the
   * next start mends it.
   */
  async #checkUnsealed(reader: SegmentReader, next: ListedSegment): Promise<void> {
    const { path } = reader.segment;
    const { site, isCopy, newest } = this.#directory;
    if (this.last.revision < next.header.base.revision) {
      this.#list.damage(path, reader.offset, `its records end there, at ${formatPosition(this.last)}, before the next segment begins`);
      this.#break();
      return;
    }
    if ((await reader.rest()).isZero) return;
    const mayBeUnderWay = isCopy || (next.path === newest?.path && site?.record.closedAt === undefined);
    if (mayBeUnderWay) this.#list.remark(path, 'its seal is not whole: it was being written; the next start writes it again');
    else this.#list.damage(path, reader.offset, 'its seal is damaged; no commit is lost by that, and the next start writes it again');
  }

  #tornText(): string {
    const sound = 'the record there is damaged, and sound ones follow';
    if (!this.#directory.isCopy) return sound;
    return `${sound}: this copy was made while the original was written to; a site that is started on it would go on from ${formatPosition(this.last)}`;
  }

  #end(): void {
    for (const { path, header } of this.#ahead) {
      this.#list.damage(
        path,
        0,
        `it is of ${formatExactPosition(header.position)}, and the frames before it end at ${formatPosition(this.last)}`,
      );
    }
    const first = this.#directory.segments[0];
    if (this.#hasBeginning || first === undefined) return;
    const problem = `the history begins at ${formatExactPosition(this.base)}, and there is no snapshot to begin with`;
    this.#list.damage(first.path, 0, problem);
  }

  #newest(): NewestEnd {
    return this.#directory.newest!;
  }

  #assertStream(stream: string, path: string, offset = 0): void {
    this.#stream ??= stream;
    if (stream !== this.#stream) this.#list.damage(path, offset, `it belongs to the stream ${stream}, and the history to ${this.#stream}`);
  }
}

/** Compares a seal with the records before it. */
class SealCheck {
  readonly #found: FoundSeal | undefined;
  readonly #path: string;
  readonly #list: DamageList;
  /** Entries that were met. */
  #met = 0;

  constructor(found: FoundSeal | undefined, path: string, list: DamageList) {
    this.#found = found;
    this.#path = path;
    this.#list = list;
  }

  record({ frame: { header } }: StoredRecord, offset: number): void {
    const entry = this.#found?.seal.entries[this.#met];
    if (entry?.offset !== offset) return;
    const before = this.#found!.seal.entries[this.#met - 1];
    this.#met++;
    const isFar = before === undefined || offset - before.offset >= SEAL_STEP_BYTES;
    if (entry.revision !== header.base.revision || entry.time !== header.firstTime || !isFar)
      this.#damage('its index is not that of its records');
  }

  end(last: ExactPosition, lastTime: number, offset: number): void {
    if (this.#found === undefined) return;
    const { seal } = this.#found;
    if (offset !== this.#found.offset) this.#damage('there are bytes between the last record and the seal');
    else if (!samePosition(seal.last, last))
      this.#damage(`it says that the segment ends at ${formatExactPosition(seal.last)}, not at ${formatExactPosition(last)}`);
    else if (seal.lastTime !== lastTime) this.#damage(`it says that the last commit is of ${seal.lastTime}, not of ${lastTime}`);
    else if (this.#met < seal.entries.length) this.#damage('its index leads to places where no record begins');
  }

  #damage(problem: string): void {
    this.#list.damage(this.#path, this.#found!.offset, `the seal: ${problem}`);
  }
}
