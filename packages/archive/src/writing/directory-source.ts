import type { Disk, ExactPosition, Frame, Reporter, StoredSnapshot } from '@evertree/core';
import { EvertreeError, frameHash, isEvertreeError, NO_CHAIN, ORIGIN, samePosition } from '@evertree/core';
import { DamageList, framesAfter, type IndexedSegment, listSegments, listSite, type RecordPlace } from '@evertree/history/files';
import {
  inspectSnapshot,
  isMissing,
  isSnapshotName,
  listDirectory,
  namedRevision,
  readSite,
  SITE_FILE,
  SNAPSHOT_DIRECTORY,
  type SnapshotFile,
  storedSnapshot,
} from '@evertree/journal/files';
import type { ArchiveSource, SourceExtent } from './archive-source.ts';

/** Places in the files are remembered for so many readers. */
const PLACES_LIMIT = 8;

/** What a running site tells of its history. */
export interface ToldHistory {
  readonly base: ExactPosition;
  readonly stable: ExactPosition;
}

export interface DirectorySourceOptions {
  /** The site's directory. */
  readonly disk: Pick<Disk, 'open' | 'list'>;
  readonly site: string;
  /** What the site tells now. */
  readonly told: () => ToldHistory;
  /** Called before what is told is used for a while. */
  readonly look?: () => Promise<void>;
  readonly makeSnapshot: () => Promise<boolean>;
}

/** The history in a site's directory, as far as it is told to go. */
export class DirectorySource implements ArchiveSource {
  readonly site: string;
  readonly #options: DirectorySourceOptions;
  #segments: readonly IndexedSegment[] = [];
  /** Where the record behind a position begins, by the position: the one that was used last comes last. */
  readonly #places = new Map<string, RecordPlace>();

  constructor(options: DirectorySourceOptions) {
    this.site = options.site;
    this.#options = options;
  }

