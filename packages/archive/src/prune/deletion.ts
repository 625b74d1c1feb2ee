import { isEvertreeError } from '@evertree/core';
import type { CondemnedObject, Manifest } from '../format/manifest.ts';
import { movingHead } from '../publishing/head-mover.ts';
import { type HeadState, ManifestCache, readHeadState } from '../publishing/head-state.ts';
import { NamedObjects } from '../publishing/named-objects.ts';
import type { Target } from '../targets/target.ts';
import { PinnedObjects } from './pinned-objects.ts';

/** Objects that are deleted before HEAD and the pins are read again. */
const DELETED_AT_ONCE = 500;
/** Objects that are looked for at a time after they were deleted. */
const LOOKED_FOR_AT_ONCE = 16;

/** What of the condemned objects goes now, and what has to wait. */
export interface DueObjects {
  readonly due: readonly CondemnedObject[];
  /** Condemned for less than the grace. */
  readonly waiting: readonly CondemnedObject[];
  /** Somebody reads a manifest that names them. */
  readonly pinned: readonly CondemnedObject[];
}

/** @param state read before the pins were */
export function dueObjects(
  { manifest, time }: { readonly manifest: Pick<Manifest, 'lines' | 'condemned'>; readonly time: number },
  pins: PinnedObjects,
  graceMs: number,
): DueObjects {
  const named = new NamedObjects(manifest);
  const condemned = manifest.condemned.filter(({ path }) => !named.has(path));
  const past = condemned.filter(({ since }) => since <= time - graceMs);
  return {
    due: past.filter(({ path }) => !pins.holds(path)),
    waiting: condemned.filter(({ since }) => since > time - graceMs),
    pinned: past.filter(({ path }) => pins.holds(path)),
  };
}

/** What a deletion brought about. */
export interface Deletion {
  readonly gone: readonly CondemnedObject[];
  /** Those that the target said were removed, and that are there still. */
  readonly stubborn: readonly CondemnedObject[];
  /** As it was when nothing was due any more. */
  readonly rest: DueObjects;
  readonly pins: PinnedObjects;
}

export interface DeletionOptions {
  readonly graceMs: number;
  /** Of which objects; without it of all. */
  readonly only?: (path: string) => boolean;
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Deletes what has been condemned for long enough and is not pinned, and takes from the list of condemned objects what is
 * gone then. For each batch HEAD is read, then the pins, and then it is deleted: see `Pin`. It may be tried again wherever
 * it ended.
 */
export async function deleteCondemned(target: Target, { graceMs, only, progress }: DeletionOptions): Promise<Deletion> {
  const cache = new ManifestCache();
  const gone: CondemnedObject[] = [];
  const stubborn: CondemnedObject[] = [];
  const tried = new Set<string>();
  let done = 0;
  for (;;) {
    const state = await readHeadState(target, cache);
    const pins = await PinnedObjects.read(target, state.time);
    const rest = dueOf(state, pins, graceMs);
    const due = rest.due.filter(({ path }) => !tried.has(path) && only?.(path) !== false);
    const batch = due.slice(0, DELETED_AT_ONCE);
    if (batch.length === 0) {
      await target.remove(pins.expiredKeys);
      await forget(target, gone);
      return { gone, stubborn, rest, pins };
    }
    const left = await removeObjects(target, batch);
    for (const object of batch) {
      tried.add(object.path);
      (left.has(object.path) ? stubborn : gone).push(object);
    }
    done += bytesOf(batch);
    progress?.(done, done + bytesOf(due.slice(batch.length)));
  }
}

function bytesOf(objects: readonly CondemnedObject[]): number {
  return objects.reduce((sum, { bytes }) => sum + bytes, 0);
}

function dueOf({ manifest, time }: HeadState, pins: PinnedObjects, graceMs: number): DueObjects {
  return manifest === undefined ? { due: [], waiting: [], pinned: [] } : dueObjects({ manifest, time }, pins, graceMs);
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
async function forget(target: Target, gone: readonly CondemnedObject[]): Promise<void> {
  const paths = new Set(gone.map(({ path }) => path));
  await movingHead(target, ({ manifest }) => {
    if (manifest === undefined) return undefined;
    const condemned = manifest.condemned.filter(({ path }) => !paths.has(path));
    return condemned.length === manifest.condemned.length ? undefined : { manifest: { ...manifest, condemned } };
  });
}
