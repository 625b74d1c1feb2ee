import { compareEpochs, covers, formatExactPosition, highestEpoch, parseFrame, samePosition } from '@evertree/core';
import type { Epoch, Message, Report, Store } from '@evertree/core';
import { watchCommands } from './abandoned.ts';
import { Chance } from './chance.ts';
import { FrameRegistry } from './frame-registry.ts';
import { Ledger } from './ledger.ts';
import type { LedgerEntry } from './ledger.ts';
import { SimulatedMachine } from './machine.ts';
import { SimulatedNetwork } from './network.ts';
import { Operators } from './operator.ts';
import { Paths } from './paths.ts';
import type { PlantedFault } from './plants.ts';
import { SimulatedSite } from './site.ts';
import type { Wire } from './site.ts';
import { CLUSTER, SimulatedCluster } from './topic.ts';
import { VirtualTime } from './time.ts';
import { ToldEpochs } from './told-epochs.ts';
import { Trace, describeMessage } from './trace.ts';
import { TrapWatch } from './traps.ts';

/** A law that did not hold. */
export class LawBroken extends Error {
  readonly law: string;

  constructor(law: string, what: string) {
    super(`${law}: ${what}`);
    this.name = 'LawBroken';
    this.law = law;
  }
}

/** What a world is made of, before anything happens in it. */
export interface WorldPlan {
  readonly seed: number;
  /** How each site is reached, in the order of their names. */
  readonly wires: readonly Wire[];
  /** Bytes that a site's journal and its snapshots may take; by default more than any history has. */
  readonly journalBytes?: number;
  /** Frames of more bytes are applied in steps, on processors that are slow, and listeners hear of them; by default none. */
  readonly largeBytes?: number;
}

/** Sites, the network between them, writers and operators; and what has to hold of them at every moment. */
export class World {
  readonly time = new VirtualTime();
  readonly network: SimulatedNetwork;
  readonly cluster: SimulatedCluster;
  readonly sites: readonly SimulatedSite[];
  readonly ledger: Ledger;
  readonly operators: Operators;
  readonly plant: PlantedFault | undefined;
  readonly journalBytes: number | undefined;
  readonly largeBytes: number | undefined;
  readonly frames: FrameRegistry;
  readonly trace = new Trace();
  /** What was reached: each branch and trap has a name. */
  readonly marks = new Set<string>();
  /** Every entry of a table of epochs that somebody told, by its id. */
  readonly epochs = new Map<string, Epoch>();
  readonly traps = new TrapWatch(trap => this.mark(trap));
  readonly #told = new ToldEpochs();
  /** The first law that was broken; the run ends with it. */
  broken: LawBroken | undefined;

