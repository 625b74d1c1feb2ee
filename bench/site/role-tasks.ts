import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenSiteOptions, Position, Site, Store } from 'evertree';
import { openSite } from 'evertree';
import { now } from '../clock.ts';
import { type Shape, picks } from '../shape.ts';
import { fill } from './fill.ts';
import { LeaderWriter } from './leader-writer.ts';
import { write } from './writer.ts';

export interface Standing {
  readonly site: string;
  readonly standing: string;
  /** How a secondary is fed. */
  readonly state: string;
  readonly position: Position;
  readonly stable: Position;
  readonly digest: string;
  /** Positions that secondaries hold durably, by their names. */
  readonly peers: Readonly<Record<string, number>>;
}

/** The tasks of a process whose site may lead or follow. The process that started it can call each method. */
export class RoleTasks {
  #site: Site | undefined;
  #directory = '';
  #paths: string[][] = [];
  #writer: LeaderWriter | undefined;

  async open(options: OpenSiteOptions): Promise<void> {
    this.#directory = options.data;
    this.#site = await openSite(options);
  }

  async fill(shape: Shape): Promise<void> {
    await fill(this.#store, shape);
  }

  /** Prepares the paths that are written to. */
  async aim(shape: Shape): Promise<void> {
    this.#paths = picks(shape);
  }

  /** Commits at this rate from now on, whenever this site leads. */
  async startWriting(perSecond: number): Promise<void> {
    this.#writer = new LeaderWriter(this.#store, this.#paths, perSecond);
  }

  /** @returns when each commit became durable here */
  async stopWriting(): Promise<Float64Array> {
    if (this.#writer === undefined) throw new Error('nobody writes');
    return this.#writer.stop();
  }

  /** @returns the pause that the sites measured, as the command prints it */
  async switchover(to: string): Promise<number> {
    const { outcome, pauseMs } = await this.#opened.switchover({ to });
    if (outcome !== 'done') throw new Error(`the switchover to ${to} ended as ${outcome}`);
    return pauseMs ?? 0;
  }

  /** @returns milliseconds from the request until the first commit of this site was durable */
  async promoteAndWrite(): Promise<number> {
    const requested = now();
    await this.#opened.promote();
    await this.#store.put('/promoted', requested).durable;
    return now() - requested;
  }

  /** Commits so many leaves, durably. */
  async diverge(count: number): Promise<void> {
    await write(this.#store, this.#paths, count, count, commit => commit.durable);
  }

  /** @returns bytes of all that is kept in `divergences/` */
  async divergedBytes(): Promise<number> {
    const folder = join(this.#directory, 'divergences');
    const sizes = (await readdir(folder)).map(async name => (await stat(join(folder, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  /** @returns when this site followed at this position, durably: on the monotonic clock */
  async followed({ epoch, revision }: Position): Promise<number> {
    const { store } = this.#opened;
    const isThere = () => {
      const { position } = store.stable;
      return store.role === 'secondary' && position.epoch === epoch && position.revision >= revision;
    };
    return new Promise(resolve => {
      if (isThere()) return resolve(now());
      const listening = store.on('stable', () => {
        if (!isThere()) return;
        listening[Symbol.dispose]();
        resolve(now());
      });
    });
  }

  async standing(): Promise<Standing> {
    const site = this.#opened;
    const { position, stable, digest } = site.store;
    const peers = Object.fromEntries((site.producer?.peers ?? []).map(peer => [peer.site, peer.position?.revision ?? -1]));
    return { site: site.name, standing: site.standing, state: site.state, position, stable: stable.position, digest, peers };
  }

  get #opened(): Site {
    if (this.#site === undefined) throw new Error('the site is not open');
    return this.#site;
  }

  get #store(): Store {
    return this.#opened.store;
  }
}
