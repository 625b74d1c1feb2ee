import { isEvertreeError } from '@evertree/core';
import { countOf, objectsOf, withoutObjects } from '../format/condemned.ts';
import type { CondemnedObject, Manifest } from '../format/manifest.ts';
import { movingHead } from '../publishing/head-mover.ts';
import { ManifestCache, readHeadState } from '../publishing/head-state.ts';
import { NamedObjects } from '../publishing/named-objects.ts';
import type { Target } from '../targets/target.ts';
import { PinnedObjects } from './pinned-objects.ts';

/** Objects that are deleted before HEAD and the pins are read again. */
const DELETED_AT_ONCE = 500;
/** Objects that are gone before a manifest is published that condemns them no more. */
const FORGOTTEN_AT_ONCE = 10_000;
/** Objects that are looked for at a time after they were deleted. */
const LOOKED_FOR_AT_ONCE = 16;

export interface ObjectCount {
  readonly objects: number;
  readonly bytes: number;
}

/** What of the condemned objects goes now, and what has to wait. */
export interface CondemnedCounts {
  readonly due: ObjectCount;
  /** Condemned for less than the grace; `since` is that of the first. */
  readonly waiting: ObjectCount & { readonly since: number | undefined };
  /** Somebody reads a manifest that names them. */
  readonly pinned: ObjectCount;
}

/** A moment of an archive, as whoever deletes sees it. */
export interface DeletionView {
  readonly manifest: Pick<Manifest, 'lines' | 'condemned'>;
  /** The target's, read before the manifest was. */
  readonly time: number;
  /** Read after the manifest was. */
  readonly pins: PinnedObjects;
  readonly graceMs: number;
}

export function countCondemned({ manifest, time, pins, graceMs }: DeletionView): CondemnedCounts {
  const past = manifest.condemned.filter(({ since }) => since <= time - graceMs);
  const waiting = manifest.condemned.filter(({ since }) => since > time - graceMs);
  const since = waiting.length === 0 ? undefined : waiting.reduce((least, entry) => Math.min(least, entry.since), Infinity);
  if (pins.pins.length === 0) return { due: sumOf(past), waiting: { ...sumOf(waiting), since }, pinned: sumOf([]) };
  const counts = { due: { objects: 0, bytes: 0 }, pinned: { objects: 0, bytes: 0 } };
  for (const entry of past) {
    for (const { path, bytes } of objectsOf(entry)) {
      const sum = pins.holds(path) ? counts.pinned : counts.due;
      sum.objects++;
      sum.bytes += bytes;
    }
  }
  return { ...counts, waiting: { ...sumOf(waiting), since } };
}

export function sumOf(
  objects: readonly (Pick<CondemnedObject, 'bytes'> & { readonly numbers?: CondemnedObject['numbers'] })[],
): ObjectCount {
  return {
    objects: objects.reduce((sum, { numbers }) => sum + (numbers === undefined ? 1 : numbers[1] - numbers[0] + 1), 0),
    bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What a deletion brought about. */
export interface Deletion {
  readonly gone: ObjectCount;
  /** Keys of those that the target said were removed, and that are there still. */
  readonly stubborn: readonly string[];
  /** As it was when nothing could be deleted any more. */
  readonly left: CondemnedCounts;
  readonly pins: PinnedObjects;
}

export interface DeletionOptions {
  readonly graceMs: number;
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Deletes what has been condemned for long enough and is not pinned, and takes from the list of condemned objects what is
 * gone then. For each batch HEAD is read, then the pins, and then it is deleted: see `Pin`. It may be tried again wherever
 * it ended.
 */
export async function deleteCondemned(target: Target, { graceMs, progress }: DeletionOptions): Promise<Deletion> {
  const cache = new ManifestCache();
  const gone = { objects: 0, bytes: 0 };
  const unforgotten = new Set<string>();
  const stubborn = new Set<string>();
  let total: number | undefined;
  for (;;) {
    const { manifest = { lines: [], condemned: [] }, time } = await readHeadState(target, cache);
    const view = { manifest, time, pins: await PinnedObjects.read(target, time), graceMs };
    const batch = firstDue(view, path => unforgotten.has(path) || stubborn.has(path));
    if (batch.length === 0 || unforgotten.size >= FORGOTTEN_AT_ONCE) {
      await forget(target, unforgotten);
      unforgotten.clear();
      if (batch.length > 0) continue;
      await target.remove(view.pins.expiredKeys);
      return { gone, stubborn: [...stubborn], left: countCondemned(view), pins: view.pins };
    }
    const left = await removeObjects(target, batch);
    for (const { path, bytes } of batch) {
      if (left.has(path)) stubborn.add(path);
      else {
        unforgotten.add(path);
        gone.objects++;
        gone.bytes += bytes;
      }
    }
    total ??= countCondemned(view).due.bytes;
    progress?.(gone.bytes, Math.max(gone.bytes, total));
  }
}

/** The first objects that may go now. What is named is not deleted, whatever else a manifest says of it. */
function firstDue({ manifest, time, pins, graceMs }: DeletionView, isDone: (path: string) => boolean): CondemnedObject[] {
  const named = new NamedObjects(manifest);
  const due: CondemnedObject[] = [];
  for (const entry of manifest.condemned) {
    if (entry.since > time - graceMs) continue;
    for (const object of objectsOf(entry)) {
      if (isDone(object.path) || named.has(object.path) || pins.holds(object.path)) continue;
      due.push(object);
      if (due.length === DELETED_AT_ONCE) return due;
    }
  }
  return due;
}

/** @returns the keys of those that are there still: services have answered that all is well, and kept them */
async function removeObjects(target: Target, objects: readonly CondemnedObject[]): Promise<ReadonlySet<string>> {
  const keys = objects.map(({ path }) => path);
  try {
    await target.remove(keys);
  } catch (error) {
    // It found out by itself that some are there still.
    if (!isEvertreeError(error, 'STORAGE_FAILED')) throw error;
  }
  const left = new Set<string>();
  for (let at = 0; at < keys.length; at += LOOKED_FOR_AT_ONCE) {
    const some = keys.slice(at, at + LOOKED_FOR_AT_ONCE);
    const found = await Promise.all(some.map(key => target.stat(key)));
    some.forEach((key, index) => found[index] !== undefined && left.add(key));
  }
  return left;
}

/** What is gone needs to be condemned no more. */
async function forget(target: Target, gone: ReadonlySet<string>): Promise<void> {
  if (gone.size === 0) return;
  await movingHead(target, ({ manifest }) => {
    if (manifest === undefined) return undefined;
    const condemned = withoutObjects(manifest.condemned, gone);
    const isSame =
      condemned.length === manifest.condemned.length &&
      condemned.every((entry, index) => countOf(entry) === countOf(manifest.condemned[index]!));
    return isSame ? undefined : { manifest: { ...manifest, condemned } };
  });
}
