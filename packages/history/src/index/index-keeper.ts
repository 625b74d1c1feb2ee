import type { Disk, ExactPosition } from '@evertree/core';
import { samePosition } from '@evertree/core';
import { isMissing, TEMPORARY_SUFFIX } from '@evertree/journal/files';
import { INDEX_DIRECTORY, runPath, UnsoundRun } from './run-format.ts';
import { planMerge } from './merge-plan.ts';
import { RunBuilder } from './run-builder.ts';
import { RunFile } from './run-file.ts';
import { type Breathe, mergeRuns } from './run-merge.ts';
import { describeRun, from, listRuns, type StoredRun, to } from './run-list.ts';
import { framesAfter, type IndexedSegment, listSegments, type RecordPlace } from './segment-frames.ts';

/** A run is made of this many change sets, or of this many operations, and what is left of a frame. */
export const RUN_CHANGE_SETS = 65_536;
const RUN_OPERATIONS = 262_144;
/** From this size on a run is synced: to make it again would take longer. */
const SYNCED_BYTES = 4 * 1024 * 1024;

/** What the index is to cover: the journal's frames, from its base to where it is stable. */
export interface IndexRange {
  readonly base: ExactPosition;
  readonly stable: ExactPosition;
}

/** What the keeper needs of a disk. */
export type IndexDisk = Pick<Disk, 'open' | 'list' | 'makeDirectory' | 'rename' | 'remove'>;

export interface KeeperOptions {
  readonly disk: IndexDisk;
  readonly breathe: Breathe;
  /** Other runs are there than before, oldest first. The files of those that are no more are removed next. */
  readonly changed: (paths: readonly string[]) => void;
  /** The files do not hold the frames that follow a position: what comes after it is not covered. */
  readonly stuck: (position: ExactPosition) => void;
  /** A file was dropped because it could not be used. */
  readonly dropped: (file: string, problem: string) => void;
}

/**
 * Keeps the files in `index/`: makes the runs that are missing, merges them, and removes what is of no use.
 * One call at a time. It reads the segments' files, and asks nothing of the journal.
 */
export class IndexKeeper {
  readonly #options: KeeperOptions;
  /** Ascending, and none overlaps another. */
  #runs: StoredRun[] = [];
  #segments: readonly IndexedSegment[] = [];
  /** Where the record after the newest frame that was read begins. */
  #hint: RecordPlace | undefined;
  /** No frame follows it in the files although the history goes on: it is not tried again. */
  #stuckAt: ExactPosition | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Finds what is there. To be called first. */
  async open(): Promise<void> {
    const { disk, dropped } = this.#options;
    await disk.makeDirectory(INDEX_DIRECTORY);
    const { runs, leftovers, unsound } = await listRuns(disk);
    for (const { file, message } of unsound) dropped(file, message);
    for (const path of [...leftovers, ...unsound.map(({ file }) => file)]) await this.#remove(path);
    this.#runs = [...runs];
    this.#tell();
  }

