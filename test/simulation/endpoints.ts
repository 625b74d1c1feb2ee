import { SITE } from '@evertree/core';
import type { Transport, TransportEvents } from '@evertree/core';
import { SimulatedLink } from './link.ts';
import type { LinkEnd } from './link.ts';
import type { SimulatedProcess } from './machine.ts';
import type { Paths } from './paths.ts';

const RETRY_MS = 40;

/** Who listens, by the name of the machine. */
type Listeners = Map<string, Listening>;

interface Wires {
  readonly paths: Paths;
  readonly listeners: Listeners;
  readonly links: Set<SimulatedLink>;
}

/** The end that listens. */
export class Listening implements Transport {
  readonly farEnd = SITE;
  readonly remotes: readonly string[] = [];
  readonly process: SimulatedProcess;
  readonly #listeners: Listeners;
  readonly #ends = new Set<LinkEnd>();
  #events: TransportEvents | undefined;

  constructor(listeners: Listeners, process: SimulatedProcess) {
    this.#listeners = listeners;
    this.process = process;
    process.died.add(() => this.#unregister());
  }

  open(events: TransportEvents): Promise<void> {
    const { name } = this.process.machine;
    if (this.#listeners.has(name)) return Promise.reject(new Error(`${name} listens already`));
    this.#events = events;
    this.#listeners.set(name, this);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#unregister();
    this.#events = undefined;
    return closeAll(this.#ends, 'this site stops listening');
  }

  accept(end: LinkEnd): void {
    this.#ends.add(end);
    this.process.run(() => {
      if (this.#events === undefined) end.lose('lost', 'nobody listens any more');
      else this.#events.link(end);
    });
  }

  ended(end: LinkEnd): void {
    this.#ends.delete(end);
  }

  #unregister(): void {
    const { name } = this.process.machine;
    if (this.#listeners.get(name) === this) this.#listeners.delete(name);
  }
}

/** The end that dials, again and again, as long as it has no link. */
export class Dialling implements Transport {
  readonly farEnd = SITE;
  readonly remotes: readonly string[];
  readonly process: SimulatedProcess;
  readonly #wires: Wires;
  readonly #ends = new Map<LinkEnd, string>();
  #events: TransportEvents | undefined;

  constructor(wires: Wires, process: SimulatedProcess, remotes: readonly string[]) {
    this.#wires = wires;
    this.process = process;
    this.remotes = remotes;
  }

  open(events: TransportEvents): Promise<void> {
    this.#events = events;
    for (const remote of this.remotes) this.#dial(remote);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#events = undefined;
    return closeAll(this.#ends.keys(), 'this site stops dialling');
  }

  /** A second link beside the one there is. */
  dialAgain(remote: string): void {
    this.process.run(() => void this.#connect(remote));
  }

  ended(end: LinkEnd): void {
    const remote = this.#ends.get(end);
    this.#ends.delete(end);
    if (remote !== undefined) this.#redial(remote);
  }

  #dial(remote: string): void {
    if (this.#events === undefined || [...this.#ends.values()].includes(remote) || this.#connect(remote)) return;
    this.#events.failed(remote, new Error(`${remote} does not answer`), RETRY_MS);
    this.#redial(remote);
  }

  #redial(remote: string): void {
    this.process.clock.after(RETRY_MS * (0.5 + this.#wires.paths.chance.fraction()), () => this.#dial(remote));
  }

  #connect(remote: string): boolean {
    const { paths, listeners, links } = this.#wires;
    const { name } = this.process.machine;
    const listener = listeners.get(remote);
    if (this.#events === undefined || listener === undefined) return false;
    if (paths.of(name, remote).blocked || paths.of(remote, name).blocked) return false;
    const link = new SimulatedLink(paths, links, this, listener);
    this.#ends.set(link.dialled, remote);
    this.#events.link(link.dialled);
    listener.accept(link.accepted);
    return true;
  }
}

/** Resolves when each of them was told of its end. */
async function closeAll(ends: Iterable<LinkEnd>, explanation: string): Promise<void> {
  const open = [...ends];
  for (const end of open) end.close('going-away', explanation);
  await Promise.all(open.map(end => end.gone));
}
