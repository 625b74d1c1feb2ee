import type { Operation } from '../frames/change-set.ts';
import { ListenerQueue, type BatchCallback, type ListenerQueueOptions } from './listener-queue.ts';
import type { Frame, FrameHeader } from '../frames/frame.ts';
import type { ObservedChange } from '../frames/observed-steps.ts';
import { differenceSteps, toOperation, toOperations, type NetOperation } from '../transactions/net-operations.ts';
import type { TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { PatternTrie } from './pattern-trie.ts';
import { parsePattern, type PatternLike } from './pattern.ts';
import type { Position } from '../position.ts';
import { finishSteps } from '../turn.ts';

/**
 * The tree before and after a commit, a frame or a snapshot. Both roots are pinned: values are read from them, not from
 * operations.
 */
export interface Step {
  readonly before: TreeNode;
  readonly after: TreeNode;
  readonly from: Position;
  readonly position: Position;
  readonly time: number;
  /** Bytes of its operations' values, approximately: they are held until every listener has been told. */
  readonly bytes: number;
}

/** The operations of a commit that concern each listener. */
type Concerned = ReadonlyMap<ListenerQueue, readonly Operation[]>;

/** What was sorted ahead, for the listeners that there were. */
interface SortedAhead {
  /** Listeners that were ever added when that began. */
  readonly added: number;
}

/** What a frame that was applied ahead has for the listeners. */
export interface SortedFrame extends SortedAhead {
  readonly changes: readonly { readonly observed: ObservedChange; readonly concerned: Concerned }[];
}

/** What a transaction that ran ahead has for the listeners. */
export interface SortedOperations extends SortedAhead {
  readonly concerned: Concerned;
}

/** Two pinned trees, and what turns the one into the other. */
export interface TreeSwap {
  readonly before: TreeNode;
  readonly after: TreeNode;
  readonly operations: readonly NetOperation[];
}

/** Operations that are sorted between two pauses: a tenth of a millisecond of work. */
const SORTED_A_STEP = 256;

/**
 * The listeners of a tree. A listener's first batch tells the present state, once; then each commit that changes
 * something at, above or below a path that its pattern matches makes a batch.
 *
 * Batches come in commit order, never two at a time to one listener (a promise is awaited), and never from inside a
 * commit. A listener that throws is reported and called again; one whose promise is never settled holds up nobody else.
 * If a listener has more than `batchLimit` batches waiting they are merged into one: from the state before the first to
 * that after the last.
 *
 * As MD-SAL's DOMDataTreeChangeListener, whose spurious modifications (equal before and after) never come.
 */
export class Listeners {
  readonly #options: ListenerQueueOptions;
  readonly #queues = new Set<ListenerQueue>();
  readonly #trie = new PatternTrie<ListenerQueue>();
  #added = 0;

  constructor(options: ListenerQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#queues.size;
  }

  /** Listeners that were ever added. */
  get added(): number {
    return this.#added;
  }

  /** Whether a change at this path concerns a listener, which then needs the trees before and after it. */
  concerns(path: Path): boolean {
    return this.#queues.size > 0 && this.#trie.concerns(path);
  }

  /**
   * Registers a listener. Disposing ends it: no call begins afterwards.
   * @param now the present state, pinned
   * @throws EvertreeError PATH_INVALID
   */
  add(
    pattern: PatternLike,
    callback: BatchCallback,
    now: { readonly root: TreeNode; readonly position: Position; readonly time: number },
    options: { readonly name?: string } = {},
  ): Disposable {
    const queue = new ListenerQueue(parsePattern(pattern), callback, now, options.name, this.#options);
    this.#queues.add(queue);
    this.#added++;
    this.#trie.add(queue.pattern, queue);
    return {
      [Symbol.dispose]: () => {
        queue.dispose();
        this.#queues.delete(queue);
        this.#trie.delete(queue.pattern, queue);
      },
    };
  }

  /** Queues a commit for the listeners that it concerns. Calls none of them. */
  notify(operations: readonly Operation[], step: Step): void {
    const concerned = new Map<ListenerQueue, Operation[]>();
    for (const operation of operations) this.#sort(operation, concerned);
    push(concerned, step);
  }

  /** Queues the change sets of a frame, one by one. @param from the position before the frame */
  notifyOfFrame({ header }: Frame, from: Position, observed: readonly ObservedChange[]): void {
    for (const change of observed) this.notify(change.changeSet.operations, stepOf(header, from, change, observed.length));
  }

  /** Sorts the operations of a transaction for the listeners, in steps, before it is committed. */
  *sortSteps(operations: readonly NetOperation[]): Generator<void, SortedOperations> {
    const added = this.#added;
    const concerned = new Map<ListenerQueue, Operation[]>();
    for (const [index, operation] of operations.entries()) {
      if (this.concerns(operation.path)) this.#sort(toOperation(operation), concerned);
      if (index % SORTED_A_STEP === SORTED_A_STEP - 1) yield;
    }
    return { concerned, added };
  }

  /** What was sorted, if that is current; else the operations are sorted again, in one go. */
  sorted(ahead: SortedOperations, operations: readonly NetOperation[]): SortedOperations {
    return this.isCurrent(ahead) ? ahead : finishSteps(this.sortSteps(operations));
  }

  /** Queues a commit for the listeners for which it was sorted, but for those that ended since. */
  notifySorted({ concerned }: SortedOperations, step: Step): void {
    push(concerned, step);
  }

  /**
   * Sorts the change sets of a frame for the listeners, in steps, before it is taken.
   * @param added as it was before the first change set was applied: what concerns nobody by then is not among them
   */
  *sortFrameSteps(observed: readonly ObservedChange[], added: number): Generator<void, SortedFrame> {
    const changes = [];
    for (const change of observed) {
      const concerned = new Map<ListenerQueue, Operation[]>();
      for (const [index, operation] of change.changeSet.operations.entries()) {
        this.#sort(operation, concerned);
        if (index % SORTED_A_STEP === SORTED_A_STEP - 1) yield;
      }
      changes.push({ observed: change, concerned });
    }
    return { changes, added };
  }

  /** Whether something was sorted for all listeners that there are. */
  isCurrent({ added }: SortedAhead): boolean {
    return added === this.#added;
  }

  /** As notifyOfFrame. @param sorted current */
  notifyOfSortedFrame({ header }: Frame, from: Position, { changes }: SortedFrame): void {
    for (const { observed, concerned } of changes) push(concerned, stepOf(header, from, observed, changes.length));
  }

  /** The difference between two trees for `notifyOfSwap`, made ahead, in steps; undefined if nobody listens. */
  *swapSteps(before: TreeNode, after: TreeNode): Generator<void, TreeSwap | undefined> {
    return this.size === 0 ? undefined : { before, after, operations: yield* differenceSteps(before, after) };
  }

  /** Another tree took the tree's place: queues the difference as one batch. */
  notifyOfSwap(step: Step, swap: TreeSwap | undefined): void {
    if (this.size === 0) return;
    const isCurrent = swap?.before === step.before && swap.after === step.after;
    const operations = isCurrent ? swap.operations : finishSteps(differenceSteps(step.before, step.after));
    this.notify(toOperations(operations), step);
  }

  #sort(operation: Operation, concerned: Map<ListenerQueue, Operation[]>): void {
    this.#trie.visit(operation.path, queue => {
      const theirs = concerned.get(queue);
      if (theirs === undefined) concerned.set(queue, [operation]);
      else theirs.push(operation);
    });
  }

  /** Ends every listener; waiting batches are not delivered. */
  close(): void {
    for (const queue of this.#queues) {
      queue.dispose();
      this.#trie.delete(queue.pattern, queue);
    }
    this.#queues.clear();
  }
}

function push(concerned: Concerned, step: Step): void {
  for (const [queue, operations] of concerned) queue.push({ ...step, operations, merged: 1 });
}

/** @param count change sets of the frame that are queued */
function stepOf(header: FrameHeader, from: Position, { changeSet, before, after }: ObservedChange, count: number): Step {
  const { epoch, base, bodyLength } = header;
  const { revision, time } = changeSet;
  const previous = revision - 1 === base.revision ? from : { epoch, revision: revision - 1 };
  return { before, after, from: previous, position: { epoch, revision }, time, bytes: bodyLength / count };
}
