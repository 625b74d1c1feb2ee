import type { Operation } from '../frames/change-set.ts';
import type { Clock, Reporter } from '../seams/host.ts';
import { modificationsOf, presentState, type Batch, type Modification, type Transition } from './batch.ts';
import type { TreeNode } from '../tree/node.ts';
import { formatPattern, type Pattern } from './pattern.ts';
import type { Position } from '../position.ts';

export type BatchCallback = (batch: Batch) => void | Promise<void>;

/** A commit that waits for delivery, or several that were merged. */
interface Waiting extends Transition {
  readonly from: Position;
  readonly position: Position;
  readonly time: number;
  readonly bytes: number;
  readonly merged: number;
}

/** The most operations that merged batches keep; with more they keep none. */
export const MERGED_OPERATIONS_LIMIT = 10_000;

/**
 * The most operations, and bytes of values, in the waiting batches of one listener; with more they are merged, however
 * few they are.
 */
export const WAITING_OPERATIONS_LIMIT = 100_000;
export const WAITING_BYTES_LIMIT = 64 * 1024 * 1024;

/** How long one listener may hold the event loop in one turn. */
const DELIVERY_SLICE_MS = 5;

export interface ListenerQueueOptions {
  readonly clock: Clock;
  readonly report: Reporter;
  /** Told of a listener that throws. */
  readonly events: { threw(listener: string, error: unknown): void };
  /** Batches that may wait before they are merged. */
  readonly batchLimit: number;
}

/** The next batch, while its changes are made in steps. */
interface PendingBatch {
  readonly head: Omit<Batch, 'changes'>;
  readonly steps: Generator<void, Modification[], void>;
}

/** One listener's queue, and the calls it gets: in order, one at a time, never from inside a commit. */
export class ListenerQueue {
  readonly pattern: Pattern;
  /** The listener's name, and what it watches, for people. */
  readonly #name: string;
  readonly #callback: BatchCallback;
  readonly #options: ListenerQueueOptions;
  /** The state at registration, until it is delivered. */
  #initial: { readonly root: TreeNode; readonly position: Position; readonly time: number } | undefined;
  /** Oldest first. The counts are those of its operations and of their values' bytes. */
  #waiting: Waiting[] = [];
  #waitingOperations = 0;
  #waitingBytes = 0;
  /** What was taken from those above and is not delivered yet: nothing is merged into it. */
  #preparing: PendingBatch | undefined;
  /** `#run` will be called in a later turn. */
  #scheduled = false;
  /** When its share of this turn ends, by Clock.monotonic. */
  #sliceEnd = 0;
  /** The callback's last promise is not settled yet: no call begins before it is. */
  #busy = false;
  /** Batches were merged since it last had none waiting: that was reported. */
  #behind = false;
  #disposed = false;

  constructor(
    pattern: Pattern,
    callback: BatchCallback,
    now: { readonly root: TreeNode; readonly position: Position; readonly time: number },
    name: string | undefined,
    options: ListenerQueueOptions,
  ) {
    this.pattern = pattern;
    this.#callback = callback;
    this.#initial = now;
    const watched = `on ${JSON.stringify(formatPattern(pattern))}`;
    this.#name = name === undefined ? watched : `${JSON.stringify(name)} ${watched}`;
    this.#options = options;
    this.#schedule();
  }

