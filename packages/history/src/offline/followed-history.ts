import { isDeepStrictEqual } from 'node:util';
import type { Disk, ExactPosition, Frame, SnapshotHeader } from '@evertree/core';
import { formatExactPosition, formatPosition, frameHash, NO_CHAIN, ORIGIN, RebuiltTree, samePosition } from '@evertree/core';
import { isMissing, type SnapshotFile, storedSnapshot, type StoredRecord } from '@evertree/journal/files';
import type { DamageList } from './damage.ts';

/**
 * Is given each frame that follows, before it is applied.
 * @param before the tree before it; undefined if that is not known
 */
export type FrameTaker = (record: StoredRecord, before: RebuiltTree | undefined) => Promise<void> | void;

/** Is told each position that was reached; `end` of the record that leads to it stands in a file. */
export type PositionTaker = (position: ExactPosition, at: { readonly path: string; readonly end: number } | undefined) => void;

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

export interface FollowingOptions {
  /** No tree is rebuilt. */
  readonly checksumsOnly: boolean;
  readonly take?: FrameTaker;
  /** It may throw, and so end the walk. */
  readonly reached?: PositionTaker;
}

/** What is known of a history at the place that a walk through it has reached; each frame and snapshot is held to it. */
export class FollowedHistory {
  readonly counts: HistoryCounts = { segments: 0, snapshots: 0, frames: 0, commits: 0, operations: 0, rebuiltCommits: 0 };
  readonly #disk: Disk;
  readonly #list: DamageList;
  readonly #checksumsOnly: boolean;
  readonly #take: FrameTaker | undefined;
  readonly #tellReached: PositionTaker | undefined;
  /** Of the first file: all others must have it. */
  #stream: string | undefined;
  #base: ExactPosition | undefined;
  /** Where the present stretch begins; another one begins behind a hole. */
  #beginning: ExactPosition = ORIGIN;
  /** The end of what was read; undefined before the first segment, and after a damaged place until the next one. */
  #last: ExactPosition | undefined;
  /** The last sound position of all. */
  #reached: ExactPosition = ORIGIN;
  /** Hash of the frame that ends there; undefined where it is not known. */
  #chain: string | undefined;
  #time = 0;
  /** Digest there, as the frame or the snapshot says. */
  #digest: string | undefined;
  /** The tree there; undefined before the first snapshot of a history that has lost its beginning, and after damage. */
  #tree: RebuiltTree | undefined;
  /** Damages that were found when the tree became known. */
  #damagesBefore = 0;
  #hasBeginning = false;
  /** Snapshots that the history has not met yet, oldest first. */
  #ahead: SnapshotFile[];

  constructor(disk: Disk, list: DamageList, options: FollowingOptions & { readonly snapshots: readonly SnapshotFile[] }) {
    this.#disk = disk;
    this.#list = list;
    this.#checksumsOnly = options.checksumsOnly;
    this.#take = options.take;
    this.#tellReached = options.reached;
    this.#ahead = [...options.snapshots];
  }

  get stream(): string | undefined {
    return this.#stream;
  }

  /** Where the history begins. */
  get base(): ExactPosition {
    return this.#base ?? ORIGIN;
  }

  /** Where the stretch without a hole begins in which `last` is. */
  get beginning(): ExactPosition {
    return this.#beginning;
  }

  get last(): ExactPosition {
    return this.#last ?? this.#reached;
  }

  /** Whether the end of what was read is known, so that what follows has to begin there. */
  get isFollowed(): boolean {
    return this.#last !== undefined;
  }

  /** Commit time at `last`, milliseconds since 1970. */
  get time(): number {
    return this.#time;
  }

  get digest(): string | undefined {
    return this.#tree?.digest ?? this.#digest;
  }

  /** The tree at `last`; undefined if it could not be rebuilt, or if that was not wanted. */
  get tree(): RebuiltTree | undefined {
    return this.#tree;
  }

  /**
   * Whether nothing is wrong with what led to the tree: the origin of the stream or a snapshot, and all frames after it.
   * What comes before may be damaged.
   */
  get isProven(): boolean {
    return this.#tree !== undefined && this.#list.count === this.#damagesBefore;
  }

  /** Whether there is something to begin with: the origin of the stream, or a snapshot. */
  get hasBeginning(): boolean {
    return this.#hasBeginning;
  }

  /** Snapshots that no frame has led to. */
  get ahead(): readonly SnapshotFile[] {
    return this.#ahead;
  }

