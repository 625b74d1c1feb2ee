import type { Batch, ExactPosition, OpenSiteOptions, Site, SiteStore } from 'evertree';
import { openSite, version } from 'evertree';
import { startHttp } from '../../packages/evertree/src/http/server.ts';
import { type Shape, picks } from '../shape.ts';
import { fill } from './fill.ts';
import { LeaderWriter } from './leader-writer.ts';
import { type Stalls, StallProbe } from './stalls.ts';

export interface ServedState {
  readonly position: ExactPosition;
  readonly stable: ExactPosition;
  readonly digest: string;
}

/**
 * The tasks of a site's process that answers over HTTP, as the program does, and tells how long its event loop was held.
 * The process that started it can call each method.
 */
export class ServedTasks {
  #site: Site | undefined;
  #probe: StallProbe | undefined;
  #writer: LeaderWriter | undefined;
  #listening: Disposable | undefined;

  async open(options: OpenSiteOptions, port: number): Promise<void> {
    this.#site = await openSite(options);
    await startHttp({ site: this.#site, address: '127.0.0.1', port, report: () => undefined, version });
  }

  async fill(shape: Shape): Promise<void> {
    await fill(this.#opened.store, shape);
  }

  /** Commits at this rate from now on. */
  async startWriting(shape: Shape, perSecond: number): Promise<void> {
    this.#writer = new LeaderWriter(this.#opened.store, picks(shape), perSecond);
  }

  async stopWriting(): Promise<void> {
    await this.#writer?.stop();
  }

  /** Listens as an application does, and reads each modification of a batch, giving way now and then. */
  async listen(pattern: string): Promise<void> {
    this.#listening = this.#opened.store.listen(pattern, readAll);
  }

  async stopListening(): Promise<void> {
    this.#listening?.[Symbol.dispose]();
  }

  async state(): Promise<ServedState> {
    const { position, stable, digest } = this.#opened.store;
    return { position, stable: stable.position, digest };
  }

  /** Waits until the index of changes covers what is stable. */
  async indexed(): Promise<void> {
    await (this.#opened.store as SiteStore).changeIndex?.caughtUp();
  }

  /** Collects garbage, so that what one request left is not collected in the next one. */
  async watchStalls(): Promise<void> {
    globalThis.gc?.();
    this.#probe = new StallProbe();
    this.#probe.start();
  }

  async stalls(): Promise<Stalls> {
    if (this.#probe === undefined) throw new Error('nobody watches');
    return this.#probe.stop();
  }

  get #opened(): Site {
    if (this.#site === undefined) throw new Error('the site is not open');
    return this.#site;
  }
}

async function readAll({ changes }: Batch): Promise<void> {
  let seen = 0;
  for (const { path } of changes) {
    if (path.length < 0) throw new Error('a path has no negative length');
    if (++seen % 1_000 === 0) await new Promise(resolve => setImmediate(resolve));
  }
}
