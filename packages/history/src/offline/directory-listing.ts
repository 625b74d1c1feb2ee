import type { Disk, ExactPosition } from '@evertree/core';
import { isEvertreeError, ORIGIN, samePosition } from '@evertree/core';
import {
  DETACHED_DIRECTORY,
  DIVERGENCE_DIRECTORY,
  fileName,
  namedRevision,
  type FoundSite,
  inspectSnapshot,
  isMissing,
  isSegmentName,
  isSnapshotName,
  listDirectory,
  readRewind,
  readSite,
  type Rewind,
  SEGMENT_DIRECTORY,
  SNAPSHOT_DIRECTORY,
  type SnapshotFile,
  type StoredRecord,
  TEMPORARY_SUFFIX,
} from '@evertree/journal/files';
import { ChangedMeanwhile, type DamageList } from './damage.ts';
import { listSegment, type ListedSegment, SegmentReader } from './segment-reader.ts';

/** Where the newest segment ended when the directory was listed. */
export interface NewestEnd {
  readonly path: string;
  /** The offset after its last sound record. */
  readonly end: number;
  /** The position there. */
  readonly last: ExactPosition;
  /** What lies behind it: nothing or zeros; the rest of a write; or records that were stable once. */
  readonly rest: 'nothing' | 'torn' | 'damaged';
}

/** What a directory holds, as it is read without a lock: files may come and go meanwhile. */
export interface ListedDirectory {
  readonly site: FoundSite | undefined;
  /** The directory is another one than that in which its site.json was written. */
  readonly isCopy: boolean;
  readonly rewind: Rewind | undefined;
  /** The generation whose files count. */
  readonly generation: number;
  /** Of the generation, in the order of their names. */
  readonly segments: readonly ListedSegment[];
  readonly newest: NewestEnd | undefined;
  /** Of the generation, oldest first; their head and end are sound. */
  readonly snapshots: readonly SnapshotFile[];
  /** The names in `divergences/`. */
  readonly divergences: readonly string[];
  readonly bytes: number;
}

/** How often the newest segment is read again while a site writes to it. */
const READ_AGAIN = 3;

/** Lists a directory and reads what is short: headers and ends, and the newest segment. Changes nothing. */
export async function listSite(disk: Disk, list: DamageList): Promise<ListedDirectory> {
  const site = await attempt(list, 'site.json', () => readSite(disk));
  const rewind = await attempt(list, 'rewind.json', () => readRewind(disk));
  const isCopy = site !== undefined && site.record.directory !== (await disk.mark());
  const all = await listSegments(disk, list);
  const sound = await listSnapshots(disk, list);
  const generation = generationOf(all, sound);
  const isHere = (path: string, its: number, first: number) => {
    if (its !== generation) list.remark(path, `it is of generation ${its}, and the history is of generation ${generation}: a leftover`);
    else if (rewind === undefined || rewind.generation !== its || first <= rewind.position.revision) return true;
    return false;
  };
  const segments = all.filter(({ path, header }) => isHere(path, header.generation, namedRevision(path)));
  const snapshots = sound.filter(file => isHere(file.path, file.generation, file.header.position.revision));
  const last = segments.at(-1);
  const newest = last === undefined ? undefined : cutBack(await endOfNewest(disk, last, list), rewind);
  const divergences = await listDirectory(disk, DIVERGENCE_DIRECTORY);
  await remarkOthers(disk, list, divergences);
  const bytes = [...segments, ...snapshots].reduce((sum, file) => sum + file.bytes, 0);
  return { site, isCopy, rewind, generation, segments, newest, snapshots, divergences, bytes };
}

async function listSegments(disk: Disk, list: DamageList): Promise<ListedSegment[]> {
  const segments: ListedSegment[] = [];
  for (const path of await paths(disk, SEGMENT_DIRECTORY, isSegmentName, list)) {
    const found = await attempt(list, path, async () => {
      const segment = await listSegment(disk, path);
      if (segment === undefined) list.damage(path, 0, 'its header is damaged');
      return segment;
    });
    if (found === undefined) continue;
    if (found.header.base.revision + 1 !== namedRevision(path)) list.damage(path, 0, 'its name does not fit its header');
    segments.push(found);
  }
  return segments.toSorted((a, b) => a.header.base.revision - b.header.base.revision);
}

