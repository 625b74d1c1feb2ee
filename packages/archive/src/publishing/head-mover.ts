import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { ArchiveHead } from '../format/archive-head.ts';
import { damagedObject } from '../format/checked.ts';
import { compacted, CondemnedPaths } from '../format/condemned.ts';
import { encodeHead } from '../format/head-codec.ts';
import { encodeManifest } from '../format/manifest-codec.ts';
import type { ArchivedObject, Manifest } from '../format/manifest.ts';
import { HEAD_KEY, manifestKey } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';
import { type ArchiveState, type HeadState, type ManifestCache, manifestsBefore, readHeadState } from './head-state.ts';
import { NamedObjects } from './named-objects.ts';

/** What is to count from now on. What is left out stays as it is. */
export interface HeadChange {
  readonly manifest?: Pick<Manifest, 'stream' | 'lines' | 'condemned'>;
  readonly head?: Partial<Pick<ArchiveHead, 'drilled' | 'verified' | 'conditions'>>;
}

export interface MovingOptions {
  readonly cache?: ManifestCache;
  /** Waits a moment before what another one prevented is tried again; without it there is no pause. */
  readonly pause?: () => Promise<void>;
}

/** How often HEAD is read again and the change made anew. Each time some other writer got on, so it is much. */
const HEAD_TRIES = 50;
/** Objects that are looked for at a time before a manifest names them. */
const LOOKED_FOR_AT_ONCE = 8;

/**
 * Changes what counts in an archive: the only way to replace HEAD. A manifest is there before HEAD names it, and HEAD is
 * replaced only if it still is what the change was made from.
 *
 * A manifest never names an object that was condemned in the one before it, or that is not there: see `assertNamable`.
 * @param change called again with each newer state, so it finds out from that whether what it wants is done already; it
 *   gives undefined if there is nothing to do. What it throws ends the attempt.
 * @returns what the archive is then
 * @throws EvertreeError COMPACTED with `paths` where objects to be named were condemned or pruned: write them anew under
 *   other keys; UNREACHABLE if others were always first; those of `readHeadState` and of the target
 */
export async function movingHead(
  target: Target,
  change: (state: HeadState) => HeadChange | undefined | Promise<HeadChange | undefined>,
  { cache, pause }: MovingOptions = {},
): Promise<ArchiveState> {
  let ours: PreparedHead | undefined;
  for (let tries = 0; tries < HEAD_TRIES; tries++) {
    if (tries > 0) await pause?.();
    const state = await readHeadState(target, cache);
    if (ours !== undefined && (await counts(target, state, ours))) return state;
    const wish = await change(state);
    if (wish === undefined) return state;
    ours = prepare(state, wish);
    if (ours.isPublishing) await createManifest(target, state, ours);
    if (!(await replaceHead(target, state, ours))) continue;
    if (ours.isPublishing) cache?.set(ours.head.manifest!, ours.manifest!);
    return ours;
  }
  const message = `HEAD of ${target.name} was changed by others each of ${HEAD_TRIES} times; try again when fewer write to this archive`;
  throw new EvertreeError('UNREACHABLE', message, { target: target.name, tries: HEAD_TRIES });
}

interface PreparedHead {
  readonly head: ArchiveHead;
  readonly manifest: Manifest | undefined;
  /** Whether `manifest` is a new one. */
  readonly isPublishing: boolean;
  readonly bytes: Buffer;
}

function prepare(state: HeadState, { manifest: draft, head: patch }: HeadChange): PreparedHead {
  const { time } = state;
  const { archive, counter, manifest: previous } = state.head;
  const changed: ArchiveHead = { ...state.head, ...patch, counter: counter + 1, time };
  if (draft === undefined) return { head: changed, manifest: state.manifest, isPublishing: false, bytes: encodeHead(changed) };
  const { stream } = draft;
  const condemned = compacted(draft.condemned);
  const lines = draft.lines.map(line => ({ ...line, objects: line.objects.map(entry => dated(entry, time)) }));
  const manifest: Manifest = { archive, stream, previous, time, lines, condemned };
  const head = { ...changed, stream, manifest: encodeManifest(manifest).sha256 };
  return { head, manifest, isPublishing: true, bytes: encodeHead(head) };
}

function dated(entry: ArchivedObject, time: number): ArchivedObject {
  return entry.archived === undefined ? { ...entry, archived: time } : entry;
}

async function createManifest(target: Target, state: HeadState, { manifest, head }: PreparedHead): Promise<void> {
  await assertNamable(target, state.manifest, manifest!);
  const { bytes } = encodeManifest(manifest!);
  const key = manifestKey(head.manifest!);
  if ((await target.create(key, bytes)) === 'created') return;
  const present = await target.get(key);
  if (present !== undefined && !present.bytes.equals(bytes)) throw damagedObject(key, 'it holds something else than its name says');
}

/**
 * Whether a manifest may name what the one before it did not. Pruning deletes only what a manifest condemned for long.
 * What is there after HEAD was read, and is not condemned in what HEAD named, is there still when HEAD is replaced, or
 * else HEAD is not what was read.
 */
async function assertNamable(target: Target, before: Manifest | undefined, next: Manifest): Promise<void> {
  const named = new NamedObjects(before ?? { lines: [] }).entries;
  const added = [...new NamedObjects(next).entries].filter(([path]) => !named.has(path));
  const condemned = new CondemnedPaths([...(before?.condemned ?? []), ...next.condemned]);
  const lost = added.filter(([path]) => condemned.has(path)).map(([path]) => path);
  for (let at = 0; at < added.length; at += LOOKED_FOR_AT_ONCE) {
    const some = added.slice(at, at + LOOKED_FOR_AT_ONCE);
    const sizes = await Promise.all(some.map(async ([path]) => (await target.stat(path))?.size));
    lost.push(...some.filter(([, bytes], index) => sizes[index] !== bytes).map(([path]) => path));
  }
  if (lost.length === 0) return;
  const message =
    `${lost.length} objects of ${target.name} can't be named in a manifest, the first ${lost[0]}: they were pruned or are about ` +
    'to be, because they were written more than a day ago and no manifest named them; write them anew';
  throw new EvertreeError('COMPACTED', message, { target: target.name, paths: [...new Set(lost)] });
}

/** @returns false if somebody else was first */
async function replaceHead(target: Target, state: HeadState, ours: PreparedHead): Promise<boolean> {
  try {
    return (await target.replace(HEAD_KEY, ours.bytes, state.tag)) !== 'changed';
  } catch (error) {
    // The answer may have been lost after HEAD was replaced.
    if (!isEvertreeError(error, 'UNREACHABLE') || !(await counts(target, await readHeadState(target), ours))) throw error;
    return true;
  }
}

/** Whether what was written counts, although the answer said nothing or that HEAD had changed: it changed to ours. */
async function counts(target: Target, state: HeadState, ours: PreparedHead): Promise<boolean> {
  if (state.head.counter < ours.head.counter) return false;
  if (encodeHead(state.head).equals(ours.bytes)) return true;
  if (!ours.isPublishing) return false;
  if (state.head.manifest === ours.head.manifest) return true;
  let left = state.head.counter - ours.head.counter;
  for await (const { sha256 } of manifestsBefore(target, state.manifest)) {
    if (sha256 === ours.head.manifest) return true;
    if (--left <= 0) return false;
  }
  return false;
}