  /** Begins anew at a position, of which only the snapshots there are known. */
  async begin(base: ExactPosition): Promise<void> {
    this.#base ??= base;
    this.#beginning = base;
    this.#last = base;
    this.#reached = base;
    const isFirst = samePosition(base, ORIGIN);
    this.#hasBeginning ||= isFirst;
    this.#chain = isFirst ? NO_CHAIN : undefined;
    this.#time = 0;
    this.#digest = undefined;
    this.#tree = undefined;
    if (isFirst && !this.#checksumsOnly) this.#know(RebuiltTree.empty());
    // What retention was about to remove. If the frames after them are missing the history has no beginning.
    const behind = this.#ahead.filter(file => file.header.position.revision < base.revision);
    this.#ahead = this.#ahead.filter(file => !behind.includes(file));
    for (const { path } of behind) this.#list.remark(path, `the history begins after it, at revision ${base.revision}: a leftover`);
    await this.#meet(base);
    this.#tellReached?.(base, undefined);
  }

  /** Nothing is known of what follows until the next `begin`. */
  break(): void {
    this.#last = undefined;
    this.#tree = undefined;
    this.#chain = undefined;
  }

  /** What was read so far is not there any more. @param snapshots further ones that the history may meet */
  drop(snapshots: readonly SnapshotFile[]): void {
    this.break();
    this.#base = undefined;
    const known = new Set(this.#ahead.map(({ path }) => path));
    this.#ahead.push(...snapshots.filter(({ path }) => !known.has(path)));
    this.#ahead.sort((a, b) => a.header.position.revision - b.header.position.revision);
  }

  /** @returns whether the frame follows what was read before */
  async frame(record: StoredRecord, path: string, offset: number): Promise<boolean> {
    const { frame } = record;
    const { header } = frame;
    const isOurs = this.assertStream(header.stream, path, offset);
    if (!isOurs || !samePosition(header.base, this.last)) {
      const problem = `a frame that follows ${formatExactPosition(header.base)} stands after ${formatExactPosition(this.last)}`;
      if (isOurs) this.#list.damage(path, offset, problem);
      this.break();
      return false;
    }
    if (this.#chain !== undefined && header.previous !== this.#chain) {
      const problem = `it does not name the frame before it: ${header.previous}, where that one has the hash ${this.#chain}`;
      this.#list.damage(path, offset, problem);
    }
    this.#checkTime(frame, path, offset);
    this.counts.frames++;
    this.counts.commits += header.count;
    this.#chain = frameHash(frame);
    const taken = this.#take?.(record, this.#tree);
    if (taken !== undefined) await taken;
    this.#rebuild(frame, path, offset);
    this.#last = header.last;
    this.#reached = header.last;
    this.#time = header.lastTime;
    this.#digest = header.digest;
    if (this.#ahead.length > 0) await this.#meet(header.last);
    this.#tellReached?.(header.last, { path, end: record.next });
    return true;
  }

  /** @returns whether the stream is that of the first file */
  assertStream(stream: string, path: string, offset = 0): boolean {
    this.#stream ??= stream;
    if (stream === this.#stream) return true;
    this.#list.damage(path, offset, `it belongs to the stream ${stream}, and the history to ${this.#stream}`);
    return false;
  }

  #checkTime({ header }: Frame, path: string, offset: number): void {
    const { firstTime, lastTime, epoch, base, last } = header;
    if (firstTime > lastTime) this.#list.damage(path, offset, `its times go back, from ${firstTime} to ${lastTime}`);
    if (epoch !== base.epoch || firstTime >= this.#time) return;
    const problem = `the time goes back before ${formatPosition(last)}, within its epoch: from ${this.#time} to ${firstTime}`;
    this.#list.damage(path, offset, problem);
  }

  #rebuild(frame: Frame, path: string, offset: number): void {
    const tree = this.#tree;
    if (tree === undefined) return;
    const before = tree.operations;
    try {
      tree.apply(frame);
      // Its bytes may be gone when the next frame is read.
      tree.letGo(this.#chain);
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
    this.assertStream(header.stream, path);
    const tree = await this.#build(file);
    if (tree === undefined) return;
    this.counts.snapshots++;
    this.#hasBeginning = true;
    this.#chain ??= header.chain;
    this.#digest ??= header.digest;
    this.#time = header.time;
    if (tree !== 'checked' && this.#tree === undefined) this.#know(tree);
  }

  #know(tree: RebuiltTree): void {
    this.#tree = tree;
    this.#damagesBefore = this.#list.count;
  }

  #compare(path: string, header: SnapshotHeader): void {
    const at = formatPosition(header.position);
    const compare = (what: string, its: unknown, ours: unknown) => {
      if (isDeepStrictEqual(its, ours)) return;
      const values = typeof its === 'object' ? '' : `: ${JSON.stringify(its)}, where that has ${JSON.stringify(ours)}`;
      this.#list.damage(path, 0, `its ${what} is not that of the history at ${at}${values}`);
    };
    if (this.#chain !== undefined) compare('chain', header.chain, this.#chain);
    if (this.#digest !== undefined) compare('digest', header.digest, this.#digest);
    if (this.#digest !== undefined) compare('time', header.time, this.#time);
    if (this.#tree !== undefined) compare('table of epochs', header.epochs, this.#tree.head.epochs);
    if (this.#tree !== undefined) compare('list of marks', header.marks, this.#tree.head.marks);
  }

  /**
   * Compares the header with the history, and reads the chunks.
   * @returns the tree that they give; undefined if they are damaged, or have gone
   */
  async #build(file: SnapshotFile): Promise<RebuiltTree | 'checked' | undefined> {
    try {
      const stored = await storedSnapshot(this.#disk, file);
      this.#compare(file.path, stored.header);
      if (!this.#checksumsOnly) return await RebuiltTree.from(stored);
      for await (const chunk of stored.chunks()) void chunk;
      return 'checked';
    } catch (error) {
      if (await hasGone(this.#disk, file.path)) this.#list.remark(file.path, 'retention removed it while this was reading');
      else this.#list.take(error, file.path, 0);
      return undefined;
    } finally {
      this.#list.read(file.bytes);
    }
  }
}

/** Whether a file that was listed is not there any more. */
export async function hasGone(disk: Disk, path: string): Promise<boolean> {
  try {
    await (await disk.open(path, {})).close();
    return false;
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
}
