import type { Disk, ListedSnapshot, SnapshotHeader } from '@evertree/core';
import { snapshotPath, TEMPORARY_SUFFIX } from '../site/layout.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { SnapshotFileWriter } from './snapshot-file.ts';

/** The snapshot files of a journal, without their marks. */
export class SnapshotList {
  readonly #disk: Disk;
  /** Oldest first. */
  #files: readonly SnapshotFile[] = [];
  #listed: readonly ListedSnapshot[] = [];
  readonly #supersededMs = new Map<string, number>();
  #begun = 0;

  constructor(disk: Disk, files: readonly SnapshotFile[]) {
    this.#disk = disk;
    this.#set(files);
  }

  get all(): readonly SnapshotFile[] {
    return this.#files;
  }

  /** As callers of the journal see them: the same array until a snapshot is added or taken out. */
  get listed(): readonly ListedSnapshot[] {
    return this.#listed;
  }

  get newest(): SnapshotFile | undefined {
    return this.#files.at(-1);
  }

  newestUpTo(revision: number): SnapshotFile | undefined {
    return this.#files.findLast(file => file.header.position.revision <= revision);
  }

  /** When a newer snapshot was added; 0 if that was before this process; undefined for the newest. */
  supersededMs(file: SnapshotFile): number | undefined {
    return file === this.newest ? undefined : (this.#supersededMs.get(file.path) ?? 0);
  }

  get bytes(): number {
    return this.#files.reduce((sum, file) => sum + file.bytes, 0);
  }

  /** @param publish called when the file is whole and durable under its temporary name */
  begin(
    header: SnapshotHeader,
    generation: number,
    publish: (file: SnapshotFile, temporaryPath: string, moved: (() => void) | undefined) => Promise<void>,
  ): Promise<SnapshotFileWriter> {
    const path = snapshotPath(header.position);
    const { marks: _, ...outline } = header;
    // Two snapshots of one position may be written at the same time.
    const temporaryPath = `${path}.${++this.#begun}${TEMPORARY_SUFFIX}`;
    return SnapshotFileWriter.begin(this.#disk, { header, generation, temporaryPath }, (bytes, moved) =>
      publish({ path, header: outline, generation, bytes }, temporaryPath, moved),
    );
  }

  /** @param nowMs milliseconds since 1970 */
  add(file: SnapshotFile, nowMs: number): void {
    if (this.newest !== undefined) this.#supersededMs.set(this.newest.path, nowMs);
    this.#supersededMs.delete(file.path);
    this.#set([...this.#files.filter(other => other.path !== file.path), file]);
  }

  /** Takes out all snapshots but `file`. @returns those that the caller has to remove */
  replaceAll(file: SnapshotFile): SnapshotFile[] {
    const dropped = this.#files.filter(other => other.path !== file.path);
    this.#set([file]);
    this.#supersededMs.clear();
    return dropped;
  }

  /** Takes out the snapshots after `revision`. @returns those that the caller has to remove */
  dropAfter(revision: number): SnapshotFile[] {
    const dropped = this.#files.filter(file => file.header.position.revision > revision);
    this.#set(this.#files.filter(file => !dropped.includes(file)));
    for (const file of dropped) this.#supersededMs.delete(file.path);
    if (this.newest !== undefined) this.#supersededMs.delete(this.newest.path);
    return dropped;
  }

  /** Takes out the oldest `count` snapshots. @returns those that the caller has to remove */
  dropOldest(count: number): SnapshotFile[] {
    const dropped = this.#files.slice(0, count);
    this.#set(this.#files.slice(count));
    for (const file of dropped) this.#supersededMs.delete(file.path);
    return dropped;
  }

  #set(files: readonly SnapshotFile[]): void {
    this.#files = files.toSorted(byPosition);
    this.#listed = this.#files.map(({ header: { position, digest, time }, bytes }) => ({ position, digest, time, bytes }));
  }
}

function byPosition(a: SnapshotFile, b: SnapshotFile): number {
  return a.header.position.revision - b.header.position.revision;
}
