import type { Disk, Divergence, Divergences, KeptDivergence, Random, Reporter, StoredFrame } from '@evertree/core';
import {
  addRevisions,
  DivergenceSummary,
  divergenceName,
  EvertreeError,
  formatExactPosition,
  isEvertreeError,
  samePosition,
} from '@evertree/core';
import { listDirectory } from '../disk/listing.ts';
import { removeFiles } from '../disk/removal.ts';
import { isNoSpace } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import { SegmentWriter } from '../segments/segment-writer.ts';
import { DIVERGENCE_DIRECTORY, divergenceOf, divergencePath, TEMPORARY_SUFFIX } from '../site/layout.ts';
import { readDivergence } from './divergence-file.ts';
import { readRecordFile, writeRecord } from './divergence-record.ts';
import { holdsAll, noRoom, unknownDivergence } from './kept.ts';

/** Above this part of their limit the divergences are reported. */
const DIVERGENCES_NEAR_FRACTION = 0.8;

/** What `DIVERGENCE_DIRECTORY` holds. */
export interface FoundDivergences {
  readonly kept: readonly KeptDivergence[];
  /** Files of divergences that were not kept to the end, or forgotten not to the end. They are removed. */
  readonly leftovers: readonly string[];
}

/**
 * Reads what divergences the directory keeps. Changes nothing.
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export async function findDivergences(disk: Disk, report: Reporter): Promise<FoundDivergences> {
  const files = await listDirectory(disk, DIVERGENCE_DIRECTORY);
  const kept: KeptDivergence[] = [];
  const named = new Set<string>();
  for (const name of files.map(file => divergenceOf(file, 'record'))) {
    if (name === undefined) continue;
    named.add(name);
    const found = await readRecordFile(disk, name);
    if (found === undefined) tellUnreadable(report, name);
    else kept.push(found);
  }
  const isLeftover = (file: string) => {
    const name = divergenceOf(file, 'frames');
    return file.endsWith(TEMPORARY_SUFFIX) || (name !== undefined && !named.has(name));
  };
  const leftovers = files.filter(isLeftover).map(file => `${DIVERGENCE_DIRECTORY}/${file}`);
  return { kept: kept.toSorted((a, b) => a.keptAt - b.keptAt), leftovers };
}

function tellUnreadable(report: Reporter, name: string): void {
  const path = divergencePath(name, 'record');
  const message = `${path} can't be read; the commits of this divergence are in ${divergencePath(name, 'frames')}: restore both files from a backup`;
  report({ level: 'error', event: 'divergence-unreadable', message, details: { file: path } });
}

/** The divergences of a journal on disk: a segment with the frames of each, and a file that tells about it. */
export class DiskDivergences implements Divergences {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #report: Reporter;
  readonly #commit: GroupCommit;
  /** Asked at each keeping: the disk may have grown since the start. */
  readonly #maxBytes: () => Promise<number>;
  /** By name, the oldest first. */
  #kept: ReadonlyMap<string, KeptDivergence>;
  /** Tasks on the files run one after the other. `Retainer.exclusively` is not for them: a rewind within it keeps. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    parts: { disk: Disk; random: Random; report: Reporter; commit: GroupCommit },
    kept: readonly KeptDivergence[],
    maxBytes: () => Promise<number>,
  ) {
    this.#disk = parts.disk;
    this.#random = parts.random;
    this.#report = parts.report;
    this.#commit = parts.commit;
    this.#maxBytes = maxBytes;
    this.#kept = new Map(kept.map(each => [each.name, each]));
  }

  list(): readonly KeptDivergence[] {
    return [...this.#kept.values()];
  }

  keep(divergence: Divergence, keptAt: number): Promise<KeptDivergence> {
    return this.#exclusively(async () => {
      const known = this.#kept.get(divergenceName(divergence));
      return known !== undefined && holdsAll(known, divergence) ? known : this.#keep(divergence, keptAt, known);
    });
  }

  read(name: string): AsyncIterable<StoredFrame> {
    this.#commit.assertOpen();
    this.#assertKnown(name);
    return readDivergence(this.#disk, divergencePath(name, 'frames'));
  }

  markReplayed(name: string, revisions: readonly number[]): Promise<void> {
    return this.#exclusively(async () => {
      const kept = this.#assertKnown(name);
      const changed = { ...kept, replayed: addRevisions(kept.replayed, revisions) };
      await writeRecord(this.#disk, changed);
      this.#set(changed);
    });
  }

  forget(name: string): Promise<boolean> {
    return this.#exclusively(async () => {
      if (!this.#kept.has(name)) return false;
      // Without its record a divergence is forgotten. The frames that a crash leaves go at the next opening.
      await removeFiles(this.#disk, [divergencePath(name, 'record')]);
      await this.#disk.syncDirectory(DIVERGENCE_DIRECTORY);
      this.#kept = new Map([...this.#kept].filter(([other]) => other !== name));
      await removeFiles(this.#disk, [divergencePath(name, 'frames')]);
      return true;
    });
  }

  /** Waits for the tasks that run. */
  async close(): Promise<void> {
    await this.#queue;
  }

