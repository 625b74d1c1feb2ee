import { EvertreeError, isEvertreeError, type Reporter } from '@evertree/core';
import type { ArchiveHead } from '../format/archive-head.ts';
import { parseHead } from '../format/head-codec.ts';
import { parseManifest } from '../format/manifest-codec.ts';
import type { Manifest } from '../format/manifest.ts';
import { HEAD_KEY, MANIFEST_PREFIX, manifestKey } from '../format/object-keys.ts';
import type { ListedObject, Target } from '../targets/target.ts';

/** What an archive says of itself. */
export interface ChosenManifest {
  /** Undefined where HEAD is missing or damaged. */
  readonly head: ArchiveHead | undefined;
  /** Undefined before the first backup. */
  readonly manifest: Manifest | undefined;
  readonly manifestHash: string | undefined;
  /** What was found wrong on the way. */
  readonly problems: readonly { readonly object: string; readonly text: string }[];
}

/** Manifests that are read to find the newest one where HEAD tells none. */
const LOOKED_AT = 16;

/**
 * The manifest that counts. If HEAD or its manifest is missing or damaged, it is the newest sound manifest of the archive:
 * whatever it names was archived, and what was archived since may be missing.
 * @throws EvertreeError NOT_FOUND if there is no archive, DAMAGED if no manifest is sound, FORMAT_UNSUPPORTED
 */
export async function chooseManifest(target: Target, report: Reporter): Promise<ChosenManifest> {
  const problems: { readonly object: string; readonly text: string }[] = [];
  const tell = (object: string, text: string): void => {
    problems.push({ object, text });
    report({ level: 'error', event: 'archive-damaged', message: `${text}; in ${target.name}`, details: { object } });
  };
  const stored = await target.get(HEAD_KEY);
  const head = stored === undefined ? undefined : readSound(() => parseHead(stored.bytes), HEAD_KEY, tell);
  if (head !== undefined) {
    const { manifest: hash } = head;
    if (hash === null) return { head, manifest: undefined, manifestHash: undefined, problems };
    const manifest = await readManifest(target, hash, tell);
    if (manifest !== undefined) return { head, manifest, manifestHash: hash, problems };
  }
  const found = await newestSound(target, head?.archive, tell);
  if (found === undefined && stored === undefined && problems.length === 0) {
    throw new EvertreeError('NOT_FOUND', `there is no archive in ${target.name}; "evertree backup init" makes one`, {
      target: target.name,
    });
  }
  if (found === undefined) {
    const texts = problems.map(({ text }) => text).join('; ');
    throw new EvertreeError('DAMAGED', `the archive in ${target.name} has no sound manifest: ${texts}`, {
      target: target.name,
      object: HEAD_KEY,
    });
  }
  if (stored === undefined) tell(HEAD_KEY, `${HEAD_KEY} is missing`);
  const { manifest, hash } = found;
  const text = `the newest sound manifest ${manifestKey(hash)} was taken: what was archived after ${new Date(manifest.time).toISOString()} may be missing`;
  report({ level: 'warn', event: 'archive-older-manifest', message: text, details: { manifest: hash } });
  return { head, manifest, manifestHash: hash, problems: [...problems, { object: manifestKey(hash), text }] };
}

async function readManifest(target: Target, hash: string, tell: (object: string, text: string) => void): Promise<Manifest | undefined> {
  const key = manifestKey(hash);
  const stored = await target.get(key);
  if (stored !== undefined) return readSound(() => parseManifest(stored.bytes, hash), key, tell);
  tell(key, `${key} is missing`);
  return undefined;
}

/**
 * The newest manifest that is sound: among those that the target made last, the newest by its own time. A copied archive
 * has all of its files from one moment.
 */
export async function newestSound(
  target: Target,
  archive: string | undefined,
  tell: (object: string, text: string) => void,
): Promise<{ readonly manifest: Manifest; readonly hash: string } | undefined> {
  const listed: ListedObject[] = [];
  for await (const object of target.list(MANIFEST_PREFIX)) listed.push(object);
  const found: { readonly manifest: Manifest; readonly hash: string }[] = [];
  for (const { key } of listed.toSorted((a, b) => b.modified - a.modified)) {
    const hash = key.slice(MANIFEST_PREFIX.length);
    const stored = await target.get(key);
    const manifest = stored && readSound(() => parseManifest(stored.bytes, hash), key, tell);
    if (manifest === undefined || (archive !== undefined && manifest.archive !== archive)) continue;
    found.push({ manifest, hash });
    if (found.length >= LOOKED_AT) break;
  }
  return found.toSorted((a, b) => b.manifest.time - a.manifest.time)[0];
}

function readSound<T>(read: () => T, object: string, tell: (object: string, text: string) => void): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isEvertreeError(error, 'DAMAGED')) throw error;
    tell(object, error.message);
    return undefined;
  }
}
