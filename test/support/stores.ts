import { Store, type Frame, type Journal, type Report, type Role, type StoreOptions } from '@evertree/core';
import { MemoryJournal, openJournal, type JournalOptions } from '@evertree/journal';
import type { FaultDisk } from './fault-disk.ts';
import { systemClock as clock, systemRandom as random } from './host.ts';
import { collectReports } from './reports.ts';

export interface OpenedStore {
  readonly store: Store;
  readonly reports: Report[];
}

/** A store whose journal is in memory. */
export async function memoryStore(
  options: Partial<StoreOptions> & { readonly site?: string; readonly role?: Role } = {},
): Promise<OpenedStore> {
  const { reports, report } = collectReports();
  const journal = new MemoryJournal({
    clock,
    random,
    report,
    identity: { site: options.site ?? 'memory', role: options.role ?? 'primary' },
  });
  return { store: await Store.open({ clock, random, report, ...options, journal }), reports };
}

/** A store on a disk that can fail, lose power, and be opened again. */
export async function diskStore(
  disk: FaultDisk,
  options: Partial<StoreOptions> & { readonly site?: string; readonly role?: Role; readonly journalOptions?: JournalOptions } = {},
): Promise<OpenedStore> {
  const { reports, report } = collectReports();
  const { site = 'disk', role, journalOptions, ...storeOptions } = options;
  const identity = { site, ...(role === undefined ? {} : { role }) };
  const journal = await openJournal({
    disk,
    clock,
    random,
    report,
    identity,
    options: { sync: 'fdatasync', segmentBytes: 256 * 1024, ...journalOptions },
  });
  return { store: await Store.open({ clock, random, report, ...storeOptions, journal }), reports };
}

/** Every frame that a journal holds. */
export async function framesOf(journal: Journal): Promise<Frame[]> {
  const frames: Frame[] = [];
  const reader = journal.log.read(journal.log.base);
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) frames.push(stored.frame);
  await reader.close();
  return frames;
}
