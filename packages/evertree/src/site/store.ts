import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EvertreeError, type Reporter, type Role, Store, isEvertreeError } from '@evertree/core';
import { MemoryJournal, nodeDisk, openJournal } from '@evertree/journal';
import { optional } from '../optional.ts';
import { nodeClock, nodeRandom } from './host.ts';
import { type JournalSettings, type StoreSettings, remember } from './settings.ts';
import { SnapshotSchedule } from './snapshot-schedule.ts';

/** Where a directory names its site; FORMAT.md, «Directory». */
const SITE_FILE = 'site.json';

export interface OpenStoreOptions {
  /** A directory, made if there is none; or `memory`: nothing outlives the process, and nothing counts as durable. */
  readonly data: string;
  /** The site's name, told to its peers. A directory has one of its own from its first start on; it has to be the same. */
  readonly site?: string;
  /** The name for a new directory, where `site` is not given; drawn if that isn't either. */
  readonly defaultSite?: string;
  /** A directory has one from its first start on; it has to be the same. A new one is a primary's. */
  readonly role?: Role;
  /** How a primary writes its frames; `json` lets other tools read them, at some cost. */
  readonly encoding?: 'binary' | 'json';
  /** As in a configuration's `journal` section. */
  readonly journal?: JournalSettings;
  /** As in a configuration's `limits` section; what concerns the store. */
  readonly limits?: StoreSettings;
  /** Told what happens, such as a damaged tail that was cut off; nothing is told without it. */
  readonly log?: Reporter;
}

/**
 * Opens a data tree with its history: recovers it from its directory, and writes snapshots of it by itself.
 * @throws EvertreeError DIRECTORY_IN_USE, WRONG_ROLE, DAMAGED, FORMAT_UNSUPPORTED, STORAGE_FAILED, CONFIGURATION_INVALID
 */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const report = options.log ?? (() => undefined);
  const machine = { clock: nodeClock, random: nodeRandom, report };
  const { encoding: journalEncoding, snapshotBytes, ...journalOptions } = options.journal ?? {};
  const encoding = options.encoding ?? journalEncoding;
  const inMemory = options.data === 'memory';
  const site = options.site ?? (inMemory || !existsSync(join(options.data, SITE_FILE)) ? options.defaultSite : undefined);
  const identity = { ...optional('site', site), ...optional('role', options.role) };
  const journal = inMemory
    ? new MemoryJournal({ ...machine, identity })
    : await openDirectory(options.data, () => openJournal({ ...machine, disk: nodeDisk(options.data), identity, options: journalOptions }));
  let store: Store;
  try {
    store = await Store.open({ ...machine, journal, ...optional('limits', options.limits), ...optional('encoding', encoding) });
  } catch (error) {
    await journal.close();
    throw error;
  }
  const directory = inMemory ? undefined : options.data;
  remember(store, { directory, journal: { ...options.journal, ...optional('encoding', encoding) }, limits: options.limits ?? {} });
  if (!inMemory) await SnapshotSchedule.start(store, snapshotBytes);
  return store;
}

/** Says which directory it was, and what can be done about it. */
async function openDirectory<T>(data: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (isEvertreeError(error, 'WRONG_ROLE')) {
      const { expected, found } = error.details;
      const message =
        `the directory ${data} belongs to a ${String(expected)}, and was to be started as a ${String(found)}: two sites would then write one history. ` +
        `Start it as the ${String(expected)} it is, or name another directory`;
      throw new EvertreeError('WRONG_ROLE', message, error.details, error);
    }
    throw error;
  }
}