export async function listSnapshots(disk: Disk, list: DamageList): Promise<SnapshotFile[]> {
  const snapshots: SnapshotFile[] = [];
  for (const path of await paths(disk, SNAPSHOT_DIRECTORY, isSnapshotName, list)) {
    const found = await attempt(list, path, () => inspectSnapshot(disk, path));
    if (found === undefined) continue;
    if ('header' in found) snapshots.push(found);
    else list.damage(path, found.offset, found.problem);
  }
  return snapshots.toSorted((a, b) => a.header.position.revision - b.header.position.revision);
}

async function paths(disk: Disk, directory: string, isName: (name: string) => boolean, list: DamageList): Promise<string[]> {
  const names = await listDirectory(disk, directory);
  for (const name of names) {
    const path = `${directory}/${name}`;
    if (name.endsWith(TEMPORARY_SUFFIX)) list.remark(path, 'it is unfinished, and counts for nothing');
    else if (!isName(name)) list.remark(path, 'it has no name of a file of a site, and counts for nothing');
  }
  return names.filter(isName).map(name => `${directory}/${name}`);
}

/** What reading a file gives; undefined if it is damaged, which is noted, or has gone since it was listed. */
async function attempt<T>(list: DamageList, file: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isMissing(error)) list.take(error, file, 0);
    return undefined;
  }
}

/** The highest generation that has a beginning; the highest of all if none has. */
function generationOf(segments: readonly ListedSegment[], snapshots: readonly SnapshotFile[]): number {
  const begun = [
    ...snapshots.map(({ generation }) => generation),
    ...segments.filter(({ header }) => samePosition(header.base, ORIGIN)).map(({ header }) => header.generation),
  ];
  return Math.max(...(begun.length > 0 ? begun : segments.map(({ header }) => header.generation)), 0);
}

async function endOfNewest(disk: Disk, newest: ListedSegment, list: DamageList): Promise<NewestEnd> {
  try {
    return await findEnd(disk, newest, list);
  } catch (error) {
    if (isMissing(error)) throw new ChangedMeanwhile(`${newest.path} has gone`);
    throw error;
  }
}

/** Finds where the newest segment ends now. A site that writes to it meanwhile makes nothing look damaged. */
async function findEnd(disk: Disk, segment: ListedSegment, list: DamageList): Promise<NewestEnd> {
  const { path } = segment;
  await using reader = await SegmentReader.open(disk, segment, { fleeting: true });
  let last = segment.header.base;
  const readOn = async (next: StoredRecord | undefined) => {
    for (let found = next; found !== undefined; found = await reader.next()) ({ last } = found.frame.header);
  };
  const ended = (rest: NewestEnd['rest']) => ({ path, end: reader.offset, last, rest });
  try {
    await readOn(await reader.next());
    for (let round = 0; ; round++) {
      if (reader.seal?.offset === reader.offset) return ended('nothing');
      // A seal is written when all records before it are stable.
      if (reader.seal !== undefined) return ended('damaged');
      const { isZero, lastGroupStart } = await reader.rest();
      if (isZero) return ended('nothing');
      if (lastGroupStart === undefined || lastGroupStart <= reader.offset) return ended('torn');
      const before = reader.offset;
      if (round < READ_AGAIN) await readOn(await reader.again());
      if (reader.offset === before) return ended('damaged');
    }
  } catch (error) {
    // A frame of another version: it is met again, and noted, when the segment is read whole.
    if (!isEvertreeError(error)) throw error;
    list.remark(path, error.message);
    return { ...ended('nothing'), end: segment.bytes };
  }
}

/** A rewind that was decided and not carried out yet. */
function cutBack(newest: NewestEnd, rewind: Rewind | undefined): NewestEnd {
  const end = rewind?.newest;
  return end === undefined || end.path !== newest.path || end.end > newest.end
    ? newest
    : { ...newest, end: end.end, last: rewind!.position, rest: 'nothing' };
}

async function remarkOthers(disk: Disk, list: DamageList, divergences: readonly string[]): Promise<void> {
  for (const name of divergences.filter(each => each.endsWith(TEMPORARY_SUFFIX))) {
    list.remark(`${DIVERGENCE_DIRECTORY}/${name}`, 'it is unfinished, and counts for nothing');
  }
  const detached = await listDirectory(disk, DETACHED_DIRECTORY);
  if (detached.length > 0) {
    list.remark(
      DETACHED_DIRECTORY,
      `files that recovery could not use are kept there: ${detached.length} (${fileName(detached[0]!)}${detached.length > 1 ? ' …' : ''})`,
    );
  }
}
