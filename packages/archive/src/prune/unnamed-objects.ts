import { CondemnedPaths } from '../format/condemned.ts';
import type { Manifest } from '../format/manifest.ts';
import { IMAGE_PREFIX, MANIFEST_PREFIX, manifestKey, PROBE_PREFIX, STRETCH_PREFIX, TAIL_PREFIX } from '../format/object-keys.ts';
import { type HeadState, readHeadState } from '../publishing/head-state.ts';
import { type NamedObject, NamedObjects } from '../publishing/named-objects.ts';
import type { ListedObject, Target } from '../targets/target.ts';

/** Where objects lie that a manifest names, or that nobody needs. Pins and reports belong to those who made them. */
const PREFIXES = [TAIL_PREFIX, STRETCH_PREFIX, IMAGE_PREFIX, MANIFEST_PREFIX, PROBE_PREFIX];
/**
 * An object that nothing names is left alone for so long after it was made: a backup under way may be about to name it.
 * That only spares it the work of writing it anew; nothing is deleted because of its age.
 */
export const UNNAMED_LEAST_AGE_MS = 86_400_000;
/** The same for a manifest: between its creation and the move of HEAD lie moments. */
const MANIFEST_LEAST_AGE_MS = 3_600_000;
/** Superseded manifests that stay, the newest: for who finds that of HEAD damaged. */
const SUPERSEDED_KEPT = 8;
/** With more of them the others go. A prune supersedes two by itself, and must not find them the next time. */
const SUPERSEDED_LIMIT = 24;

/**
 * Lists what may have to go: what a manifest might name, and that of now does not. It may have been about to be named: the
 * manifest has to be asked again afterwards. This is the one place that lists.
 */
export async function listUnnamed(target: Target): Promise<ListedObject[]> {
  const { manifest = { lines: [], condemned: [] } } = await readHeadState(target);
  const named = new NamedObjects(manifest);
  const condemned = new CondemnedPaths(manifest.condemned);
  const listed: ListedObject[] = [];
  for (const prefix of PREFIXES) {
    for await (const object of target.list(prefix)) {
      if (!named.has(object.key) && !condemned.has(object.key)) listed.push(object);
    }
  }
  return listed;
}

/**
 * What nothing names: left behind by writers that died or lost their line, swallowed objects of tails that nobody
 * condemned, superseded manifests, and probes.
 * @param listed by `listUnnamed`, before the state was read
 * @param leastAgeMs of what is taken
 */
export function unnamedObjects(
  listed: readonly ListedObject[],
  { head, time }: Pick<HeadState, 'head' | 'time'>,
  manifest: Pick<Manifest, 'lines' | 'condemned'>,
  leastAgeMs: number,
): NamedObject[] {
  const manifestAgeMs = Math.min(leastAgeMs, MANIFEST_LEAST_AGE_MS);
  const named = new NamedObjects(manifest);
  const condemned = new CondemnedPaths(manifest.condemned);
  const present = head.manifest === null ? undefined : manifestKey(head.manifest);
  const unnamed = listed.filter(({ key }) => key !== present && !named.has(key) && !condemned.has(key));
  const superseded = unnamed.filter(isManifest).toSorted((a, b) => b.modified - a.modified);
  const old = superseded
    .slice(superseded.length > SUPERSEDED_LIMIT ? SUPERSEDED_KEPT : SUPERSEDED_LIMIT)
    .filter(({ modified }) => modified <= time - manifestAgeMs);
  const left = unnamed.filter(object => !isManifest(object) && object.modified <= time - leastAgeMs);
  return [...left, ...old].map(({ key, size }) => ({ path: key, bytes: size }));
}

function isManifest({ key }: ListedObject): boolean {
  return key.startsWith(MANIFEST_PREFIX);
}
