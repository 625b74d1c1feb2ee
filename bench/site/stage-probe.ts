import type { DiskFile, LinkEvents, Message, Role, Store } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { WebSocketLink } from '../../packages/transport/src/websocket/link.ts';
import { now } from '../clock.ts';

/** The way of a change after its commit, in order. */
export const STAGES = ['cut', 'write begun', 'stable', 'sent', 'received', 'visible', 'durable there', 'acknowledged'] as const;
export type Stage = (typeof STAGES)[number];

/** A file that every site's directory has. */
const ANY_FILE = 'site.json';

/**
 * Notes when a site's changes reach each stage. It wraps what the parts hand each other (journal, files, link, store),
 * so that the product has no probes of its own. Only for a process that does nothing else: the classes stay wrapped.
 */
export class StageProbe {
  readonly #store: Store;
  /** What the site is going to be: a new one has no role yet. */
  readonly #role: Role;
  readonly #marks = new Map<Stage, Marks>(STAGES.map(stage => [stage, new Marks()]));
  /** The newest revision that was appended to the journal. */
  #appended = 0;

  /** @param directory the site's; its producer and consumer are not started yet */
  constructor(store: Store, directory: string, role: Role) {
    this.#store = store;
    this.#role = role;
    this.#watchStore();
    this.#watchJournal();
    this.#watchFiles(directory);
    this.#watchLinks();
  }

  /** When each of the `count` revisions after `first` reached each stage that this site has; forgets all. */
  take(first: number, count: number): Partial<Record<Stage, Float64Array>> {
    const taken: Partial<Record<Stage, Float64Array>> = {};
    for (const [stage, marks] of this.#marks) {
      if (marks.count > 0) taken[stage] = marks.take(first, count);
    }
    return taken;
  }

  #mark(stage: Stage, revision: number, time = now()): void {
    this.#marks.get(stage)!.add(revision, time);
  }

  #watchStore(): void {
    const store = this.#store;
    before(store, 'acknowledge', (_, { revision }) => this.#mark('acknowledged', revision));
    if (this.#role === 'secondary') store.on('advanced', () => this.#mark('visible', store.position.revision));
  }

  #watchJournal(): void {
    const { log } = this.#store.journal;
    before(log, 'append', frame => {
      this.#appended = frame.header.last.revision;
      if (this.#role === 'primary') this.#mark('cut', this.#appended);
    });
    log.onProgress(() => this.#mark(this.#role === 'primary' ? 'stable' : 'durable there', log.stable.revision));
  }

  #watchFiles(directory: string): void {
    if (this.#role === 'secondary') return;
    const file = nodeDisk(directory).openSync(ANY_FILE, {});
    const kind = Object.getPrototypeOf(file) as DiskFile;
    const begun = (buffers: readonly Uint8Array[]): void => {
      // Zeros ahead of the data are no group.
      if (buffers[0]?.subarray(0, 16).some(byte => byte !== 0) === true) this.#mark('write begun', this.#appended);
    };
    before(kind, 'write', begun);
    before(kind, 'writeSync', begun);
    void file.close();
  }

  #watchLinks(): void {
    const store = this.#store;
    before(WebSocketLink.prototype, 'send', message => {
      if (message.type === 'frame') this.#mark('sent', message.parsed?.header.last.revision ?? 0);
    });
    before(WebSocketLink.prototype, 'attach', (events): [LinkEvents] => {
      const message = (given: Message): void => {
        const time = now();
        events.message(given);
        if (given.type === 'frame') this.#mark('received', store.position.revision, time);
      };
      return [{ message, drained: () => events.drained(), closed: (...ending) => events.closed(...ending) }];
    });
  }
}

type Arguments<Method> = Method extends (...args: infer Args) => unknown ? Args : never;

/** Lets `note` see each call of a method before it is made; what it returns takes the place of the arguments. */
function before<T extends object, Name extends keyof T>(
  object: T,
  name: Name,
  note: (...args: Arguments<T[Name]>) => Arguments<T[Name]> | void,
): void {
  const method = object[name] as (...args: Arguments<T[Name]>) => unknown;
  const wrapped = function (this: T, ...args: Arguments<T[Name]>): unknown {
    return Reflect.apply(method, this, note(...args) ?? args);
  };
  object[name] = wrapped as T[Name];
}

/** Times at which a stage had reached a revision, in order. */
class Marks {
  #revisions: number[] = [];
  #times: number[] = [];

  get count(): number {
    return this.#revisions.length;
  }

  add(revision: number, time: number): void {
    this.#revisions.push(revision);
    this.#times.push(time);
  }

  take(first: number, count: number): Float64Array {
    const times = new Float64Array(count);
    let at = 0;
    for (let index = 0; index < count; index++) {
      while (at < this.#revisions.length && this.#revisions[at]! < first + index + 1) at++;
      times[index] = this.#times[at] ?? Number.NaN;
    }
    this.#revisions = [];
    this.#times = [];
    return times;
  }
}
