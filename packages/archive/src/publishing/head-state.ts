import { EvertreeError } from '@evertree/core';
import type { ArchiveHead } from '../format/archive-head.ts';
import { damagedObject } from '../format/checked.ts';
import { parseHead } from '../format/head-codec.ts';
import { parseManifest } from '../format/manifest-codec.ts';
import type { Manifest } from '../format/manifest.ts';
import { HEAD_KEY, manifestKey } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';

/** What counts in an archive at a moment. */
export interface HeadState {
  readonly head: ArchiveHead;
  /** Of the object, for its replacement. */
  readonly tag: string;
  /** The one that HEAD names; undefined before the first backup. */
  readonly manifest: Manifest | undefined;
  /** The target's time, milliseconds since 1970; read before HEAD was. */
  readonly time: number;
}

/** What an archive is at a moment. */
export type ArchiveState = Pick<HeadState, 'head' | 'manifest'>;

/** The manifest that was read or written last: most times it is the one that counts still. */
export class ManifestCache {
  #known: { readonly sha256: string; readonly manifest: Manifest } | undefined;

  get(sha256: string): Manifest | undefined {
    return this.#known?.sha256 === sha256 ? this.#known.manifest : undefined;
  }

  set(sha256: string, manifest: Manifest): void {
    this.#known = { sha256, manifest };
  }
}

/** @throws EvertreeError NOT_FOUND where there is no archive, DAMAGED, FORMAT_UNSUPPORTED, and those of the target */
export async function readHeadState(target: Target, cache?: ManifestCache): Promise<HeadState> {
  const time = await target.now();
  const object = await target.get(HEAD_KEY);
  if (object === undefined) throw noArchive(target.name);
  const head = parseHead(object.bytes);
  if (head.manifest === null) return { head, tag: object.tag, manifest: undefined, time };
  const manifest = cache?.get(head.manifest) ?? (await readManifest(target, head.manifest));
  if (manifest === undefined) throw damagedObject(manifestKey(head.manifest), 'HEAD names it, and it is missing');
  cache?.set(head.manifest, manifest);
  return { head, tag: object.tag, manifest, time };
}

/** There is no HEAD. */
function noArchive(target: string): EvertreeError {
  const message = `there is no archive in ${target}: it has no HEAD; make one with "evertree backup init ${target}", or check the name`;
  return new EvertreeError('NOT_FOUND', message, { target });
}

/**
 * @returns undefined if it is not there
 * @throws EvertreeError DAMAGED, and those of the target
 */
export async function readManifest(target: Target, sha256: string): Promise<Manifest | undefined> {
  const object = await target.get(manifestKey(sha256));
  return object === undefined ? undefined : parseManifest(object.bytes, sha256);
}

/** The manifests before one, newest first, as far as they are there. */
export async function* manifestsBefore(
  target: Target,
  manifest: Manifest | undefined,
): AsyncIterable<{ readonly sha256: string; readonly manifest: Manifest; readonly supersededAt: number }> {
  for (let next = manifest; next !== undefined && next.previous !== null;) {
    const before = await readManifest(target, next.previous);
    if (before === undefined) return;
    yield { sha256: next.previous, manifest: before, supersededAt: next.time };
    next = before;
  }
}
