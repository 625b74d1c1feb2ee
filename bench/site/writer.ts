import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Commit, Store } from 'evertree';
import { now } from '../clock.ts';
import { BEAT_MS, type Beat, steadily } from '../beat.ts';
import { PICKS } from '../shape.ts';

/** Commits between two checks of what is settled; the event loop gets a turn at each. */
const STRETCH = 1_024;

export interface Written {
  readonly startedMs: number;
  /** The last commit is settled. */
  readonly settledMs: number;
  /** Time spent in the loop of commits, without waiting. */
  readonly committingMs: number;
  readonly revision: number;
}

/**
 * Commits one leaf at a time, as fast as the window of unsettled ones lets it.
 * @param most commits made that are not settled: at this many the writer waits until half of them are
 * @param settle what the window waits for: the commit's durability here, or at a secondary too
 */
export async function write(
  store: Store,
  paths: readonly (readonly string[])[],
  count: number,
  most: number,
  settle: (commit: Commit) => Promise<unknown>,
): Promise<Written> {
  // No value may equal the one that is there: that would be no change.
  const first = store.position.revision;
  const window = new Window();
  const startedMs = now();
  let committingMs = 0;
  for (let done = 0; done < count;) {
    const end = Math.min(count, done + STRETCH);
    const begun = now();
    let commit: Commit | undefined;
    for (; done < end; done++) commit = store.put(paths[done % PICKS]!, first + done);
    committingMs += now() - begun;
    window.add(settle(commit!), done);
    if (done - window.settled > most) await window.reaches(done - most / 2);
    else await nextTurn();
  }
  await window.reaches(count);
  const { revision } = store.position;
  if (revision !== first + count) throw new Error(`${count} commits took ${revision - first} revisions`);
  return { startedMs, settledMs: now(), committingMs, revision };
}

class Window {
  settled = 0;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  add(settling: Promise<unknown>, count: number): void {
    void this.#follow(settling, count);
  }

  async reaches(count: number): Promise<void> {
    while (this.settled < count) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }

  async #follow(settling: Promise<unknown>, count: number): Promise<void> {
    try {
      await settling;
      this.settled = count;
    } catch (error) {
      this.#failure = error as Error;
    }
    this.#wake?.();
  }
}

/**
 * Commits one leaf at a time at a steady rate.
 * @returns when each commit was made
 */
export function writeSteadily(store: Store, paths: readonly (readonly string[])[], beat: Beat): Promise<Float64Array> {
  const first = store.position.revision;
  return steadily(beat, index => void store.put(paths[index % PICKS]!, first + index));
}

export interface Acknowledged {
  /** When each commit was made, and when the writer was told that a secondary holds it durably. */
  readonly made: Float64Array;
  readonly acknowledged: Float64Array;
}

/** Commits one leaf at a time; each when a secondary has acknowledged the one before. */
export async function writeAcknowledged(store: Store, paths: readonly (readonly string[])[], count: number): Promise<Acknowledged> {
  const first = store.position.revision;
  const made = new Float64Array(count);
  const acknowledged = new Float64Array(count);
  for (let done = 0; done < count; done++) {
    made[done] = now();
    await store.put(paths[done % PICKS]!, first + done).acknowledged(1);
    acknowledged[done] = now();
  }
  return { made, acknowledged };
}

/**
 * Commits one leaf at a time, many in one turn of the event loop and then none for a while, so that the same frames are
 * cut whatever else the machine does.
 */
export async function writeInBursts(
  store: Store,
  paths: readonly (readonly string[])[],
  { bursts, commits, everyMs }: Bursts,
): Promise<void> {
  const first = store.position.revision;
  const started = now();
  for (let burst = 0; burst < bursts; burst++) {
    await sleep(Math.max(BEAT_MS, started + burst * everyMs - now()));
    const end = (burst + 1) * commits;
    for (let done = burst * commits; done < end; done++) store.put(paths[done % PICKS]!, first + done);
  }
}

export interface Bursts {
  readonly bursts: number;
  readonly commits: number;
  /** Milliseconds from one burst to the next. */
  readonly everyMs: number;
}
