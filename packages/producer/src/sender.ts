import { Signal, Turn, isEvertreeError } from '@evertree/core';
import type { ExactPosition, Link, Reason, Store } from '@evertree/core';
import type { ProducerLimits } from './limits.ts';
import type { PeerEvent } from './peer-event.ts';

type Task =
  | { readonly type: 'frames'; readonly after: ExactPosition }
  /** `request`: the id of the request that it answers. */
  | { readonly type: 'snapshot'; readonly reason: Reason; readonly request: number | undefined };

export interface SenderOptions {
  readonly store: Store;
  readonly link: Link;
  readonly limits: ProducerLimits;
  /** Whether the acknowledgement window has room for another frame. */
  hasRoom(): boolean;
  step(event: PeerEvent): void;
}

/**
 * Sends frames, or the snapshot, over one link: one task at a time, a new one ends the one before. It holds nothing but
 * a reader of the journal; where the link or the window is full, it waits to be notified.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #signal = new Signal();
  readonly #turn: Turn;
  /** What the loop works on; a new task replaces it at any time. */
  #task: Task | undefined;
  #stopped = false;
  /** Resolves when the loop has ended and holds nothing any more; never rejects. */
  readonly ended: Promise<void>;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#turn = new Turn(options.store.clock);
    this.ended = this.#run();
  }

  sendFrames(after: ExactPosition): void {
    this.#task = { type: 'frames', after };
    this.#signal.notify();
  }

  sendSnapshot(reason: Reason, request?: number): void {
    this.#task = { type: 'snapshot', reason, request };
    this.#signal.notify();
  }

  /** Something changed that a waiting task may wait for: the journal grew, the link drained, the window moved. */
  notify(): void {
    this.#signal.notify();
  }

  /** Whether a task is under way. */
  get busy(): boolean {
    return this.#task !== undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#signal.notify();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const task = this.#task;
      if (task === undefined) {
        await this.#wait();
        continue;
      }
      try {
        await (task.type === 'frames' ? this.#runFrames(task) : this.#runSnapshot(task));
      } catch (error) {
        this.#fail(task, error);
      }
      if (this.#task === task) this.#task = undefined;
    }
  }

  async #runFrames(task: Task & { type: 'frames' }): Promise<void> {
    const { store, link } = this.#options;
    const reader = store.journal.log.read(task.after);
    try {
      while (this.#goesOn(task)) {
        if (!link.writable || !this.#options.hasRoom()) {
          await this.#wait();
          continue;
        }
        const stored = await reader.next();
        if (!this.#goesOn(task)) return;
        if (stored === undefined) {
          this.#options.step({ type: 'exhausted' });
          await this.#wait();
          continue;
        }
        const { frame } = stored;
        const { last, firstTime, lastTime } = frame.header;
        this.#options.step({ type: 'sent', last, bytes: frame.bytes.length, firstTime, lastTime });
        link.send({ type: 'frame', bytes: frame.bytes, parsed: frame });
        if (this.#turn.over) await this.#turn.rest();
      }
    } finally {
      await reader.close();
    }
  }

  async #runSnapshot(task: Task & { type: 'snapshot' }): Promise<void> {
    const { store, link } = this.#options;
    using snapshot = store.snapshot();
    const { position } = snapshot;
    // A position leaves the process only when it is stable here.
    while (this.#goesOn(task) && store.journal.log.stable.revision < position.revision) await this.#wait();
    if (!this.#goesOn(task)) return;
    this.#options.step({ type: 'snapshot-begun', position });
    const { reason, request } = task;
    link.send({ type: 'snapshot-begin', header: snapshot.header, reason, ...(request === undefined ? {} : { request }) });
    let chunks = 0;
    for (const bytes of snapshot.chunksInSteps()) {
      if (bytes === undefined) {
        if (this.#turn.over) await this.#turn.rest();
        if (!this.#goesOn(task)) return;
        continue;
      }
      await this.#waitUntilWritable(task);
      // A long chunk is made in one turn, and sent in another.
      if (this.#turn.over) await this.#turn.rest();
      if (!this.#goesOn(task)) return;
      link.send({ type: 'snapshot-chunk', bytes });
      chunks += 1;
      // Making a chunk takes a few milliseconds: two could hold the event loop for more than 5 ms.
      await this.#turn.rest();
    }
    this.#options.step({ type: 'snapshot-sent' });
    link.send({ type: 'snapshot-end', chunks });
  }

  /** A pinned snapshot may cost a second tree, so a far end that stops reading doesn't keep it for ever. */
  async #waitUntilWritable(task: Task): Promise<void> {
    const { store, link, limits } = this.#options;
    if (link.writable) return;
    using _ = store.clock.after(limits.snapshotStallMs, () => {
      link.close('silent', `no part of the snapshot was taken for ${limits.snapshotStallMs} ms; it starts anew with the next link`);
    });
    while (this.#goesOn(task) && !link.writable) await this.#wait();
  }

  #goesOn(task: Task): boolean {
    return !this.#stopped && this.#task === task;
  }

  async #wait(): Promise<void> {
    await this.#signal.wait();
    this.#turn.restart();
  }

  #fail(task: Task, error: unknown): void {
    if (!this.#goesOn(task)) return;
    const { store, link } = this.#options;
    if (isEvertreeError(error, 'COMPACTED')) {
      this.#task = undefined;
      this.#options.step({ type: 'compacted', base: store.journal.log.base });
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    store.report({ level: 'error', event: 'peer-read-failed', message: `sending to ${link.remote} ended: ${message}`, details: { error } });
    link.close('going-away', `this primary can't read what it was to send: ${message}`);
  }
}
