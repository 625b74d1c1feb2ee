import { type Frame, type Journal, type Random, Store } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { ManualClock, systemClock, systemRandom } from './host.ts';
import { strictReport } from './reports.ts';
import { framesOf } from './stores.ts';

/** Commits of a primary, each a frame of its own. */
export type Commits = readonly ((store: Store) => void)[];

/** The name of the primary in what is made here: the epochs of its frames bear it. */
export const PRIMARY = 'box-a';

/** Draws the same bytes in each run: two primaries of it have one stream and one epoch. */
function repeating(): Random {
  let drawn = 0;
  return { bytes: length => Uint8Array.from({ length }, () => (drawn = (drawn * 73 + 41) % 251)), fraction: () => 0 };
}

/** The frames of a primary that made these commits. */
async function framesAfter(commits: Commits): Promise<readonly Frame[]> {
  const host = { clock: new ManualClock(), random: repeating(), report: strictReport };
  await using store = await Store.open({ ...host, journal: new MemoryJournal({ ...host, identity: { site: PRIMARY, role: 'primary' } }) });
  for (const commit of commits) {
    commit(store);
    store.cut();
  }
  await store.flush();
  // Awaited here: the journal is closed on the way out.
  return await framesOf(store.journal);
}

/** Fills a journal with frames. */
export async function holding(journal: Journal, frames: readonly Frame[]): Promise<Journal> {
  for (const frame of frames) journal.log.append(frame);
  await journal.log.flush();
  return journal;
}

/**
 * The journals of a primary, and of a secondary that came to another tree at the primary's very position: each frame of
 * both is sound, and its last ones are those of a primary that made other commits. So a program's fault would look.
 */
export async function partedFrames(
  common: Commits,
  ours: Commits,
  theirs: Commits,
): Promise<{ readonly primary: readonly Frame[]; readonly secondary: readonly Frame[] }> {
  const [primary, secondary] = [await framesAfter([...common, ...ours]), await framesAfter([...common, ...theirs])];
  return { primary, secondary };
}

export function memoryJournal(site: string, role: 'primary' | 'secondary'): Journal {
  return new MemoryJournal({ clock: systemClock, random: systemRandom, report: strictReport, identity: { site, role } });
}