  constructor({ seed, wires, journalBytes, largeBytes }: WorldPlan, names: readonly string[], plant?: PlantedFault) {
    this.plant = plant;
    this.journalBytes = journalBytes;
    this.largeBytes = largeBytes;
    const violated = (law: string, what: string) => this.violated(law, what);
    const paths = new Paths(this.time, new Chance(seed, 'network'));
    this.network = new SimulatedNetwork(paths);
    this.cluster = new SimulatedCluster(paths, trap => this.mark(trap));
    this.ledger = new Ledger(
      site => this.#committed(site),
      (site, entry) => this.#promised(site, entry),
      this.traps,
      violated,
    );
    this.frames = new FrameRegistry(violated);
    const note = (line: string) => this.trace.add(`${this.#now()} ${line}`);
    this.operators = new Operators(note, name => this.mark(name), this.traps, violated);
    this.sites = names.map((name, index) => this.#site(seed, name, index, wires[index] ?? 'direct'));
    paths.sent.add((from, to, message) => this.#sent(from, to, message));
    paths.delivered.add((from, to, message) => this.#delivered(from, to, message));
  }

  site(name: string): SimulatedSite {
    const found = this.sites.find(site => site.name === name);
    if (found === undefined) throw new Error(`there is no site ${name}`);
    return found;
  }

  others(name: string): string[] {
    return this.sites.map(site => site.name).filter(other => other !== name);
  }

  reached(names: readonly string[], wire: Wire): string[] {
    return names.filter(name => this.site(name).wire === wire);
  }

  /** What only that disk held is nowhere any more, and nobody can be blamed. */
  wentBack(site: SimulatedSite): void {
    this.#told.forget(site.name);
    for (const entry of this.ledger.entries) {
      if (!this.sites.some(other => other.holds(entry.position))) entry.excused = true;
    }
    this.trace.add(`${this.#now()} ${site.name} went back in time`);
  }

  mark(name: string): void {
    this.marks.add(name);
  }

  violated(law: string, what: string): void {
    this.broken ??= new LawBroken(law, what);
  }

  /** A process has recovered its store, and plays no part yet. */
  opened(site: SimulatedSite, store: Store): void {
    this.trace.add(`${this.#now()} ${site.name} opened at ${formatExactPosition(store.position)}`);
    watchCommands(this, site.name, store);
    this.#told.watch(site.name, store, (law, what) => this.violated(law, what));
  }

  #promised(site: SimulatedSite, entry: LedgerEntry): void {
    this.trace.add(`${this.#now()} ${site.name} promised ${entry.id} ${entry.acknowledged}`);
    this.#assertMayAnswer(site, entry);
    if (entry.acknowledged === 0) return;
    const { position } = entry;
    // What a secondary said may arrive when it has begun to follow another primary: no acknowledgement is newer than its way.
    const holders = this.sites.filter(other => other !== site && (other.wentBack || other.holds(position) || other.keepsAside(position)));
    if (holders.length >= entry.acknowledged) return;
    this.violated('acknowledged', `${entry.id} was acknowledged by ${entry.acknowledged}, and ${holders.length} hold it`);
  }

  #delivered(from: string, to: string, message: Message): void {
    this.trace.add(`${this.#now()} ${from}>${to} ${describeMessage(message)}`);
    if (from !== CLUSTER) this.traps.delivered(this.site(to), message);
    const store = this.site(to).running?.store;
    if (message.type !== 'hello' || store === undefined || message.hello.stream !== store.stream) return;
    this.#told.hear(this.site(to), store, message.hello);
  }

  /** A site that was told of a higher epoch takes no writes. */
  #committed({ name, running }: SimulatedSite): void {
    if (this.operators.hasAbandoned(name)) this.traps.told('writes-again');
    const { store } = running!;
    const heard = this.#told.highest(name);
    const own = highestEpoch(store.epochs, store.position);
    if (heard === undefined || compareEpochs(heard, own) <= 0) return;
    this.violated(
      'one-writer',
      `${name} takes a write in epoch ${own.number} (${own.id}), and was told of epoch ${heard.number} (${heard.id})`,
    );
  }

  /** Nobody is told that a commit is safe once another epoch is known, unless a handover of this site carries it along. */
  #assertMayAnswer({ name, running }: SimulatedSite, { id, position }: LedgerEntry): void {
    if (running === undefined) return;
    const { epochs, standing, lineage } = running.store;
    // A topic brings an acknowledgement and the fence that came after it at once: writers hear of both when it is over.
    const isFenced = standing === 'fenced' && running.fencedAtMs !== this.time.nowMs;
    const isLost = !covers(lineage, position) || (isFenced && epochs.at(-1)?.end === undefined);
    if (isLost) this.violated('answered', `${name} told that ${id} is safe, and is ${standing} at ${formatExactPosition(lineage.last)}`);
  }

  #site(seed: number, name: string, index: number, wire: Wire): SimulatedSite {
    const machine = new SimulatedMachine(name, this.time, new Chance(seed, name));
    machine.reported = report => this.#reported(name, report);
    machine.dies = how => {
      this.#told.ends(this.site(name));
      this.traps.dies(this.site(name), how);
    };
    return new SimulatedSite(this, machine, index === 0 ? 'primary' : 'secondary', wire);
  }

  #reported(name: string, report: Report): void {
    const { level, event, message } = report;
    this.trace.add(`${this.#now()} ${name} ${level} ${event}: ${message}`);
    this.mark(`report:${event}`);
    this.traps.reported(this.site(name), report);
    if (event === 'link-handler-threw' || event === 'listener-threw') this.violated('handler', `${name} ${message}`);
  }

  #sent(from: string, _to: string, message: Message): void {
    if (message.type === 'hello') {
      for (const epoch of message.hello.epochs) if (epoch.end !== undefined || !this.epochs.has(epoch.id)) this.epochs.set(epoch.id, epoch);
    } else if (message.type === 'frame') {
      const frame = message.parsed ?? parseFrame(message.bytes);
      this.frames.record(frame, from);
    } else if (message.type === 'acknowledge' && message.site === from) {
      const store = this.site(from).running?.store;
      if (store === undefined) return;
      const { stable } = store.journal.log;
      const isHeld = samePosition(stable, message.durable) || covers({ epochs: store.epochs, last: stable }, message.durable);
      if (!isHeld)
        this.violated('durable', `${from} calls ${formatExactPosition(message.durable)} durable, and is at ${formatExactPosition(stable)}`);
    }
  }

  #now(): string {
    return this.time.nowMs.toFixed(3);
  }
}
