import {
  type Disk,
  emptyDigest,
  EvertreeError,
  type ExactPosition,
  formatPosition,
  isEvertreeError,
  NO_CHAIN,
  ORIGIN,
  type RebuiltTree,
  RewrittenHistory,
  samePosition,
  type SnapshotHeader,
  Turn,
} from '@evertree/core';
import {
  isNoSpace,
  listHistory,
  removeFiles,
  removeUnfinished,
  SEGMENT_DIRECTORY,
  SITE_FILE,
  SNAPSHOT_DIRECTORY,
  SnapshotFileWriter,
  snapshotPath,
  TEMPORARY_SUFFIX,
  writeSite,
} from '@evertree/journal/files';
import { restoreEpochFrame, restoreEpochNumber } from './restore-epoch.ts';
import type { RestoredSite, RestorePhases, RestoreTask } from './restore-task.ts';
import { RestoredHistory } from './restored-history.ts';
import { isFinal, KeptUnsound, RestoredTree } from './restored-tree.ts';
import { WriteQueue } from './write-queue.ts';

/** A snapshot is written at the end, unless the frames after the image have less than this share of its bytes. */
const FEW_CHANGES = 1 / 8;

/**
 * Restores a directory. If reading ends with an error that another attempt may not meet, what was written stays, and the
 * next attempt goes on after it; after any other error the directory is empty again.
 */
export async function restoreDirectory(task: RestoreTask): Promise<RestoredSite> {
  try {
    try {
      return await new RestoreRun(task).run();
    } catch (error) {
      if (!(error instanceof KeptUnsound)) throw error;
    }
    await clearHistory(task.disk);
    const { written: _, ...state } = task.state;
    return await new RestoreRun({ ...task, state: { ...state, parts: 0 } }).run();
  } catch (error) {
    if (isFinal(error)) {
      await clearHistory(task.disk);
      await removeUnfinished(task.disk);
    }
    throw storageError(error);
  }
}

/** The disk's own errors, as errors with a remedy. What was written stays, and is gone on with. */
function storageError(error: unknown): unknown {
  if (isEvertreeError(error) || !(error instanceof Error) || !('syscall' in error || 'code' in error)) return error;
  const goesOn = 'and run the same restore again: it goes on with what was written';
  if (isNoSpace(error))
    return new EvertreeError('STORAGE_FULL', `there is no room on the disk (${error.message}); make room, ${goesOn}`, {}, error);
  return new EvertreeError('STORAGE_FAILED', `the directory can't be written (${error.message}); mend that, ${goesOn}`, {}, error);
}

async function clearHistory(disk: Disk): Promise<void> {
  await removeFiles(disk, await listHistory(disk));
  for (const directory of [SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY]) await disk.syncDirectory(directory);
}

class RestoreRun {
  readonly #task: RestoreTask;
  readonly #queue = new WriteQueue();
  readonly #history: RestoredHistory;
  readonly #building: RestoredTree;
  readonly #turn: Turn;

  constructor(task: RestoreTask) {
    const { disk, random, segmentBytes, clock } = task;
    this.#task = task;
    this.#history = new RestoredHistory(disk, random, segmentBytes);
    this.#building = new RestoredTree(task, this.#queue, this.#history);
    this.#turn = new Turn(clock);
  }

