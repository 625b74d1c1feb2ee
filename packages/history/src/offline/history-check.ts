import type { Disk } from '@evertree/core';
import { formatExactPosition, formatPosition, samePosition } from '@evertree/core';
import { isMissing, SEGMENT_HEADER_BYTES, type StoredRecord } from '@evertree/journal/files';
import { ChangedMeanwhile, type DamageList, RECORD_REMEDY } from './damage.ts';
import { listSnapshots, type ListedDirectory, type NewestEnd } from './directory-listing.ts';
import { FollowedHistory, type FollowingOptions, hasGone } from './followed-history.ts';
import { SealCheck } from './seal-check.ts';
import { type ListedSegment, SegmentReader, type SegmentReaderOptions } from './segment-reader.ts';

/**
 * Reads the history of a directory from its beginning to its end: each record, the chain of the frames, positions and
 * times, and each snapshot where the history meets it. Unless only checksums are wanted, it applies every frame to the
 * tree that came before and compares the digests.
 */
export class HistoryCheck {
  readonly history: FollowedHistory;
  readonly #disk: Disk;
  readonly #directory: ListedDirectory;
  readonly #list: DamageList;
  /** Whoever takes frames may keep them. */
  readonly #reading: SegmentReaderOptions;

  constructor(disk: Disk, directory: ListedDirectory, list: DamageList, options: FollowingOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#list = list;
    this.#reading = { fleeting: options.take === undefined };
    this.history = new FollowedHistory(disk, list, { snapshots: directory.snapshots, ...options });
  }

  /** @throws ChangedMeanwhile */
  async run(): Promise<FollowedHistory> {
    const { segments } = this.#directory;
    const newest = this.history.ahead.at(-1);
    // A history without frames is its newest snapshot.
    if (segments.length === 0 && newest !== undefined) await this.history.begin(newest.header.position);
    for (const [index, segment] of segments.entries()) {
      if (index === segments.length - 1 && this.#isVain(segment)) break;
      await this.#segment(segment, segments[index + 1]);
    }
    this.#end();
    return this.history;
  }

  /**
   * A newest segment without records that begins before the end of the one before it was created in vain: a synchronous
   * commit was written to that one in the meantime.
   */
  #isVain({ path, header }: ListedSegment): boolean {
    const { isFollowed, last } = this.history;
    if (!this.#isEmptyNewest(path) || !isFollowed || header.base.revision >= last.revision) return false;
    this.#list.remark(path, 'it has no records and was created in vain: a leftover');
    return true;
  }

  #isEmptyNewest(path: string): boolean {
    const { newest } = this.#directory;
    return newest?.path === path && newest.end === SEGMENT_HEADER_BYTES;
  }

  async #segment(segment: ListedSegment, next: ListedSegment | undefined): Promise<void> {
    let reader: SegmentReader;
    try {
      reader = await SegmentReader.open(this.#disk, segment, this.#reading);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#vanished(segment, next);
      return;
    }
    await using _ = reader;
    this.history.counts.segments++;
    this.history.assertStream(segment.header.stream, segment.path);
    await this.#reach(segment);
    const isWhole = await this.#records(reader, next);
    if (isWhole) await this.#checkEnd(reader, next);
    this.#list.read(segment.bytes - reader.offset);
  }

  /** Retention removes the oldest first. Anything else that goes while the directory is read changes the history. */
  async #vanished({ path }: ListedSegment, next: ListedSegment | undefined): Promise<void> {
    if (next === undefined) throw new ChangedMeanwhile(`${path} has gone`);
    this.#list.remark(path, 'retention removed it while this was reading');
    // What is left begins with a snapshot that may be younger than the listing.
    const { generation, snapshots } = this.#directory;
    const { last } = this.#newest();
    const younger = (await listSnapshots(this.#disk, this.#list)).filter(
      file => file.generation === generation && file.header.position.revision <= last.revision,
    );
    this.history.drop(younger.filter(file => !snapshots.some(known => known.path === file.path)));
  }

