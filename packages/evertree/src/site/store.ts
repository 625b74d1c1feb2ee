import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EvertreeError, type Journal, type PathLike, type Position, type Reporter, type Role, type Snapshot, Store } from '@evertree/core';
import {
  type Blame,
  type BuildingEvents,
  type Change,
  type ChangesOptions,
  type FoundMoment,
  HistoryQueries,
  IndexThread,
  JournalIndex,
  type PathDifference,
  type Reversal,
  type SearchOptions,
  type WhenLike,
} from '@evertree/history';
import { MemoryJournal, nodeDisk, openJournal } from '@evertree/journal';
import { checkArchivePlace, openArchive } from '../archive/opening.ts';
import type { SiteArchive } from '../archive/site-archive.ts';
import type { RoleConfigurations, SiteConfiguration } from '../configuration/configuration.ts';
import { checkOwnPort } from '../configuration/joining.ts';
import { RunningConfigurations } from '../configuration/running.ts';
import { optional } from '../optional.ts';
import type { PromoteOptions, PromotionResult } from '../roles/promoting.ts';
import { inDirectory } from './directory-errors.ts';
import { countBuffersWithHeap } from './engine.ts';
import { nodeClock, nodeRandom } from './machine.ts';
import type { CheckedOptions } from './options.ts';
import { joinSettings } from './settings.ts';
import { Site } from './site.ts';
import { SnapshotSchedule } from './snapshot-schedule.ts';
import { awaitThreadEnd } from './thread-end.ts';
import { checkWires } from './wire.ts';

/** The configurations of a site, and how they are read again. */
export interface ReadConfigurations {
  readonly configurations: RoleConfigurations;
  readonly read: () => RoleConfigurations;
}

const NO_CONFIGURATIONS: ReadConfigurations = { configurations: {}, read: () => ({}) };

/** Opens a site's store, and nothing else yet: `site.start()` begins its part. Throws as `openStore`. */
export async function openUnstarted(options: CheckedOptions, { configurations, read } = NO_CONFIGURATIONS): Promise<Site> {
  countBuffersWithHeap();
  const { directory, report } = options;
  const { primary, standby } = configurations;
  if (primary !== undefined && standby !== undefined) checkOwnPort(primary, standby);
  const given = [primary, standby].filter(configuration => configuration !== undefined);
  const settings = joinSettings(options, given);
  checkArchivePlace(directory, settings.archive);
  await checkWires(primary, standby);
  reportNotes(given, report);
  const { limits, journal: journalSettings } = settings;
  const { encoding } = journalSettings;
  await using stack = new AsyncDisposableStack();
  const journal = stack.use(await openData({ ...options, journal: journalSettings }));
  const machine = { clock: nodeClock, random: nodeRandom, report };
  // It closes its journal; closing that twice does no harm.
  const recover = () => SiteStore.open({ ...machine, journal, limits, ...optional('encoding', encoding) });
  const store = stack.use(await (directory === undefined ? recover() : inDirectory(directory, recover)));
  const promotes = await settleRole(store, options, configurations);
  const archive = await openArchive(store, directory, settings.archive);
  store.archive = archive;
  if (directory !== undefined) {
    SnapshotSchedule.start(store, journalSettings);
    const build = (events: BuildingEvents) => new IndexThread(directory, events);
    store.changeIndex = new JournalIndex({ disk: nodeDisk(directory), log: journal.log, clock: nodeClock, report, build });
  }
  stack.move();
  return (store.openedBy = new Site(store, {
    directory,
    settings,
    configurations: new RunningConfigurations(configurations, read),
    promotes,
    archive,
  }));
}

/** Where a directory names its site; FORMAT.md, «Directory». */
const SITE_FILE = 'site.json';

function reportNotes(configurations: readonly SiteConfiguration[], report: Reporter): void {
  for (const message of configurations.flatMap(({ warnings }) => warnings)) {
    report({ level: 'warn', event: 'configuration-warning', message });
  }
  for (const message of configurations.flatMap(({ notes }) => notes)) {
    report({ level: 'info', event: 'configuration-note', message });
  }
}

/** A store that knows its site, so that `startProducer(store, …)` and `startConsumer(store, …)` find it. */
export class SiteStore extends Store {
  /** Set as soon as the store is open, and never changed. */
  openedBy: Site | undefined;
  /** What finds changes without reading the whole journal. Set, if there is one, before the store is handed out. */
  changeIndex: JournalIndex | undefined;
  /** Keeps the history elsewhere. Set, if there is one, before the store is handed out. */
  archive: SiteArchive | undefined;
  #questions: HistoryQueries | undefined;

  static override async open(options: Parameters<typeof Store.open>[0]): Promise<SiteStore> {
    return (await super.open(options)) as SiteStore;
  }

  /** Idempotent, as that of the store. */
  override async close(): Promise<void> {
    try {
      this.openedBy?.backups.close();
      await this.archive?.close();
      await this.#closeIndex();
    } finally {
      await super.close();
    }
  }

