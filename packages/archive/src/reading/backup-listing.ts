import { type ExactPosition, formatPosition } from '@evertree/core';
import { countOf } from '../format/condemned.ts';
import type { DrillNote, VerificationNote } from '../format/archive-head.ts';
import type { GapNote, ImageEntry } from '../format/manifest.ts';
import { IMAGE_PREFIX, STRETCH_PREFIX } from '../format/object-keys.ts';
import type { Archive } from './archive.ts';
import { type ArchiveProblem, type LineHistory, type Restorable, withoutObjects } from './line-history.ts';

/** What an archive can give back, for people. */
export interface BackupListing {
  /** As people write it. */
  readonly target: string;
  readonly archive: string;
  /** Null before the first backup. */
  readonly stream: string | null;
  readonly encrypted: boolean;
  /** Whether the target refuses what its conditions forbid; null where HEAD can't be read. */
  readonly conditions: boolean | null;
  /** The line that stands first. */
  readonly lines: readonly ListedLine[];
  /** Of everything that a line needs. */
  readonly bytes: number;
  readonly plainBytes: number;
  /** What no line needs any more, and is still there. */
  readonly condemned: { readonly objects: number; readonly bytes: number };
  readonly drilled: DrillNote | null;
  readonly verified: VerificationNote | null;
  readonly problems: readonly ArchiveProblem[];
  /** Something was archived, nothing is damaged or missing, the newest history is not a gap, and the newest drill and verification passed. */
  readonly healthy: boolean;
}

/** One line, and what of it can be restored. */
export interface ListedLine {
  readonly id: string;
  /** Null where it is encrypted and no identity was given. */
  readonly site: string | null;
  /** Whether a restore takes it unless another one is named. */
  readonly stands: boolean;
  /** Every revision from `from` to `to` can be restored. */
  readonly states: readonly ListedStates[];
  readonly images: readonly ListedImage[];
  readonly gaps: readonly GapNote[];
  readonly marks: readonly ListedMark[];
  readonly objects: number;
  /** Objects that are not merged into stretches yet. */
  readonly tailObjects: number;
  readonly commits: number;
  readonly bytes: number;
  readonly plainBytes: number;
}

export interface ListedStates {
  /** The first state that can be restored; null for the stream's first commit. */
  readonly from: ExactPosition | null;
  /** Commit time, milliseconds since 1970. */
  readonly fromTime: number;
  readonly to: ExactPosition;
  readonly toTime: number;
  /** Of the tree at `to`. */
  readonly digest: string;
}

export interface ListedImage {
  readonly position: ExactPosition;
  readonly time: number;
  readonly bytes: number;
  readonly plainBytes: number;
}

/** A state with a name. */
export interface ListedMark {
  /** Null where it is encrypted and no identity was given. */
  readonly name: string | null;
  readonly revision: number;
  /** Whether that state can be restored. */
  readonly restorable: boolean;
}

/**
 * Lists what an archive can give back. What the manifest names is looked for by listing, so that nothing is listed that is
 * missing or cut; the bytes are not read.
 * @throws EvertreeError what the target throws
 */
export async function backupListing(archive: Archive): Promise<BackupListing> {
  const problems = [...archive.problems];
  const absent = await absentObjects(archive, problems);
  const lines = archive.lines.map(line => (absent.size === 0 ? line : withoutObjects(line, absent)));
  const standing = await archive.standing(lines);
  const listed: ListedLine[] = [];
  for (const line of lines.toSorted((a, b) => Number(b === standing) - Number(a === standing))) {
    listed.push(await listedLine(archive, line, line === standing, problems));
  }
  if (lines.length === 0) problems.push({ line: undefined, object: undefined, text: 'nothing was archived yet' });
  const { head, manifest } = archive;
  const condemned = manifest?.condemned ?? [];
  const { drilled = null, verified = null } = head ?? {};
  const isProven = drilled?.passed !== false && verified?.passed !== false;
  return {
    target: archive.target.name,
    archive: archive.id,
    stream: archive.stream ?? null,
    encrypted: archive.isEncrypted,
    conditions: head?.conditions ?? null,
    lines: listed,
    bytes: sum(listed, line => line.bytes),
    plainBytes: sum(listed, line => line.plainBytes),
    condemned: { objects: sum(condemned, countOf), bytes: sum(condemned, object => object.bytes) },
    drilled,
    verified,
    problems,
    healthy: problems.length === 0 && isProven,
  };
}

