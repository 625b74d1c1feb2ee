import { ORIGIN, PROTOCOL_VERSIONS, SITE, Store } from '@evertree/core';
import type { Clock, ExactPosition, FarEnd, Hello, Report, RoleHandler } from '@evertree/core';
import { Producer } from '@evertree/producer';
import type { PeerStatus, ProducerOptions } from '@evertree/producer';
import { ScriptedTransport } from './scripted-link.ts';
import type { ScriptedLink } from './scripted-link.ts';
import type { Simulation } from './simulation.ts';
import { collectReports } from './reports.ts';
import { VirtualJournal } from './virtual-journal.ts';
import { VirtualStorage } from './virtual-log.ts';

/** The primary that is looked at; the test plays its secondaries. */
export class ScriptedPrimary {
  readonly simulation: Simulation;
  readonly reports: Report[] = [];
  readonly storage = new VirtualStorage();
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  clock: Clock;
  transport!: ScriptedTransport;
  /** Another one, whose far ends are sites. */
  direct!: ScriptedTransport;
  journal!: VirtualJournal;
  store!: Store;
  producer!: Producer;
  heardRole: RoleHandler = () => undefined;

  /** @param farEnd what is at the one remote, or at each of them */
  constructor(simulation: Simulation, remotes: readonly string[], farEnd: FarEnd = SITE) {
    this.simulation = simulation;
    this.farEnd = farEnd;
    this.clock = simulation.clock;
    this.remotes = remotes;
  }

  async start(limits: ProducerOptions['limits'] = {}): Promise<void> {
    const { clock, simulation } = this;
    this.journal = new VirtualJournal('a', this.storage, clock);
    this.store = await Store.open({
      journal: this.journal,
      clock,
      random: simulation.random,
      report: collectReports(this.reports).report,
    });
    this.transport = new ScriptedTransport(this.remotes, this.farEnd);
    this.direct = new ScriptedTransport();
    const role: RoleHandler = (from, message, reply) => this.heardRole(from, message, reply);
    this.producer = new Producer({ store: this.store, transports: [this.transport, this.direct], limits, role });
    await this.producer.open();
  }

  async restart(limits: ProducerOptions['limits'] = {}): Promise<void> {
    await this.simulation.during(this.producer.close());
    await this.simulation.during(this.store.close());
    await this.start(limits);
  }

  /** Commits, one frame each, and waits until they are stable. */
  async commit(count: number, size = 0): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.store.put('/n', `${this.store.position.revision} ${'x'.repeat(size)}`);
      this.store.cut();
    }
    await this.simulation.during(this.store.flush());
    await this.simulation.pass(10);
  }

  get ends(): ExactPosition[] {
    return this.storage.frames.map(stored => stored.frame.header.last);
  }

  /** The hello of a secondary that holds everything up to this frame. */
  hello(site: string, frame?: number, more: Partial<Hello> = {}): Hello {
    const header = frame === undefined ? undefined : this.storage.frames.at(frame)!.frame.header;
    return {
      protocols: PROTOCOL_VERSIONS,
      program: 'test',
      site,
      role: 'secondary',
      stream: header === undefined ? null : this.store.stream,
      position: header?.last ?? ORIGIN,
      digest: header?.digest ?? '0'.repeat(16),
      epochs: header === undefined ? [] : this.store.epochs,
      durable: true,
      standing: 'secondary',
      standby: false,
      ...more,
    };
  }

  async connect(hello: Hello, remote = this.remotes[0]!): Promise<ScriptedLink> {
    const transport = this.remotes.includes(remote) ? this.transport : this.direct;
    const link = transport.connect(remote, hello);
    await this.simulation.pass(10);
    return link;
  }

  peer(site: string): PeerStatus {
    const found = this.producer.peers.find(peer => peer.site === site);
    if (found === undefined) throw new Error(`${site} is not among ${this.producer.peers.map(peer => peer.site).join()}`);
    return found;
  }

  events(name: string): Report[] {
    return this.reports.filter(report => report.event === name);
  }
}
