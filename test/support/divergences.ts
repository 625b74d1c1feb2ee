import { type ExactPosition, type Operation, Store } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import fc from 'fast-check';
import type { DivergedCommit } from '../../packages/evertree/src/divergences/diverged-commit.ts';
import { Replay, type ReplayRequest, type ReplayResult } from '../../packages/evertree/src/divergences/replay.ts';
import { systemClock, systemRandom } from './host.ts';
import { strictReport } from './reports.ts';

const host = { clock: systemClock, random: systemRandom, report: strictReport };

/** The epoch of the commits that a divergence holds; that of the store is another. */
export const DIVERGED_EPOCH_ID = 'abcdef0123456789';

export function put(pointer: string, value: unknown): Operation {
  return { type: 'put', path: pointer.split('/').slice(1), value: value as never };
}

export function remove(pointer: string): Operation {
  return { type: 'delete', path: pointer.split('/').slice(1) };
}

/** Nothing is there, before and after: so many operations make a commit a large one, and change nothing in what it means. */
export const PADDING: readonly Operation[] = Array.from({ length: 1_100 }, () => remove('/nothing'));

/** Puts and deletes at paths that lie above, below and beside each other. */
const path = fc.constantFrom('/a', '/b', '/b/c', '/b/d', '/b/c/x');
export const anyOperation = fc.oneof(
  fc.tuple(path, fc.constantFrom<unknown>(0, 1, {}, { c: 1 })).map(([pointer, value]) => put(pointer, value)),
  path.map(remove),
);

export async function memoryStoreOf(tree: unknown): Promise<Store> {
  const store = await Store.open({ ...host, journal: new MemoryJournal(host) });
  store.put('', tree);
  return store;
}

/** A store whose last commit is where another history parted from its own. */
export class ForkedStore implements AsyncDisposable {
  readonly store: Store;
  /** Where the histories part. */
  readonly base: ExactPosition;

  static async open(tree: unknown): Promise<ForkedStore> {
    return new ForkedStore(await memoryStoreOf(tree));
  }

  private constructor(store: Store) {
    this.store = store;
    // A fork is a frame's end.
    store.cut();
    this.base = store.position;
  }

  /** Commits that follow the fork in the other history, each with its operations. */
  diverged(...commits: readonly (readonly Operation[])[]): DivergedCommit[] {
    return commits.map((operations, index) => ({
      position: { epoch: 1, epochId: DIVERGED_EPOCH_ID, revision: this.base.revision + 1 + index },
      author: 'ann',
      operations,
    }));
  }

  /** Replays those commits, all of them where `options` choose none; `breathe` is what others do meanwhile. */
  async replay(
    commits: readonly DivergedCommit[],
    options: Partial<ReplayRequest> = {},
    breathe: () => Promise<void> = () => Promise.resolve(),
  ): Promise<readonly ReplayResult[]> {
    const chosen = new Set(commits.map(({ position }) => position.revision));
    const run = new Replay(this.store, { base: this.base, commits, chosen, force: false, dryRun: false, ...options }, breathe);
    await run.run();
    return run.results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

export const outcomesOf = (results: readonly ReplayResult[]): ReplayResult['outcome'][] => results.map(({ outcome }) => outcome);