/** The keys of objects that the manifest names and that are not there as it says; each is told as a problem. */
async function absentObjects({ target, lines }: Archive, problems: ArchiveProblem[]): Promise<Set<string>> {
  const found = new Map<string, number>();
  for (const prefix of [STRETCH_PREFIX, IMAGE_PREFIX]) for await (const { key, size } of target.list(prefix)) found.set(key, size);
  const absent = new Set<string>();
  for (const { id, stretches, images } of lines) {
    for (const { path, bytes } of [...stretches.filter(({ kind }) => kind === 'stretch'), ...images.flatMap(({ parts }) => parts)]) {
      const size = found.get(path) ?? (await target.stat(path))?.size;
      if (size === bytes) continue;
      absent.add(path);
      const lack = size === undefined ? 'is missing' : `has ${size} bytes, where the manifest says ${bytes}`;
      problems.push({ line: id, object: path, text: `${path} ${lack}` });
    }
  }
  return absent;
}

async function listedLine(archive: Archive, line: LineHistory, stands: boolean, problems: ArchiveProblem[]): Promise<ListedLine> {
  const { id, images, stretches, states } = line;
  const gaps = line.gaps.filter(({ reason }) => reason !== 'pruned');
  const end = states.at(-1)?.to.revision ?? 0;
  const open = gaps.find(({ to }) => to.revision > end);
  const text = open && `the newest history of the line ${id} is missing: nothing after ${formatPosition(open.from)} can be restored`;
  if (text !== undefined) problems.push({ line: id, object: undefined, text });
  else if (states.length === 0 && stretches.length + images.length > 0)
    problems.push({ line: id, object: undefined, text: `nothing of the line ${id} can be restored` });
  const parts = images.flatMap(image => image.parts);
  return {
    id,
    site: line.site ?? null,
    stands,
    states: states.map(listedStates),
    images: images.map(listedImage),
    gaps: line.gaps,
    marks: await marksOf(archive, line, problems),
    objects: stretches.length + parts.length,
    tailObjects: stretches.filter(({ kind }) => kind === 'tail').length,
    commits: sum(stretches, ({ commits }) => commits),
    bytes: sum(stretches, ({ bytes }) => bytes) + sum(parts, ({ bytes }) => bytes),
    plainBytes: sum(stretches, ({ plainBytes }) => plainBytes) + sum(images, ({ plainBytes }) => plainBytes),
  };
}

function listedStates({ from, fromTime, to, toTime, digest, stretches }: Restorable): ListedStates {
  const isWhole = from.revision === 0;
  return { from: isWhole ? null : from, fromTime: isWhole ? (stretches[0]?.firstTime ?? 0) : fromTime, to, toTime, digest };
}

function listedImage({ position, time, parts, plainBytes }: ImageEntry): ListedImage {
  return { position, time, bytes: sum(parts, ({ bytes }) => bytes), plainBytes };
}

async function marksOf(archive: Archive, line: LineHistory, problems: ArchiveProblem[]): Promise<ListedMark[]> {
  const isRestorable = (revision: number): boolean =>
    line.states.some(({ from, to }) => Math.max(1, from.revision) <= revision && revision <= to.revision);
  if (line.states.length === 0) return [];
  if (line.site === undefined) {
    const revisions = [...line.images.flatMap(({ marks }) => marks), ...line.stretches.flatMap(({ marked }) => marked ?? [])];
    return [...new Set(revisions)]
      .toSorted((a, b) => a - b)
      .map(revision => ({ name: null, revision, restorable: isRestorable(revision) }));
  }
  try {
    const marks = await archive.marks(line);
    return marks
      .map(({ name, position: { revision } }) => ({ name, revision, restorable: isRestorable(revision) }))
      .toSorted((a, b) => a.revision - b.revision);
  } catch (error) {
    const { details } = error as { readonly details?: { readonly object?: string } };
    if (details?.object === undefined) throw error;
    problems.push({
      line: line.id,
      object: details.object,
      text: `the marks of the line ${line.id} can't be read: ${(error as Error).message}`,
    });
    return [];
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