  /** The index may end anywhere: the next start makes what is missing. */
  async #closeIndex(): Promise<void> {
    if (this.changeIndex === undefined) return;
    const thread = { event: 'index-thread-stuck', does: 'builds the index', place: "the site's directory" };
    await awaitThreadEnd(this.changeIndex.close(), this.report, thread);
  }

  /**
   * Makes a secondary's store a primary's: it begins an epoch of its own, and commits that only its old primary has are
   * left behind. Throws as `Site.promote`.
   */
  promote(options?: PromoteOptions & { readonly dryRun?: false }): Promise<PromotionResult> {
    return siteOf(this).promote(options);
  }

  /** All that can be asked of the history. The methods below are what programs ask most. */
  get questions(): HistoryQueries {
    return (this.#questions ??= new HistoryQueries({ store: this, index: this.changeIndex }));
  }

  /**
   * The whole tree as it was, pinned; release it.
   * @param when a position, a time or a mark: `'4-1201'`, `'2026-11-27T10:00:00Z'`, `'-10m'`, `'before-upgrade'`, or an
   *   object
   * @throws EvertreeError VALUE_INVALID; NOT_FOUND (no such mark); COMPACTED (before what this site keeps);
   *   HISTORY_MISMATCH, POSITION_MISMATCH (not in this history)
   */
  at(when: WhenLike): Promise<Snapshot> {
    return this.questions.at(when);
  }

  /**
   * The commits that concern a path, newest first: those with an operation at it, above it or below it. The iteration
   * throws as `at`, and COMPACTED or HISTORY_MISMATCH if the history is dropped or cut back under it.
   */
  history(path: PathLike, options?: ChangesOptions): AsyncIterable<Change> {
    return this.questions.changes(path, options);
  }

  /** One commit, with what was before and after it. Throws as `at`. */
  show(position: Position): Promise<Change> {
    return this.questions.show(position);
  }

  /** What turns one state into another, at a path. The iteration throws as `at`. */
  diff(from: WhenLike, to: WhenLike, path?: PathLike): AsyncIterable<PathDifference> {
    return this.questions.diff(from, to, path);
  }

  /** For each leaf at a path or below it who set it last. The iteration throws as `at`, and NOT_FOUND. */
  blame(path: PathLike, at?: WhenLike): AsyncIterable<Blame> {
    return this.questions.blame(path, at);
  }

  /** Commits that deleted something, gave it a value or are of an author, newest first, each with the moment before. */
  find(options: SearchOptions): AsyncIterable<FoundMoment> {
    return this.questions.find(options);
  }

  /** What would make the subtree at a path what it was: its `commit` does it, as one commit. Throws as `at`. */
  revert(path: PathLike, { to }: { readonly to: WhenLike }): Promise<Reversal> {
    return this.questions.revertPath(path, to);
  }

  /** What would undo one commit: its `commit` does it, as one commit. Throws as `at`. */
  revertCommit(position: Position): Promise<Reversal> {
    return this.questions.revertCommit(position);
  }
}

/** The site of a store that `openStore` or `openSite` opened. */
export function siteOf(store: Store): Site {
  const site = store instanceof SiteStore ? store.openedBy : undefined;
  if (site === undefined) throw new TypeError('the store was not opened by openStore or openSite');
  return site;
}

/**
 * Compares the role that is wanted with the one that the history gives (FORMAT.md, «Directory»). A site that has the
 * configurations of both roles plays the one that its history gives.
 * @returns whether the site is to be promoted when it starts
 * @throws EvertreeError WRONG_ROLE, with what can be done
 */
async function settleRole(
  store: Store,
  { directory, role: wanted, changesRole }: CheckedOptions,
  { primary, standby }: RoleConfigurations,
): Promise<boolean> {
  const { role, site } = store;
  if (wanted === undefined || wanted === role) return false;
  if (changesRole && wanted === 'primary') return true;
  if (primary !== undefined && standby !== undefined && !changesRole) {
    const message = `${site} starts as a ${role}: its journal says so, whatever it was when it was started last`;
    store.report({ level: 'info', event: 'role-kept', message });
    return false;
  }
  if (!changesRole) throw wrongRole(String(directory), role, wanted);
  await store.follow();
  return false;
}

function wrongRole(directory: string, role: Role, wanted: Role): EvertreeError {
  const other =
    wanted === 'primary'
      ? `To make it the primary, add --promote: commits that only its old primary has are then left behind, and that one has to follow`
      : `Or start the secondary with an empty directory, into which it copies its primary (--data DIR)`;
  const message =
    `the directory ${directory} belongs to a ${role}, and was to be started as a ${wanted}: two sites would then write one history. ` +
    `Start it with "evertree ${role} --data ${directory}". ${other}`;
  return new EvertreeError('WRONG_ROLE', message, { expected: role, found: wanted });
}

/** A site keeps its history as long as there is room, unless its settings say otherwise. */
const ALL_HISTORY = { retentionMaxMs: Number.MAX_SAFE_INTEGER } as const;

/** Opens a site's history. Throws as openJournal. */
async function openData({ directory, site, defaultSite, role, journal, report }: CheckedOptions): Promise<Journal> {
  const machine = { clock: nodeClock, random: nodeRandom, report };
  const isNew = directory === undefined || !existsSync(join(directory, SITE_FILE));
  // The history says which role a directory has that is not new.
  const identity = {
    ...optional('site', site ?? (isNew ? defaultSite : undefined)),
    ...optional('role', isNew ? role : undefined),
  };
  if (directory === undefined) return new MemoryJournal({ ...machine, identity });
  const { encoding: _encoding, snapshotBytes: _snapshotBytes, ...options } = journal;
  const settings = { ...ALL_HISTORY, ...options };
  return inDirectory(directory, () => openJournal({ ...machine, disk: nodeDisk(directory), identity, options: settings }));
}