  /** Goes on where a segment begins. */
  async #reach({ path, header: { base } }: ListedSegment): Promise<void> {
    const { isFollowed, last } = this.history;
    if (isFollowed && samePosition(last, base)) return;
    if (isFollowed) {
      const missing = base.revision - last.revision;
      const lack = missing > 0 ? `${missing} commits are missing before it` : 'it is of another history';
      const problem = `it begins at ${formatExactPosition(base)}, and what comes before ends at ${formatExactPosition(last)}: ${lack}`;
      this.#list.damage(path, 0, problem);
    }
    await this.history.begin(base);
  }

  /** @returns whether nothing is wrong with the records */
  async #records(reader: SegmentReader, next: ListedSegment | undefined): Promise<boolean> {
    const { path } = reader.segment;
    const end = next === undefined ? this.#newest().end : Infinity;
    // A record behind the base of the next segment counts for nothing; an empty one may have been created in vain.
    const stop = next === undefined || this.#isEmptyNewest(next.path) ? undefined : next.header.base;
    const seal = new SealCheck(reader.seal, path, this.#list);
    let groupStart = SEGMENT_HEADER_BYTES;
    for (let isFirst = true; reader.offset < end; isFirst = false) {
      const { offset } = reader;
      if (reader.seal?.offset === offset) break;
      if (stop !== undefined && !isFirst && samePosition(this.history.last, stop)) break;
      const record = await this.#read(reader, next);
      if (record === undefined) return false;
      if (record === 'end') break;
      if (record.groupStart !== offset && record.groupStart !== groupStart) {
        this.#list.damage(path, offset, `its group begins at ${record.groupStart}, and no group does`);
      }
      ({ groupStart } = record);
      seal.record(record, offset);
      if (!(await this.history.frame(record, path, offset))) return false;
      this.#list.read(record.next - offset);
    }
    const isCutBack = next === undefined && this.#directory.rewind !== undefined;
    if (!isCutBack) seal.end(this.history.last, this.history.time, reader.offset);
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
      this.history.break();
      return undefined;
    }
    // It was sound when the directory was listed; or the history was cut back before it.
    if (next === undefined || (await hasGone(this.#disk, next.path))) throw new ChangedMeanwhile(`${path} was cut back`);
    if (reader.seal === undefined && (await reader.rest()).isZero) return 'end';
    this.#list.damage(path, offset, `the record there is damaged; ${RECORD_REMEDY}`);
    this.history.break();
    return undefined;
  }

  /** What lies behind the last record of a segment. */
  async #checkEnd(reader: SegmentReader, next: ListedSegment | undefined): Promise<void> {
    const { path, bytes } = reader.segment;
    if (next === undefined) {
      const { rest, end } = this.#newest();
      const text = `${bytes - end} bytes at its end, from offset ${end} on, are the rest of a write that is under way or never ended; they count for nothing`;
      if (rest === 'torn') this.#list.remark(path, text);
      else if (rest === 'damaged') this.#list.damage(path, end, this.#brokenText());
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
    const { last } = this.history;
    if (last.revision < next.header.base.revision) {
      this.#list.damage(path, reader.offset, `its records end there, at ${formatPosition(last)}, before the next segment begins`);
      this.history.break();
      return;
    }
    if ((await reader.rest()).isZero) return;
    const mayBeUnderWay = isCopy || (next.path === newest?.path && site?.record.closedAt === undefined);
    if (mayBeUnderWay) this.#list.remark(path, 'its seal is not whole: it was being written; the next start writes it again');
    else this.#list.damage(path, reader.offset, 'its seal is damaged; no commit is lost by that, and the next start writes it again');
  }

  #brokenText(): string {
    const sound = 'the record there is damaged, and sound ones follow';
    if (!this.#directory.isCopy) return `${sound}; ${RECORD_REMEDY}`;
    const goesOn = `a site that is started on it would go on from ${formatPosition(this.history.last)}`;
    return `${sound}: this copy was made while the original was written to; ${goesOn}`;
  }

  #end(): void {
    const { ahead, last, base, hasBeginning } = this.history;
    for (const { path, header } of ahead) {
      const problem = `it is of ${formatExactPosition(header.position)}, and the frames before it end at ${formatPosition(last)}`;
      this.#list.damage(path, 0, problem);
    }
    const first = this.#directory.segments[0];
    if (hasBeginning || first === undefined) return;
    this.#list.damage(first.path, 0, `the history begins at ${formatExactPosition(base)}, and there is no snapshot to begin with`);
  }

  #newest(): NewestEnd {
    return this.#directory.newest!;
  }
}