  push(waiting: Waiting): void {
    if (this.#disposed) return;
    this.#waiting.push(waiting);
    this.#count(waiting, 1);
    if (this.#waiting.length > 1 && this.#holdsTooMuch()) this.#merge();
    this.#schedule();
  }

  /** No call begins from now on. A call whose promise is awaited goes on. */
  dispose(): void {
    this.#disposed = true;
    this.#initial = undefined;
    this.#preparing = undefined;
    this.#waiting = [];
  }

  #merge(): void {
    const merged = mergeWaiting(this.#waiting);
    if (!this.#behind) this.#reportBehind();
    this.#behind = true;
    this.#waiting = [merged];
    this.#waitingOperations = this.#waitingBytes = 0;
    this.#count(merged, 1);
  }

  #holdsTooMuch(): boolean {
    if (this.#waiting.length > this.#options.batchLimit) return true;
    return this.#waitingOperations > WAITING_OPERATIONS_LIMIT || this.#waitingBytes > WAITING_BYTES_LIMIT;
  }

  #count({ operations, bytes }: Waiting, sign: 1 | -1): void {
    this.#waitingOperations += sign * (operations?.length ?? 0);
    this.#waitingBytes += sign * bytes;
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#disposed) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    // A commit inside a call scheduled this, and then the call returned a promise: delivery goes on when that is
    // settled.
    if (this.#busy) return;
    this.#sliceEnd = this.#options.clock.monotonic() + DELIVERY_SLICE_MS;
    this.#deliver();
  }

  #deliver(): void {
    while ((this.#preparing ??= this.#next()) !== undefined) {
      const changes = this.#prepared(this.#preparing);
      if (changes !== undefined) {
        const { head } = this.#preparing;
        this.#preparing = undefined;
        // A commit whose operations changed nothing that the listener watches makes no batch.
        if (head.initial || changes.length > 0) this.#call({ ...head, changes });
        if (this.#busy || this.#disposed) return;
      }
      if (this.#options.clock.monotonic() >= this.#sliceEnd) {
        this.#schedule();
        return;
      }
    }
    this.#behind = false;
  }

  /** Goes on with the changes of a batch; undefined if the slice ended before the last one was made. */
  #prepared({ steps }: PendingBatch): Modification[] | undefined {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return step.value;
      if (this.#options.clock.monotonic() >= this.#sliceEnd) return undefined;
    }
  }

  /** Takes the next batch; undefined if none waits. */
  #next(): PendingBatch | undefined {
    const initial = this.#initial;
    if (initial !== undefined) {
      this.#initial = undefined;
      const { root, position, time } = initial;
      return { head: { initial: true, from: position, position, time, merged: 0 }, steps: presentState(this.pattern, root) };
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return undefined;
    this.#count(waiting, -1);
    const { from, position, time, merged } = waiting;
    return { head: { initial: false, from, position, time, merged }, steps: modificationsOf(this.pattern, waiting) };
  }

  #call(batch: Batch): void {
    try {
      const result = this.#callback(batch);
      if (result === undefined) return;
      this.#busy = true;
      void Promise.resolve(result)
        .catch((error: unknown) => this.#options.events.threw(this.#name, error))
        .finally(() => {
          this.#busy = false;
          // A promise that is settled at once costs no turn of the event loop.
          if (this.#options.clock.monotonic() < this.#sliceEnd) this.#deliver();
          else this.#schedule();
        });
    } catch (error) {
      this.#options.events.threw(this.#name, error);
    }
  }

  #reportBehind(): void {
    const batches = this.#waiting.length;
    this.#options.report({
      level: 'warn',
      event: 'listener-behind',
      message: `the listener ${this.#name} has ${batches} batches waiting; they are merged into one`,
      details: { listener: this.#name, batches },
    });
  }
}

/** Merges commits that follow each other. */
function mergeWaiting(waiting: readonly Waiting[]): Waiting {
  const first = waiting[0]!;
  const last = waiting.at(-1)!;
  const operations = mergeOperations(waiting);
  return {
    before: first.before,
    after: last.after,
    operations,
    from: first.from,
    position: last.position,
    time: last.time,
    // Without operations it holds only two trees, of which the later one exists anyway.
    bytes: operations === undefined ? 0 : sum(waiting, ({ bytes }) => bytes),
    merged: sum(waiting, ({ merged }) => merged),
  };
}

function mergeOperations(waiting: readonly Waiting[]): readonly Operation[] | undefined {
  const count = sum(waiting, ({ operations }) => operations?.length ?? Infinity);
  if (count > MERGED_OPERATIONS_LIMIT || sum(waiting, ({ bytes }) => bytes) > WAITING_BYTES_LIMIT) return undefined;
  return waiting.flatMap(({ operations }) => operations ?? []);
}

function sum(waiting: readonly Waiting[], measure: (waiting: Waiting) => number): number {
  return waiting.reduce((total, each) => total + measure(each), 0);
}
