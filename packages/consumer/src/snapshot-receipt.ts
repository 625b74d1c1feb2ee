import { EvertreeError, Turn } from '@evertree/core';
import type { CloseReason, SnapshotHeader, SnapshotReceiver, Store } from '@evertree/core';
import { asEvertreeError } from './frame-intake.ts';
import { historyOf } from './history.ts';
import { verdictOnSnapshot } from './verdict.ts';

export type SnapshotOutcome =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refuse'; readonly reason: CloseReason; readonly error: EvertreeError }
  /** Its content is not what it says: it is not asked for again before a restart. */
  | { readonly kind: 'quarantine'; readonly error: EvertreeError };

/** Takes in a whole tree, which becomes this secondary's only when it is there, verified and durable. */
export class SnapshotReceipt {
  readonly #store: Store;
  #header: SnapshotHeader | undefined;
  #receiver: SnapshotReceiver | undefined;
  #chunks = 0;
  readonly #turn: Turn;

  constructor(store: Store) {
    this.#store = store;
    this.#turn = new Turn(store.clock);
  }

  get header(): SnapshotHeader | undefined {
    return this.#header;
  }

  async begin(header: SnapshotHeader): Promise<SnapshotOutcome> {
    const verdict = verdictOnSnapshot(header, historyOf(this.#store));
    if (verdict.kind === 'refuse') return verdict;
    this.#header = header;
    this.#chunks = 0;
    // What lies behind the fork is kept when the snapshot is there, before it takes the place.
    const fork = verdict.kind === 'rewind' ? verdict.fork : undefined;
    return this.#try(async () => {
      this.#receiver = await this.#store.receiveSnapshot(header, fork);
    });
  }

  async add(chunk: Uint8Array): Promise<SnapshotOutcome> {
    this.#chunks += 1;
    return this.#try(async () => {
      await this.#receiver!.add(chunk);
      // Building a chunk takes a few milliseconds, and waits for nothing: several in one turn would hold the event loop.
      await this.#turn.rest();
    });
  }

  async finish(chunks: number): Promise<SnapshotOutcome> {
    if (chunks !== this.#chunks) {
      await this.#giveUp();
      const message = `a snapshot of ${chunks} chunks came with ${this.#chunks}`;
      return { kind: 'refuse', reason: 'protocol-violation', error: new EvertreeError('PROTOCOL_VIOLATION', message) };
    }
    const outcome = await this.#try(() => this.#receiver!.finish());
    this.#header = undefined;
    this.#receiver = undefined;
    return outcome;
  }

  /** Leaves no trace of what has come so far. */
  async abort(): Promise<void> {
    const receiver = this.#receiver;
    this.#header = undefined;
    this.#receiver = undefined;
    await receiver?.abort();
  }

  /** Never rejects: a file that can't be removed is removed at the next start, and costs no more than its link here. */
  async #giveUp(): Promise<void> {
    try {
      await this.abort();
    } catch (error) {
      const message = `an unfinished snapshot could not be removed: ${String(error)}`;
      this.#store.report({ level: 'warn', event: 'snapshot-left-over', message, details: { error } });
    }
  }

  async #try(step: () => Promise<void>): Promise<SnapshotOutcome> {
    try {
      await step();
      return { kind: 'taken' };
    } catch (cause) {
      const error = asEvertreeError(cause);
      await this.#giveUp();
      if (isAboutContent(cause)) return { kind: 'quarantine', error };
      return { kind: 'refuse', reason: error.code === 'WRONG_ROLE' ? 'wrong-role' : 'going-away', error };
    }
  }
}

/** Other failures, such as a disk without room, are no fault of the snapshot: it is tried again with the next link. */
function isAboutContent(error: unknown): boolean {
  if (!(error instanceof EvertreeError)) return false;
  return ['FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'VALUE_INVALID', 'PATH_INVALID', 'DIGEST_MISMATCH', 'TOO_LARGE'].includes(error.code);
}
