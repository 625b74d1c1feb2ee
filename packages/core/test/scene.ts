import { ManualClock } from '../../../test/support/host.ts';
import type { Batch } from '../src/listeners/batch.ts';
import { Emitter } from '../src/emitter.ts';
import { importValue } from '../src/tree/content.ts';
import type { Clock, Report } from '../src/seams/host.ts';
import { collectReports } from '../../../test/support/reports.ts';
import { Listeners } from '../src/listeners/listeners.ts';
import { toOperations } from '../src/transactions/net-operations.ts';
import type { PatternLike } from '../src/listeners/pattern.ts';
import { Tree } from '../src/tree/tree.ts';
import type { Value } from '../src/tree/value.ts';

export type Telling = (string | Value | undefined)[];

/** A tree with listeners, on a clock that stands still. */
export class Scene {
  readonly tree = new Tree();
  readonly clock = new ManualClock();
  readonly reports: Report[] = [];
  readonly listeners: Listeners;
  revision = 0;

  constructor(initial: object = {}, batchLimit = 1_000, clock: Clock = this.clock) {
    const { report } = collectReports(this.reports);
    this.listeners = new Listeners({ clock, report, events: new Emitter(report), batchLimit });
    this.tree.put([], importValue(initial, [], this.tree.generation));
  }

  listen(pattern: PatternLike, callback: (batch: Batch) => void | Promise<void>): Disposable {
    return this.listeners.add(pattern, callback, { root: this.tree.pin(), position: this.position, time: this.revision });
  }

  get position(): { epoch: number; revision: number } {
    return { epoch: 1, revision: this.revision };
  }

  /** One commit of puts, and deletes where the value is undefined. */
  commit(...operations: readonly (readonly [pointer: string, value?: unknown])[]): void {
    this.commitOf(0, ...operations);
  }

  /** As commit, of values that are said to take so many bytes. */
  commitOf(bytes: number, ...operations: readonly (readonly [pointer: string, value?: unknown])[]): void {
    const before = this.tree.pin();
    const from = this.position;
    const net = operations.map(([pointer, value]) => {
      const path = pointer === '' ? [] : pointer.slice(1).split('/');
      const child = value === undefined ? undefined : importValue(value, path, this.tree.generation);
      if (child === undefined) this.tree.delete(path);
      else this.tree.put(path, child);
      return { path, child };
    });
    this.revision++;
    const after = this.tree.pin();
    this.listeners.notify(toOperations(net), { before, after, from, position: this.position, time: this.revision, bytes });
  }

  /** Lets everything that is due happen, and what it promises. */
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      this.clock.advance(0);
      await Promise.resolve();
    }
  }
}

export function tell(batch: Batch): Telling[] {
  return batch.changes.map(({ type, path, before, after }) => [type, path, before, after]);
}