  async run(): Promise<RestoredSite> {
    const { disk, clock } = this.#task;
    const begun = clock.monotonic();
    // An attempt that ended right before unfinished.json was removed had written it.
    await removeFiles(disk, [SITE_FILE]);
    for (const directory of [SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY]) await disk.makeDirectory(directory);
    await this.#dropSnapshots();
    try {
      const tree = await this.#building.begin();
      const imageAt = clock.monotonic();
      await this.#building.complete(tree);
      const changesAt = clock.monotonic();
      return await this.#finish(tree, { image: imageAt - begun, changes: changesAt - imageAt, finish: changesAt });
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  /** Removes snapshots of an earlier attempt but that of the image: the one at the end may be of another stream. */
  async #dropSnapshots(): Promise<void> {
    const { disk, source } = this.#task;
    const image = source.image === undefined ? undefined : snapshotPath(source.image.position);
    const found = (await listHistory(disk)).filter(path => path.startsWith(`${SNAPSHOT_DIRECTORY}/`));
    await removeFiles(
      disk,
      found.filter(path => path !== image && path !== `${image}${TEMPORARY_SUFFIX}`),
    );
  }

  /** Writes what was read, as far as that goes, and closes the files: they stay for the next attempt. */
  async #leave(): Promise<void> {
    for (const step of [() => this.#queue.end(), () => this.#building.leave(), () => this.#history.leave()]) {
      try {
        await step();
      } catch {
        // What ended the work is what counts.
      }
    }
  }

  async #finish(tree: RebuiltTree, phases: RestorePhases): Promise<RestoredSite> {
    const { disk, clock, identity } = this.#task;
    const { last: base } = tree.head;
    this.#assertEnd(tree);
    const stream = identity.newStream ?? this.#task.stream;
    const header = base.revision === 0 ? undefined : { ...tree.header, stream };
    await this.#queue.add(0, () => this.#history.seal());
    if (header !== undefined && this.#needsSnapshot) await this.#writeSnapshot(tree, header);
    await this.#queue.drain();
    if (identity.newStream !== undefined) await this.#dropFormer(header?.position);
    const position =
      identity.role === 'secondary'
        ? base
        : await this.#beginEpoch(tree, header ?? { stream, position: ORIGIN, digest: emptyDigest(), chain: NO_CHAIN });
    const { site, role } = identity;
    await writeSite(disk, {
      site,
      role,
      directory: await disk.mark(),
      fencedBy: undefined,
      heard: undefined,
      declined: [],
      closedAt: position,
    });
    await removeUnfinished(disk);
    return {
      base,
      digest: tree.digest,
      stream,
      position,
      keptBytes: this.#building.keptBytes,
      comparisons: this.#building.comparisons,
      phases: { ...phases, finish: clock.monotonic() - phases.finish },
    };
  }

  /** What was read ends where it should, and the tree is what the archive says. */
  #assertEnd(tree: RebuiltTree): void {
    const { state, digest: expected } = this.#task;
    const { last } = tree.head;
    if (!samePosition(last, state.position)) {
      // A secondary's ends with the last whole frame.
      if (state.role === 'secondary' && last.revision < state.position.revision) return;
      const message = `the history ends at ${formatPosition(last)}, and was to be restored up to ${formatPosition(state.position)}`;
      throw new EvertreeError('DAMAGED', message, { expected: state.position, found: last });
    }
    const found = tree.digest;
    if (expected === undefined || found === expected) return;
    const message = `the rebuilt tree has the digest ${found} at ${formatPosition(last)}, where the archive says ${expected}`;
    throw new EvertreeError('DIGEST_MISMATCH', message, { expected, found, position: last });
  }

  /** A site opens from the newest snapshot and the frames after it. */
  get #needsSnapshot(): boolean {
    const { source, identity } = this.#task;
    return (
      identity.newStream !== undefined || source.image === undefined || this.#building.frameBytes > source.image.plainBytes * FEW_CHANGES
    );
  }

  async #writeSnapshot(tree: RebuiltTree, header: SnapshotHeader): Promise<void> {
    const { disk } = this.#task;
    const path = snapshotPath(header.position);
    const temporaryPath = path + TEMPORARY_SUFFIX;
    const writer = await SnapshotFileWriter.begin(disk, { header, generation: 0, temporaryPath }, async () => {
      await disk.rename(temporaryPath, path);
      await disk.syncDirectory(SNAPSHOT_DIRECTORY);
    });
    try {
      using snapshot = new RewrittenHistory({ stream: header.stream, without: new Set(), upTo: Infinity }).snapshot(tree, undefined);
      for (const chunk of snapshot.chunks()) {
        await this.#queue.add(chunk.length, () => writer.write(chunk));
        await this.#turn.breathe();
      }
      await this.#queue.drain();
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Removes the history of the archive's stream. */
  async #dropFormer(snapshot: ExactPosition | undefined): Promise<void> {
    const { disk } = this.#task;
    const kept = snapshot === undefined ? undefined : snapshotPath(snapshot);
    await removeFiles(
      disk,
      (await listHistory(disk)).filter(path => path !== kept),
    );
    for (const directory of [SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY]) await disk.syncDirectory(directory);
  }

  async #beginEpoch(tree: RebuiltTree, end: Parameters<typeof restoreEpochFrame>[0]): Promise<ExactPosition> {
    const { identity, clock, random } = this.#task;
    const number = restoreEpochNumber(identity.archivedEpoch, tree.head.epochs);
    const frame = restoreEpochFrame(end, { number, site: identity.site, now: clock.now(), random });
    await this.#history.write(frame);
    await this.#history.seal();
    return frame.header.last;
  }
}
