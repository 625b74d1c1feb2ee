import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EvertreeError, type Journal, type Reporter, Store, isEvertreeError } from '@evertree/core';
import { MemoryJournal, nodeDisk, openJournal } from '@evertree/journal';
import type { SiteConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import { nodeClock, nodeRandom } from './machine.ts';
import type { CheckedOptions } from './options.ts';
import { joinSettings } from './settings.ts';
import { Site, type RoleConfigurations } from './site.ts';
import { SnapshotSchedule } from './snapshot-schedule.ts';

/** Opens a site's store, and nothing else yet: `site.start()` begins its part. Throws as `openStore`. */
export async function openUnstarted(options: CheckedOptions, configurations: RoleConfigurations = {}): Promise<Site> {
  const { directory, report } = options;
  const given = [configurations.primary, configurations.standby].filter(configuration => configuration !== undefined);
  const settings = joinSettings(options, given);
  reportNotes(given, report);
  const { limits, journal: journalSettings } = settings;
  const { encoding, snapshotBytes } = journalSettings;
  await using stack = new AsyncDisposableStack();
  const journal = stack.use(await openData({ ...options, journal: journalSettings }));
  const machine = { clock: nodeClock, random: nodeRandom, report };
  // It closes its journal; closing that twice does no harm.
  const store = stack.use(await SiteStore.open({ ...machine, journal, limits, ...optional('encoding', encoding) }));
  if (directory !== undefined) await SnapshotSchedule.start(store, snapshotBytes);
  stack.move();
  return (store.openedBy = new Site(store, directory, settings, configurations));
}

function reportNotes(configurations: readonly SiteConfiguration[], report: Reporter): void {
  for (const message of configurations.flatMap(({ warnings }) => warnings)) {
    report({ level: 'warn', event: 'configuration-warning', message });
  }
  for (const message of configurations.flatMap(({ notes }) => notes)) {
    report({ level: 'info', event: 'configuration-note', message });
  }
}

/** A store that knows its site, so that `startProducer(store, …)` and `startConsumer(store, …)` find it. */
class SiteStore extends Store {
  /** Set as soon as the store is open, and never changed. */
  openedBy: Site | undefined;

  static override async open(options: Parameters<typeof Store.open>[0]): Promise<SiteStore> {
    return (await super.open(options)) as SiteStore;
  }
}

/** The site of a store that `openStore` or `openSite` opened. */
export function siteOf(store: Store): Site {
  const site = store instanceof SiteStore ? store.openedBy : undefined;
  if (site === undefined) throw new TypeError('the store was not opened by openStore or openSite');
  return site;
}

/** Where a directory names its site; FORMAT.md, «Directory». */
const SITE_FILE = 'site.json';

/**
 * Opens a site's history.
 * @throws EvertreeError as openJournal; WRONG_ROLE says which directory it was, and what can be done about it
 */
async function openData({ directory, site, defaultSite, role, journal, report }: CheckedOptions): Promise<Journal> {
  const machine = { clock: nodeClock, random: nodeRandom, report };
  const isNew = directory === undefined || !existsSync(join(directory, SITE_FILE));
  const identity = { ...optional('site', site ?? (isNew ? defaultSite : undefined)), ...optional('role', role) };
  if (directory === undefined) return new MemoryJournal({ ...machine, identity });
  const { encoding: _encoding, snapshotBytes: _snapshotBytes, ...options } = journal;
  try {
    return await openJournal({ ...machine, disk: nodeDisk(directory), identity, options });
  } catch (error) {
    if (!isEvertreeError(error, 'WRONG_ROLE')) throw error;
    const { expected, found } = error.details;
    const copies = found === 'secondary' ? ', into which it copies its primary' : '';
    const message =
      `the directory ${directory} belongs to a ${String(expected)}, and was to be started as a ${String(found)}: two sites would then write one history. ` +
      `Start it with "evertree ${String(expected)} --data ${directory}", or the ${String(found)} with an empty directory${copies} (--data DIR)`;
    throw new EvertreeError('WRONG_ROLE', message, error.details, error);
  }
}
