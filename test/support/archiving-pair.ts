import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Identities, type Target, restoreSite } from '@evertree/archive';
import { nodeDisk } from '@evertree/journal';
import { openStore } from 'evertree';
import { expect } from 'vitest';
import { checkArchive } from './archive-check.ts';
import { Testimony, judgeArchive, unsealedFiles } from './archive-judge.ts';
import { BatchWriter } from './batch-writer.ts';
import { systemClock as clock, systemRandom as random } from './host.ts';
import type { Simulation } from './simulation.ts';
import { SiteProcess, freePort, until } from './site-process.ts';
import { framesOf } from './stores.ts';

const START_LIMIT_MS = 20_000;
/** Also on a machine that is slow. */
const LEAST_MISHAPS = 6;
const SETTLE_LIMIT_MS = 60_000;
/** What the writer's lines have in plain: no byte of an encrypted archive may spell it. */
const MARKERS = ['written', 'xxxxxxxxxxxxxxxx', 'north', 'south'];

/** Where two sites archive, and what may happen there. */
export interface FaultyPlace {
  /** The section `archive` of the sites' files. */
  readonly section: Readonly<Record<string, unknown>>;
  /** Faults; one that is listed twice is drawn twice as often. */
  readonly mishaps: readonly ((dice: Simulation) => Promise<void> | void)[];
  /** Ends all of them. */
  heal(): Promise<void>;
  /** The place itself, past all faults. */
  target(): Promise<Target>;
  /** The folder with the stored bytes. */
  readonly folder: string;
  readonly identities?: Identities;
}

/** A primary and its secondary, in processes of their own, that both archive into one place, or the primary alone. */
export class ArchivingPair implements AsyncDisposable {
  readonly primary: SiteProcess;
  readonly secondary: SiteProcess;
  readonly writer: BatchWriter;
  readonly #place: FaultyPlace;
  readonly #directory: string;
  readonly #archives: 'both' | 'primary';
  #judged = 0;

  private constructor(directory: string, place: FaultyPlace, primary: SiteProcess, secondary: SiteProcess, archives: 'both' | 'primary') {
    this.#archives = archives;
    this.#directory = directory;
    this.#place = place;
    this.primary = primary;
    this.secondary = secondary;
    this.writer = new BatchWriter(primary);
  }

  /** @param archives who does */
  static async start(directory: string, place: FaultyPlace, archives: 'both' | 'primary' = 'both'): Promise<ArchivingPair> {
    const [port, primaryHttp, secondaryHttp] = [await freePort(), await freePort(), await freePort()];
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 50 };
    const archive = place.section;
    const producer = await write(directory, 'producer.json', { 'netty-connection': connection, archive });
    const consumer = await write(directory, 'consumer.json', {
      'netty-consumer': { 'listening-port': port },
      ...(archives === 'both' ? { archive } : {}),
    });
    const primary = new SiteProcess({
      role: 'primary',
      site: 'north',
      config: producer,
      data: join(directory, 'north'),
      httpPort: primaryHttp,
    });
    const secondary = new SiteProcess({
      role: 'secondary',
      site: 'south',
      config: consumer,
      data: join(directory, 'south'),
      httpPort: secondaryHttp,
    });
    await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
    return new ArchivingPair(directory, place, primary, secondary, archives);
  }

  /** Injects faults for so long, at random points of a load. @returns how many */
  async mistreat(dice: Simulation, milliseconds: number): Promise<number> {
    const endMs = performance.now() + milliseconds;
    const { mishaps } = this.#place;
    const { primary, secondary } = this;
    const all = [
      ...mishaps,
      () => primary.kill(),
      () => secondary.kill(),
      async () => void (await Promise.all([primary.kill(), secondary.kill()])),
      () => primary.stop(),
      () => this.#judgeLive(),
    ];
    let count = 0;
    while (performance.now() < endMs || count < LEAST_MISHAPS) {
      await this.#load(dice.below(15), endMs);
      await all[dice.below(all.length)]!(dice);
      count += 1;
      const bothAreDead = !primary.isRunning && !secondary.isRunning;
      if (bothAreDead) await this.judge();
      for (const site of [primary, secondary]) if (!site.isRunning) await site.start(START_LIMIT_MS);
    }
    return count;
  }

  async #load(batches: number, endMs: number): Promise<void> {
    const enough = this.writer.batches + batches;
    await until('the writer goes on', async () => this.writer.batches >= enough || performance.now() > endMs, START_LIMIT_MS);
  }

  /** Ends the faults, and waits until both sites have archived everything. */
  async settle(): Promise<void> {
    await this.writer.stop();
    await this.#place.heal();
    const sites = [this.primary, this.secondary];
    const isArchived = async (): Promise<boolean> => {
      const found = await Promise.all(sites.map(site => site.status()));
      const [ours, theirs] = found.map(status => (status as ArchivingStatus | undefined)?.archive?.position?.revision);
      const revision = found[0]?.position.revision;
      const isTheirs = theirs === revision || this.#archives === 'primary';
      return revision !== undefined && ours === revision && isTheirs && found[1]?.position.revision === revision;
    };
    try {
      await until('both have archived everything', isArchived, SETTLE_LIMIT_MS);
    } catch (error) {
      const told = sites.map(async site => `${JSON.stringify(await site.status(), null, 1)}\n${site.tail()}`);
      throw new Error((await Promise.all(told)).join('\n\n'), { cause: error });
    }
  }

  /**
   * Every state that is listed can be restored, and is what the sites say. Nobody may write meanwhile.
   * @param testimony what the sites say, where they were asked
   */
  async judge(testimony = new Testimony()): Promise<void> {
    await this.#place.heal();
    await using target = await this.#place.target();
    const { identities } = this.#place;
    await judgeArchive(target, testimony, identities);
    await checkArchive(target, identities);
    if (identities !== undefined) expect(await unsealedFiles(this.#place.folder, MARKERS), 'plain bytes').toEqual([]);
    this.#judged += 1;
  }

  /** What is listed can be restored at any moment, while both write. */
  async #judgeLive(): Promise<void> {
    await this.#place.heal();
    await using target = await this.#place.target();
    await judgeArchive(target, new Testimony(), this.#place.identities);
    this.#judged += 1;
  }

  get judged(): number {
    return this.#judged;
  }

  /** Stops both, and compares the archive with their journals, and a state at a random revision with the tree of then. */
  async compare(dice: Simulation): Promise<void> {
    await Promise.all([this.primary.stop(), this.secondary.stop()]);
    const testimony = new Testimony();
    for (const { data } of [this.primary, this.secondary]) {
      await using store = await openStore({ data });
      testimony.take(await framesOf(store.journal));
    }
    expect(testimony.size).toBeGreaterThan(0);
    await this.judge(testimony);
    await using store = await openStore({ data: this.primary.data });
    const revision = 1 + dice.below(store.position.revision);
    const epoch = store.epochs.findLast(({ base }) => base.revision < revision)!.number;
    const data = join(this.#directory, `restored-${revision}`);
    await using target = await this.#place.target();
    await restoreSite({
      target,
      identities: this.#place.identities,
      disk: nodeDisk(data),
      clock,
      random,
      to: { epoch, revision },
      site: 'restored',
      dryRun: false,
    });
    await using restored = await openStore({ data });
    using then = await store.at({ epoch, revision });
    expect(restored.get('')).toEqual(then.get(''));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.stop();
    await Promise.all([this.primary.kill(), this.secondary.kill()]);
  }
}

interface ArchivingStatus {
  readonly archive?: { readonly position: { readonly revision: number } | null };
}

async function write(directory: string, name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}
