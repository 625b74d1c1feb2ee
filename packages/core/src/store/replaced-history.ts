import { isEvertreeError } from '../errors.ts';
import type { Lineage } from '../lineage.ts';
import type { Listeners } from '../listeners/listeners.ts';
import { samePosition, type ExactPosition } from '../position.ts';
import { recoverAt, type Recovered } from './recovery.ts';
import type { Keep } from '../seams/divergences.ts';
import type { Clock } from '../seams/host.ts';
import { headAt } from './history-head.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { treeAtFork } from './tree-at-fork.ts';
import type { TreeNode } from '../tree/node.ts';
import { Turn } from '../turn.ts';
import type { WriteGate } from './write-gate.ts';

export interface ReplacementParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly gate: WriteGate;
  readonly history: Lineage;
  /** Makes everything that was committed stable. */
  readonly flush: () => Promise<void>;
  /** The present tree, pinned. */
  readonly pin: () => TreeNode;
  /** They get the difference as one batch. */
  readonly listeners: Listeners;
  /** Takes another tree, and moves the position with it. */
  readonly swapIn: (recovered: Recovered) => void;
  readonly tell: (event: 'advanced' | 'stable') => void;
}

/** How another history takes the place of a site's own. The methods are those of the Store, which see. */
export class HistoryReplacement {
  readonly #parts: ReplacementParts;

  constructor(parts: ReplacementParts) {
    this.#parts = parts;
  }

  async receiveSnapshot(header: SnapshotHeader, fork: ExactPosition | undefined): Promise<SnapshotReceiver> {
    const { journal, clock, gate } = this.#parts;
    gate.assertFollowing();
    const diverged = fork === undefined ? {} : { diverged: { fork, keep: keepDivergence(journal, clock) } };
    const writer = await journal.snapshots.create(header, { replace: true, ...diverged });
    return new SnapshotReceiver(header, writer, clock, (tree, take) =>
      this.#replace(async ready => take(await ready({ tree, head: headAt(header) }))),
    );
  }

  rewind(position: ExactPosition): Promise<string | undefined> {
    const { journal, clock, history, flush, pin } = this.#parts;
    return this.#replace(async ready => {
      if (samePosition(position, history.last)) return undefined;
      await flush();
      const recovered = (await takeBack(journal, position, clock, pin())) ?? (await recoverAt(journal, position, clock));
      let kept: string | undefined;
      const keep = keepDivergence(journal, clock, name => (kept = name));
      await journal.log.rewind(position, keep, await ready(recovered));
      return kept;
    });
  }

  /**
   * Until the change is over nothing else moves the site. Then it is told: whoever hears of it may go on from there.
   * @param change makes the tree that is to be taken `ready`, and calls what that gives in the very step in which the
   *   journal moves
   */
  async #replace<T>(change: (ready: (recovered: Recovered) => Promise<() => void>) => Promise<T>): Promise<T> {
    const { gate, history, clock, pin, listeners, swapIn, tell } = this.#parts;
    const replacing = gate.replaceHistory();
    let hasMoved = false;
    try {
      return await change(async recovered => {
        const { tree, head } = recovered;
        const swap = await new Turn(clock).run(listeners.swapSteps(pin(), tree.pin()));
        return () => {
          hasMoved = true;
          const [before, from] = [pin(), history.last];
          swapIn(recovered);
          listeners.notifyOfSwap({ before, after: tree.pin(), from, position: head.last, time: head.time, bytes: 0 }, swap);
        };
      });
    } finally {
      replacing[Symbol.dispose]();
      if (hasMoved) {
        tell('advanced');
        tell('stable');
      }
    }
  }
}

/** Keeps a divergence in its journal, as of now. `named` is told its name. */
function keepDivergence(journal: Journal, clock: Clock, named?: (name: string) => void): Keep {
  return async divergence => {
    const { name } = await journal.divergences.keep(divergence, clock.now());
    named?.(name);
  };
}

/** The tree at a position by what changed since; undefined if it takes the whole tree, or if it is not there. */
async function takeBack(journal: Journal, position: ExactPosition, clock: Clock, root: TreeNode): Promise<Recovered | undefined> {
  try {
    return await treeAtFork(journal, root, position, clock);
  } catch (error) {
    if (isEvertreeError(error)) return undefined;
    throw error;
  }
}
