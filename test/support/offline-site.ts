import { type Clock, type ExactPosition, isEvertreeError, Store } from '@evertree/core';
import { type JournalOptions, openJournal } from '@evertree/journal';
import { type Verification, type VerificationOptions, verifyDirectory } from '@evertree/history';
import { FaultDisk } from './fault-disk.ts';
import { systemClock, systemRandom } from './host.ts';
import { collectReports } from './reports.ts';
import { diskStore } from './stores.ts';

/** Small segments, so that a short history has several. */
export const SMALL: JournalOptions = { segmentBytes: 3_000, sync: 'dsync' };

/** Commits, each in a frame of its own; odd keys, emoji and values of every kind among them. */
export async function commit(store: Store, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    store.transact(
      tx => {
        tx.put(['devices', `r${index % 7}`], { mtu: index, up: index % 2 === 0, 'a/b~c': [index, null, 'ü🌳'] });
        tx.put(['odd', ['', '/', '~', '🌳', '__proto__'][index % 5]!], index * 0.5);
        if (index % 11 === 10) tx.delete(['devices', `r${index % 7}`]);
      },
      { author: `author-${index % 3}`, message: `commit ${index}` },
    );
    store.cut();
    if (index % 3 === 2) await store.flush();
  }
  await store.flush();
}

/** What a stopped site left: several segments, `snapshots` snapshots, several openings. */
export async function stoppedSite({ commits = 60, snapshots = 2, openings = 2, retain = false } = {}): Promise<{
  readonly disk: FaultDisk;
  readonly position: ExactPosition;
  readonly digest: string;
}> {
  const disk = new FaultDisk();
  let end = { position: undefined as ExactPosition | undefined, digest: '' };
  for (let opening = 0; opening < openings; opening++) {
    const { store } = await diskStore(disk, {
      journalOptions: { ...SMALL, ...(retain ? { retentionRewindMs: 0, retentionMaxMs: 0 } : {}) },
    });
    const step = Math.ceil(commits / openings);
    await commit(store, opening * step, opening * step + step / 2);
    if (opening < snapshots) await store.saveSnapshot();
    await commit(store, opening * step + step / 2, (opening + 1) * step);
    end = { position: store.position, digest: store.digest };
    await store.close();
  }
  return { disk, position: end.position!, digest: end.digest };
}

export function verify(disk: FaultDisk, options: VerificationOptions = {}): Promise<Verification> {
  return verifyDirectory(disk, systemClock, options);
}

export function flip(disk: FaultDisk, path: string, offset: number): void {
  disk.overwrite(path, bytes => {
    bytes[offset]! ^= 0x40;
    return bytes;
  });
}

export function filesOf(disk: FaultDisk, suffix: string): string[] {
  return disk.files.filter(path => path.endsWith(suffix)).toSorted();
}

/** Opens what a directory holds, whoever it belongs to. */
export async function recovered(disk: FaultDisk, clock: Clock = systemClock): Promise<Store> {
  const { report } = collectReports();
  const journal = await openJournal({ disk, clock, random: systemRandom, report, options: SMALL });
  return Store.open({ clock, random: systemRandom, report, journal });
}

/** Whether an error is one that Evertree threw on purpose, with this code. */
export function isRefusal(error: unknown, code: string): boolean {
  return isEvertreeError(error) && error.code === code;
}