  /**
   * Covers the range as far as it can.
   * @param least fewer change sets at the end of the range are left for later
   */
  async extend(range: IndexRange, least: number): Promise<void> {
    await this.#useable(range);
    while (await this.#fillGap(range, least)) await this.#merge();
    await this.#merge();
  }

  /** Removes runs that are not of the present history, or could not be read. */
  async drop(paths: readonly string[]): Promise<void> {
    await this.#replace(this.#runs.filter(({ path }) => paths.includes(path)));
  }

  /** Drops the runs that say nothing of the range, and those whose segments are not those that are there. */
  async #useable({ base, stable }: IndexRange): Promise<void> {
    this.#segments = await listSegments(this.#options.disk, this.#segments);
    const byName = new Map(this.#segments.map(segment => [segment.name, segment]));
    const isOther = ({ description: { segments, generation, stream } }: StoredRun) =>
      segments.some(({ name, salt }) => {
        const found = byName.get(name);
        return found !== undefined && (found.salt !== salt || found.generation !== generation || found.stream !== stream);
      });
    await this.#replace(this.#runs.filter(run => to(run) <= base.revision || to(run) > stable.revision || isOther(run)));
  }

  /** Makes the oldest run that is missing. @returns whether there may be more to do */
  async #fillGap(range: IndexRange, least: number): Promise<boolean> {
    const gap = await this.#findGap(range);
    if (gap.upTo - gap.position.revision < (gap.upTo === range.stable.revision ? least : 1)) return false;
    if (this.#stuckAt !== undefined && samePosition(this.#stuckAt, gap.position)) return false;
    if (await this.#build(gap, this.#hint)) return true;
    // What is known of the files may be about others that had the same names.
    this.#hint = undefined;
    this.#segments = await listSegments(this.#options.disk, []);
    if (await this.#build(gap, undefined)) return true;
    // Retention dropped what follows since the range was asked for: the next one begins where the files do.
    const [oldest] = this.#segments;
    if (oldest !== undefined && oldest.base.revision > gap.position.revision) return false;
    this.#stuckAt = gap.position;
    this.#options.stuck(gap.position);
    return false;
  }

  async #findGap({ base, stable }: IndexRange): Promise<{ readonly position: ExactPosition; readonly upTo: number }> {
    let position = base;
    const runs = this.#runs;
    for (const run of runs) {
      if (from(run) > position.revision) return { position, upTo: from(run) };
      const { description } = run;
      const goesOn = from(run) === position.revision ? samePosition(description.base, position) : samePosition(position, base);
      if (goesOn) position = description.last;
      else await this.#replace([run]);
    }
    return { position, upTo: stable.revision };
  }

  async #build(gap: { readonly position: ExactPosition; readonly upTo: number }, hint: RecordPlace | undefined): Promise<boolean> {
    const { disk, breathe } = this.#options;
    let builder: RunBuilder | undefined;
    for await (const { frame, place } of framesAfter(disk, this.#segments, gap.position, { hint, fleeting: true })) {
      const { header } = frame;
      if (header.last.revision > gap.upTo) break;
      const { generation } = this.#segments.find(({ name }) => name === place.segment.name)!;
      builder ??= new RunBuilder({ stream: header.stream, generation, base: gap.position });
      builder.add(frame, place);
      this.#hint = { name: place.segment.name, offset: place.offset + place.length };
      if (builder.changeSets >= RUN_CHANGE_SETS || builder.operations >= RUN_OPERATIONS) break;
      await breathe();
    }
    if (builder === undefined) return false;
    const path = await this.#write(builder.base, builder.last, file => builder.write(file));
    await this.#replace([], await describeRun(disk, path));
    return true;
  }

  /** Merges runs where enough of them follow one another. */
  async #merge(): Promise<void> {
    for (let group = this.#mergeable(); group !== undefined; group = this.#mergeable()) {
      const inputs: RunFile[] = [];
      try {
        for (const { path } of group) inputs.push(await RunFile.open(this.#options.disk, path));
        const [first, last] = [group[0]!.description, group.at(-1)!.description];
        const path = await this.#write(first.base, last.last, file => mergeRuns(inputs, file, this.#options.breathe));
        await this.#replace(group, await describeRun(this.#options.disk, path));
      } catch (error) {
        if (!(error instanceof UnsoundRun)) throw error;
        this.#options.dropped(error.file, error.message);
        await this.drop([error.file]);
        return;
      } finally {
        for (const input of inputs) await input.retire();
      }
    }
  }

  #mergeable(): readonly StoredRun[] | undefined {
    const runs = this.#runs;
    const plan = planMerge(
      runs.map((run, index) => ({
        size: to(run) - from(run),
        continues: index > 0 && samePosition(runs[index - 1]!.description.last, run.description.base),
      })),
    );
    return plan && runs.slice(plan.from, plan.to);
  }

  async #write(base: ExactPosition, last: ExactPosition, content: (file: Awaited<ReturnType<Disk['open']>>) => Promise<number>) {
    const { disk } = this.#options;
    const path = runPath(base, last);
    const temporary = path + TEMPORARY_SUFFIX;
    const file = await disk.open(temporary, { create: true, write: true });
    try {
      await file.truncate(0);
      const bytes = await content(file);
      if (bytes >= SYNCED_BYTES) await file.sync();
    } catch (error) {
      await file.close();
      await this.#remove(temporary);
      throw error;
    }
    await file.close();
    await disk.rename(temporary, path);
    return path;
  }

  /** Forgets runs, has another one in their place, and removes their files. */
  async #replace(gone: readonly StoredRun[], added?: StoredRun): Promise<void> {
    if (gone.length === 0 && added === undefined) return;
    const kept = this.#runs.filter(run => !gone.includes(run));
    this.#runs = (added === undefined ? kept : [...kept, added]).toSorted((a, b) => from(a) - from(b));
    this.#tell();
    for (const { path } of gone) await this.#remove(path);
  }

  #tell(): void {
    this.#options.changed(this.#runs.map(({ path }) => path));
  }

  async #remove(path: string): Promise<void> {
    try {
      await this.#options.disk.remove(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}
