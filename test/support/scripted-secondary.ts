import { Consumer } from '@evertree/consumer';
import type { ConsumerOptions } from '@evertree/consumer';
import { PROTOCOL_VERSIONS, Store } from '@evertree/core';
import type { Clock, EvertreeError, Frame, Hello, Message, Report, SnapshotHeader } from '@evertree/core';
import { collectReports } from './reports.ts';
import { ScriptedTransport } from './scripted-link.ts';
import type { ScriptedLink } from './scripted-link.ts';
import type { Simulation } from './simulation.ts';
import { VirtualJournal } from './virtual-journal.ts';
import { VirtualStorage } from './virtual-log.ts';

/** A primary's history, ready to be sent in any order: one frame a commit, `/n` counting them. */
export class WrittenHistory {
  readonly store: Store;
  readonly storage: VirtualStorage;

  private constructor(store: Store, storage: VirtualStorage) {
    this.store = store;
    this.storage = storage;
  }

  static async make(simulation: Simulation, site: string, commits: number): Promise<WrittenHistory> {
    const { clock, random } = simulation;
    const storage = new VirtualStorage();
    const store = await Store.open({ journal: new VirtualJournal(site, storage, clock), clock, random });
    const history = new WrittenHistory(store, storage);
    await history.grow(simulation, commits);
    return history;
  }

  /** The history of a site that has the first `frames` of this one, and was promoted there. */
  async promoted(simulation: Simulation, site: string, frames: number, number = 2): Promise<WrittenHistory> {
    const { clock, random } = simulation;
    const storage = new VirtualStorage();
    storage.stream = this.storage.stream;
    storage.frames = this.storage.frames.slice(0, frames);
    const store = await Store.open({ journal: new VirtualJournal(site, storage, clock), clock, random });
    store.beginEpoch({ number, id: String(number).repeat(16) }, 'promoted');
    await simulation.during(store.flush());
    return new WrittenHistory(store, storage);
  }

  async grow(simulation: Simulation, commits: number): Promise<void> {
    for (let index = 0; index < commits; index++) {
      this.store.put('/n', this.frames.length + 1);
      this.store.cut();
      await simulation.during(this.store.flush());
    }
  }

  get frames(): readonly Frame[] {
    return this.storage.frames.map(stored => stored.frame);
  }

  message(index: number): Message & { readonly type: 'frame' } {
    return { type: 'frame', bytes: this.frames[index]!.bytes };
  }

  hello(more: Partial<Hello> = {}): Hello {
    const { site, stream, stable, epochs } = this.store;
    const is = { site, role: 'primary', standing: 'primary', standby: false, durable: true } as const;
    return { protocols: PROTOCOL_VERSIONS, program: 'test', ...is, stream, ...stable, epochs, ...more };
  }

  snapshot(): { readonly header: SnapshotHeader; readonly chunks: readonly Uint8Array[] } {
    using snapshot = this.store.snapshot();
    return { header: snapshot.header, chunks: Array.from(snapshot.chunks(), chunk => Uint8Array.from(chunk)) };
  }
}

/** The secondary that is looked at. */
export class ScriptedSecondary {
  readonly simulation: Simulation;
  readonly reports: Report[] = [];
  readonly kept: { readonly bytes: Uint8Array; readonly error: EvertreeError }[] = [];
  keepFails = false;
  storage = new VirtualStorage();
  clock: Clock;
  transport!: ScriptedTransport;
  journal!: VirtualJournal;
  store!: Store;
  consumer!: Consumer;
  readonly #more: Pick<ConsumerOptions, 'standby' | 'role' | 'earlierFrames'>;

  constructor(simulation: Simulation, more: Pick<ConsumerOptions, 'standby' | 'role' | 'earlierFrames'> = {}) {
    this.simulation = simulation;
    this.clock = simulation.clock;
    this.#more = more;
  }

  async start(limits: ConsumerOptions['limits'] = {}): Promise<void> {
    const { clock } = this;
    const { random } = this.simulation;
    this.journal = new VirtualJournal('s', this.storage, clock);
    this.store = await Store.open({ journal: this.journal, clock, random, report: collectReports(this.reports).report });
    this.transport = new ScriptedTransport();
    const keepQuarantined = (bytes: Uint8Array, error: EvertreeError): void => {
      if (this.keepFails) throw new Error('no room');
      this.kept.push({ bytes, error });
    };
    this.consumer = new Consumer({ store: this.store, transport: this.transport, limits, keepQuarantined, ...this.#more });
    await this.consumer.open();
  }

  async restart(): Promise<void> {
    await this.simulation.during(this.consumer.close());
    await this.simulation.during(this.store.close());
    await this.start();
  }

  events(name: string): Report[] {
    return this.reports.filter(report => report.event === name);
  }

  async connect(hello: Hello, remote = 'there:1'): Promise<ScriptedLink> {
    const link = this.transport.connect(remote, hello);
    await this.simulation.pass(0);
    return link;
  }
}
