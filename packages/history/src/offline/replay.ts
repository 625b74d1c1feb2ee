import type { Disk, ExactPosition, Frame, FrameHeader, Position, Random, RewriteConflict } from '@evertree/core';
import { decodeChangeSets, EvertreeError, formatPosition, ORIGIN, type RebuiltTree, RewrittenHistory } from '@evertree/core';
import { readUnfinished, type SiteFile } from '@evertree/journal/files';
import type { When } from '../when.ts';
import { DamageList, type ReadProgress } from './damage.ts';
import { listSite, type ListedDirectory } from './directory-listing.ts';
import { HistoryCheck } from './history-check.ts';
import { findMoments } from './moment-search.ts';
import { SiteWriter } from './site-writer.ts';

/** So many commits that were left out, and so many conflicts, are listed. */
const LISTED_LIMIT = 10_000;
/** The name of a site that has a history with commits left out ends so. */
const WHAT_IF_SUFFIX = '-what-if';
const SITE_NAME_LIMIT = 64;

export interface DirectoryReplay {
  readonly from: Disk;
  /** What errors call `from`. */
  readonly name?: string;
  /** Empty or absent, or one in which a replay did not end. */
  readonly into: Disk;
  readonly random: Random;
  /** Up to there; by default to the end. */
  readonly to?: When;
  /** Commits to leave out. */
  readonly without?: readonly Position[];
  readonly progress?: ReadProgress;
  /** Of the segments that are written. */
  readonly segmentBytes?: number;
}

/** A commit that was left out. */
export interface LeftOutCommit {
  readonly position: Position;
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
  readonly operations: number;
}

/** What a replay made. */
export interface Replayed {
  readonly site: string;
  readonly stream: string;
  /** The stream is another one than that of the original: commits were left out. */
  readonly isWhatIf: boolean;
  /** Where the replay began: before the first event, or at the oldest snapshot. */
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  /** Of the tree at `last`. */
  readonly digest: string;
  readonly commits: number;
  /** Frames after which the digest of the rebuilt tree was compared with the recorded one. All were equal. */
  readonly comparisons: number;
  readonly leftOut: readonly LeftOutCommit[];
  /** All of them; `conflicts` lists the first ten thousand. */
  readonly conflictCount: number;
  readonly conflicts: readonly RewriteConflict[];
}

/** The walk has come to where the replay ends. */
class EndReached extends Error {
  readonly tree: RebuiltTree;

  constructor(tree: RebuiltTree) {
    super('the end of the replay');
    this.tree = tree;
  }
}

/**
 * Rebuilds the history of a directory from its first event, or from its oldest snapshot, into another directory, and
 * compares the digest after each frame. The original is neither locked nor changed. Commits that are left out give a
 * history of another stream: nobody can take it for the real one.
 * @throws EvertreeError DAMAGED, NOT_FOUND, COMPACTED, HISTORY_MISMATCH; VALUE_INVALID for a commit that can't be left
 *   out, or comes after the end; WRONG_ROLE if the other directory holds something; DIRECTORY_IN_USE
 */
export async function replayDirectory(options: DirectoryReplay): Promise<Replayed> {
  const { from, into, to, without = [] } = options;
  const list = new DamageList(options.progress);
  const directory = await listSite(from, list);
  assertUsable(directory, list, options.name ?? 'the directory');
  if ((await readUnfinished(from)) !== undefined) throw new EvertreeError('UNFINISHED', 'the directory to replay is not finished itself');
  const positions =
    to === undefined && without.length === 0 ? [] : await findMoments(from, directory, [...without, ...(to === undefined ? [] : [to])]);
  const end = to === undefined ? undefined : positions.at(-1);
  const later = without.find(({ revision }) => end !== undefined && revision > end.revision);
  if (later !== undefined) {
    const message = `${formatPosition(later)} can't be left out: the replay ends before it, at ${formatPosition(end!)}; leave it out of --without, or take a later --to`;
    throw new EvertreeError('VALUE_INVALID', message, { position: later });
  }
  const leftOut = new Set(without.map(({ revision }) => revision));
  await using _ = await into.lock();
  const replay = new ReplayRun(directory, list, { ...options, upTo: end?.revision ?? Infinity, leftOut });
  return replay.run();
}

function assertUsable({ site, segments, snapshots }: ListedDirectory, list: DamageList, name: string): void {
  assertSound(list);
  if (site === undefined || segments.length + snapshots.length === 0) {
    throw new EvertreeError(
      'NOT_FOUND',
      `${name} has no history to replay: it is no directory of a site, or an empty one; name the directory that a site has as --data`,
    );
  }
}

function assertSound({ count, damages }: DamageList): void {
  const first = damages[0];
  if (count === 0 || first === undefined) return;
  const message = `${first.file} is damaged at offset ${first.offset}: ${first.problem}; "evertree verify" lists everything that is`;
  throw new EvertreeError('DAMAGED', message, { file: first.file, offset: first.offset });
}

/** @param oldest of the oldest snapshot */
function beforeOldest(oldest: ExactPosition, revision: number): EvertreeError {
  const message = `the oldest tree in this directory is that of ${formatPosition(oldest)}; it does not reach back to revision ${revision}`;
  return new EvertreeError('COMPACTED', message, { base: oldest });
}

interface ReplayTask extends DirectoryReplay {
  /** The revision at which it ends. */
  readonly upTo: number;
  /** The revisions of the commits to leave out. */
  readonly leftOut: ReadonlySet<number>;
}