  async extent(): Promise<SourceExtent> {
    await this.#options.look?.();
    const { base, stable } = this.#options.told();
    if (samePosition(stable, ORIGIN)) return { stream: undefined, base, stable };
    return { stream: await this.#stream(), base, stable };
  }

  async *frames(after: ExactPosition): AsyncGenerator<Frame, void, undefined> {
    const { stable } = this.#options.told();
    let next: { readonly at: ExactPosition; readonly place: RecordPlace } | undefined;
    try {
      const options = { hint: this.#places.get(keyOf(after)), fleeting: true };
      for await (const { frame, place } of framesAfter(this.#options.disk, await this.#list(), after, options)) {
        if (frame.header.last.revision > stable.revision) return;
        next = { at: frame.header.last, place: { name: place.segment.name, offset: place.offset + place.length } };
        yield frame;
      }
    } finally {
      if (next !== undefined) this.#remember(keyOf(next.at), next.place);
    }
  }

  async chainAt(position: ExactPosition): Promise<string | undefined> {
    if (samePosition(position, ORIGIN)) return NO_CHAIN;
    const { base, stable } = this.#options.told();
    if (position.revision < base.revision || position.revision > stable.revision) return undefined;
    for await (const frame of this.frames(position)) return frame.header.previous;
    const last = await this.#frameOf(position);
    if (last !== undefined) return samePosition(last.header.last, position) ? frameHash(last) : undefined;
    const snapshot = await this.newestSnapshot(position);
    return snapshot !== undefined && samePosition(snapshot.header.position, position) ? snapshot.header.chain : undefined;
  }

  async oldestSnapshot(): Promise<StoredSnapshot | undefined> {
    return this.#first(await this.#snapshots(Infinity));
  }

  async newestSnapshot({ revision }: ExactPosition): Promise<StoredSnapshot | undefined> {
    return this.#first((await this.#snapshots(revision)).toReversed());
  }

  makeSnapshot(): Promise<boolean> {
    return this.#options.makeSnapshot();
  }

  async #stream(): Promise<string | undefined> {
    const segments = this.#segments.length > 0 ? this.#segments : await this.#list();
    return segments.at(-1)?.stream ?? (await this.oldestSnapshot())?.header.stream;
  }

  async #list(): Promise<readonly IndexedSegment[]> {
    this.#segments = await listSegments(this.#options.disk, this.#segments);
    return this.#segments;
  }

  /** The files of snapshots that by their names lie within the history, up to a revision, oldest first. */
  async #snapshots(upTo: number): Promise<readonly string[]> {
    const { base, stable } = this.#options.told();
    const last = Math.min(upTo, stable.revision);
    const names = (await listDirectory(this.#options.disk as Disk, SNAPSHOT_DIRECTORY)).filter(isSnapshotName);
    const isWithin = (name: string) => namedRevision(name) >= base.revision && namedRevision(name) <= last;
    return names
      .filter(isWithin)
      .toSorted((a, b) => namedRevision(a) - namedRevision(b))
      .map(name => `${SNAPSHOT_DIRECTORY}/${name}`);
  }

  /** The first of these files that is sound, of the present history, and still there. */
  async #first(paths: readonly string[]): Promise<StoredSnapshot | undefined> {
    const disk = this.#options.disk as Disk;
    for (const path of paths) {
      try {
        const file = await inspectSnapshot(disk, path);
        if ('header' in file && (await this.#isOurs(file))) return await storedSnapshot(disk, file);
      } catch (error) {
        if (!isMissing(error) && !(isEvertreeError(error) && error.code === 'COMPACTED')) throw error;
      }
    }
    return undefined;
  }

  /**
   * Files of an earlier generation may be left. A new one begins with a snapshot, and has a segment as soon as its history
   * goes on: until then that snapshot's position is all of it.
   */
  async #isOurs({ generation, header }: SnapshotFile): Promise<boolean> {
    const { base, stable } = this.#options.told();
    const { position } = header;
    for (const end of [base, stable]) if (position.revision === end.revision && !samePosition(position, end)) return false;
    return generation >= Math.max(0, ...(await this.#list()).map(segment => segment.generation));
  }

  /** The frame that holds a position, if its segment begins before it. */
  async #frameOf(position: ExactPosition): Promise<Frame | undefined> {
    const segments = await this.#list();
    const segment = segments.findLast(({ base }) => base.revision < position.revision);
    if (segment === undefined) return undefined;
    for await (const { frame } of framesAfter(this.#options.disk, [segment], segment.base)) {
      if (frame.header.last.revision >= position.revision) return frame;
    }
    return undefined;
  }

  #remember(key: string, place: RecordPlace): void {
    this.#places.delete(key);
    this.#places.set(key, place);
    const [oldest] = this.#places.keys();
    if (this.#places.size > PLACES_LIMIT) this.#places.delete(oldest!);
  }
}

/**
 * The history of a directory without its site: what is there when this is called. It works beside a running site, too,
 * whose later commits are left out, and so is what it drops before that was read.
 * @param report is told if the directory is damaged: what is sound before that can be archived
 * @throws EvertreeError NOT_FOUND if no site has that directory; what reading site.json throws
 */
export async function stoppedSource(disk: Disk, report?: Reporter): Promise<DirectorySource> {
  const site = await readSite(disk);
  if (site === undefined) throw new EvertreeError('NOT_FOUND', `no site has this directory: it has no ${SITE_FILE}`);
  const damages = new DamageList(undefined);
  const { segments, newest, snapshots } = await listSite(disk, damages);
  const [damage] = damages.damages;
  const lastSnapshot = snapshots.at(-1)?.header.position;
  const base = segments[0]?.header.base ?? lastSnapshot ?? ORIGIN;
  const end = newest?.last ?? base;
  const stable = lastSnapshot !== undefined && lastSnapshot.revision > end.revision ? lastSnapshot : end;
  let told: ToldHistory = { base, stable };
  let present = await listSegments(disk, []);
  // The site may run, and remove its oldest segments: nothing is held for this reader.
  const look = async () => {
    const [before] = present;
    present = await listSegments(disk, present);
    const first = present[0];
    if (first === undefined || first.name === before?.name || first.base.revision <= told.base.revision) return;
    told = { base: first.base, stable: first.base.revision > stable.revision ? first.base : stable };
  };
  const problem =
    damage ??
    (newest?.rest === 'damaged' ? { file: newest.path, offset: newest.end, problem: 'sound records follow a damaged one' } : undefined);
  if (problem !== undefined) {
    const message = `the directory is damaged (${problem.file} at ${problem.offset}: ${problem.problem}); only what is sound before that can be archived; "evertree verify" tells more`;
    report?.({ level: 'warn', event: 'archive-source-damaged', message, details: { ...problem } });
  }
  return new DirectorySource({ disk, site: site.record.site, told: () => told, look, makeSnapshot: async () => false });
}

function keyOf({ epoch, epochId, revision }: ExactPosition): string {
  return `${epoch}-${epochId}-${revision}`;
}