  async #keep(divergence: Divergence, keptAt: number, former: KeptDivergence | undefined): Promise<KeptDivergence> {
    const name = divergenceName(divergence);
    const path = divergencePath(name, 'frames');
    const temporaryPath = path + TEMPORARY_SUFFIX;
    const { base, last, missing } = divergence;
    try {
      await this.#disk.makeDirectory(DIVERGENCE_DIRECTORY);
      await this.#disk.syncDirectory('');
      const maxBytes = await this.#maxBytes();
      const written = await this.#write(divergence, temporaryPath, { otherBytes: this.#bytes - (former?.bytes ?? 0), maxBytes });
      await this.#disk.rename(temporaryPath, path);
      await this.#disk.syncDirectory(DIVERGENCE_DIRECTORY);
      const kept = { name, base, last, missing, ...written, keptAt, replayed: former?.replayed ?? [] };
      await writeRecord(this.#disk, kept);
      this.#set(kept);
      this.#tellNear(maxBytes);
      return kept;
    } catch (error) {
      // After any other failure of the disk the files go at the next opening.
      if (!isNoSpace(error) && !isEvertreeError(error)) throw error;
      await removeFiles(this.#disk, former === undefined ? [temporaryPath, path] : [temporaryPath]);
      throw isNoSpace(error) ? full(name, error) : error;
    }
  }

  /** @param otherBytes of the other divergences; @param maxBytes of all */
  async #write(divergence: Divergence, path: string, { otherBytes, maxBytes }: { readonly otherBytes: number; readonly maxBytes: number }) {
    const { base, last, stream, missing } = divergence;
    const salt = Buffer.from(this.#random.bytes(4)).readUInt32LE(0);
    const summary = new DivergenceSummary();
    const file = await this.#disk.open(path, { create: true, write: true });
    try {
      await file.truncate(0);
      const writer = new SegmentWriter(file, { stream, base: missing?.last ?? base, salt, generation: 0 });
      for await (const stored of divergence.frames()) {
        await writer.write(stored);
        summary.add(stored.frame);
        if (otherBytes + writer.bytes > maxBytes) throw noRoom(divergence, otherBytes, maxBytes);
      }
      if (!samePosition(writer.last, last)) {
        const message = `the frames of a divergence end at ${formatExactPosition(writer.last)}, not at ${formatExactPosition(last)}`;
        throw new EvertreeError('HISTORY_MISMATCH', message, { expected: last, found: writer.last });
      }
      await writer.seal();
      const { commits, firstTime, lastTime, authors, paths, marks } = summary;
      const named = marks === undefined ? {} : { marks };
      return { commits, firstTime, lastTime, authors, paths, ...named, bytes: writer.bytes };
    } finally {
      await file.close();
    }
  }

  get #bytes(): number {
    return this.list().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** A changed divergence keeps its place in the order. */
  #set(kept: KeptDivergence): void {
    this.#kept = new Map([...this.#kept, [kept.name, kept]]);
  }

  #assertKnown(name: string): KeptDivergence {
    const kept = this.#kept.get(name);
    if (kept === undefined) throw unknownDivergence(name);
    return kept;
  }

  #tellNear(maxBytes: number): void {
    if (this.#bytes <= maxBytes * DIVERGENCES_NEAR_FRACTION) return;
    const message = `the divergences that are kept take ${this.#bytes} of at most ${maxBytes} bytes; when there is no room for another one this site can't go back to a fork: replay or export them, and forget those that are not needed any more`;
    this.#report({ level: 'warn', event: 'divergences-near', message, details: { bytes: this.#bytes, maxBytes } });
  }

  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(() => {
      this.#commit.assertOpen();
      return task();
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }
}

function full(name: string, cause: unknown): EvertreeError {
  const message = `there is no room on the disk to keep the divergence ${name}; make room, then try again`;
  return new EvertreeError('STORAGE_FULL', message, { name }, cause);
}