class ReplayRun {
  readonly #directory: ListedDirectory;
  readonly #list: DamageList;
  readonly #options: ReplayTask;
  #writer: SiteWriter | undefined;
  #history: RewrittenHistory | undefined;
  #stream = '';
  #base: ExactPosition = ORIGIN;
  /** Of the last frame that was written. */
  #last: FrameHeader | undefined;
  #commits = 0;
  #comparisons = 0;
  readonly #leftOut: LeftOutCommit[] = [];
  readonly #conflicts: RewriteConflict[] = [];
  #conflictCount = 0;

  constructor(directory: ListedDirectory, list: DamageList, options: ReplayTask) {
    this.#directory = directory;
    this.#list = list;
    this.#options = options;
  }

  async run(): Promise<Replayed> {
    try {
      const tree = await this.#walk();
      await this.#begin(tree);
      return await this.#finish(tree);
    } catch (error) {
      await this.#writer?.abort();
      throw error;
    }
  }

  /** @returns the tree of the original where the replay ends */
  async #walk(): Promise<RebuiltTree> {
    const { from } = this.#options;
    const take = ({ frame }: { readonly frame: Frame }, before: RebuiltTree | undefined) => this.#take(frame, before);
    try {
      const { tree } = await new HistoryCheck(from, this.#directory, this.#list, { checksumsOnly: false, take }).run();
      assertSound(this.#list);
      return tree!;
    } catch (error) {
      if (error instanceof EndReached) return error.tree;
      throw error;
    }
  }

  async #take(frame: Frame, before: RebuiltTree | undefined): Promise<void> {
    assertSound(this.#list);
    // Frames before the oldest snapshot: there is no tree to apply them to.
    if (before === undefined) return;
    const { upTo } = this.#options;
    if (before.head.last.revision > upTo) throw beforeOldest(before.head.last, upTo);
    await this.#begin(before, frame.header.stream);
    if (frame.header.base.revision >= upTo) throw new EndReached(before);
    const { frame: written, conflicts } = this.#history!.take(frame, before);
    this.#note(frame);
    this.#conflictCount += conflicts.length;
    this.#conflicts.push(...conflicts.slice(0, LISTED_LIMIT - this.#conflicts.length));
    await this.#writer!.write(written!);
    this.#last = written!.header;
    this.#commits += written!.header.count;
    // The walk compares the digest when it applies the frame; it does not come to that with a frame that is cut.
    if (frame.header.last.revision > upTo) throw new EndReached(before);
    this.#comparisons++;
  }

  /** Begins to write, where the tree of the original is known. */
  async #begin(tree: RebuiltTree, stream = tree.header.stream): Promise<void> {
    if (this.#writer !== undefined) return;
    const { into, random, upTo, leftOut, segmentBytes } = this.#options;
    // What they did is in the oldest snapshot.
    const earlier = [...leftOut].find(revision => revision <= tree.head.last.revision);
    if (earlier !== undefined) throw beforeOldest(tree.head.last, earlier);
    this.#stream = leftOut.size === 0 ? stream : Buffer.from(random.bytes(16)).toString('hex');
    this.#history = new RewrittenHistory({ stream: this.#stream, without: leftOut, upTo });
    this.#base = tree.head.last;
    this.#writer = await SiteWriter.begin(into, random, { work: 'replay' }, segmentBytes);
    if (this.#base.revision > 0) await this.#snapshot(tree);
  }

  async #snapshot(tree: RebuiltTree): Promise<string> {
    using snapshot = this.#history!.snapshot(tree, this.#last);
    await this.#writer!.snapshot(snapshot);
    return snapshot.header.digest;
  }

  /** Notes what is left out of a frame. */
  #note(frame: Frame): void {
    const { leftOut, upTo } = this.#options;
    const { epoch, base, last } = frame.header;
    const isConcerned = [...leftOut].some(revision => revision > base.revision && revision <= Math.min(last.revision, upTo));
    if (!isConcerned) return;
    for (const { revision, time, author, message, operations } of decodeChangeSets(frame)) {
      if (!leftOut.has(revision) || revision > upTo || this.#leftOut.length >= LISTED_LIMIT) continue;
      this.#leftOut.push({ position: { epoch, revision }, time, author, message, operations: operations.length });
    }
  }

  async #finish(tree: RebuiltTree): Promise<Replayed> {
    const last = this.#last?.last ?? this.#base;
    const digest = this.#last === undefined ? tree.digest : await this.#snapshot(tree);
    const site = await this.#site(last);
    await this.#writer!.finish(site);
    return {
      site: site.site,
      stream: this.#stream,
      isWhatIf: this.#isWhatIf,
      base: this.#base,
      last,
      digest,
      commits: this.#commits,
      comparisons: this.#comparisons,
      leftOut: this.#leftOut,
      conflictCount: this.#conflictCount,
      conflicts: this.#conflicts,
    };
  }

  get #isWhatIf(): boolean {
    return this.#options.leftOut.size > 0;
  }

  /**
   * A plain replay opens as a copy of the original. One with commits left out is another site of another stream, which
   * takes no writes unless it is promoted.
   */
  async #site(last: ExactPosition): Promise<SiteFile> {
    const { record } = this.#directory.site!;
    if (!this.#isWhatIf) return { ...record, closedAt: last };
    const site = record.site.slice(0, SITE_NAME_LIMIT - WHAT_IF_SUFFIX.length) + WHAT_IF_SUFFIX;
    return {
      site,
      role: 'secondary',
      directory: await this.#options.into.mark(),
      fencedBy: undefined,
      heard: undefined,
      declined: [],
      closedAt: last,
    };
  }
}
