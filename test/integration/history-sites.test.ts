import { forkOf, type Path, sameValue, type Store, type Value } from '@evertree/core';
import { HistoryQueries, IndexBuilder, JournalIndex } from '@evertree/history';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { HistoryOracle, isPrefix } from '../support/history-oracle.ts';
import { systemClock } from '../support/host.ts';
import { diskStore } from '../support/stores.ts';

/** One of two sites, with an index that lives through all that happens to it. */
class IndexedSite implements AsyncDisposable {
  readonly name: string;
  readonly #disk = new FaultDisk();
  store!: Store;
  #index!: JournalIndex;

  private constructor(name: string) {
    this.name = name;
  }

  static async open(name: string, role: 'primary' | 'secondary'): Promise<IndexedSite> {
    const site = new IndexedSite(name);
    await site.#open(role);
    return site;
  }

  get queries(): HistoryQueries {
    return new HistoryQueries({ store: this.store, index: this.#index });
  }

  async restart(): Promise<void> {
    const { role } = this.store;
    await this[Symbol.asyncDispose]();
    await this.#open(role);
  }

  /** Lets the index cover what is there now. */
  async indexed(): Promise<void> {
    await this.store.flush();
    await this.#index.caughtUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#index.close();
    await this.store.close();
  }

  async #open(role: 'primary' | 'secondary'): Promise<void> {
    const journalOptions = { retentionMaxBytes: 1 << 30, segmentBytes: 2_048 };
    ({ store: this.store } = await diskStore(this.#disk, { site: this.name, role, journalOptions }));
    const options = { disk: this.#disk, log: this.store.journal.log, clock: systemClock, report: () => undefined };
    const disk = this.#disk;
    this.#index = new JournalIndex({ ...options, build: events => new IndexBuilder({ disk, breathe: () => undefined }, events) });
  }
}

/** Two sites that swap roles by promotions, each of which cuts off what only the old primary has. */
class TwoSites implements AsyncDisposable {
  primary: IndexedSite;
  secondary: IndexedSite;
  /** Names of epochs, in the order in which they begin. */
  #epochs = 0;
  /** Positions that a promotion cut off, at the site where they were. */
  readonly cutOff: { readonly site: IndexedSite; readonly epoch: number; readonly revision: number }[] = [];

  private constructor(primary: IndexedSite, secondary: IndexedSite) {
    this.primary = primary;
    this.secondary = secondary;
  }

  static async open(): Promise<TwoSites> {
    return new TwoSites(await IndexedSite.open('athens', 'primary'), await IndexedSite.open('berlin', 'secondary'));
  }

  async send(): Promise<void> {
    const { primary, secondary } = this;
    await primary.store.flush();
    const reader = primary.store.journal.log.read(secondary.store.position);
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) secondary.store.applyFrame(stored.frame);
    await reader.close();
    await secondary.store.flush();
  }

  async promote(): Promise<void> {
    const { primary: old, secondary: next } = this;
    if (next.store.position.revision === 0) return;
    await old.store.flush();
    const number = old.store.position.epoch + 1;
    next.store.beginEpoch({ number, id: String(++this.#epochs).padStart(16, '0') }, 'promotion');
    await next.store.flush();
    const fork = forkOf(next.store.lineage, old.store.lineage);
    const { epoch, revision } = old.store.position;
    if (revision > fork.revision) this.cutOff.push({ site: old, epoch, revision });
    await old.store.follow();
    await old.store.rewind(fork);
    [this.primary, this.secondary] = [next, old];
    await this.send();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.primary[Symbol.asyncDispose]();
    await this.secondary[Symbol.asyncDispose]();
  }
}

const key = fc.constantFrom('a', 'b', '🌲', '');
const path = fc.array(key, { maxLength: 3 });
const value = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant({}), fc.constant({ a: { b: [1] }, b: 2 }), fc.constant(null));

type Step = (sites: TwoSites) => Promise<void> | void;

function writing(at: Path, written: Value | undefined): Step {
  return ({ primary: { store } }) => {
    try {
      if (written === undefined) store.delete(at, { author: 'ann' });
      else store.put(at, written);
    } catch (error) {
      expect(error).toMatchObject({ code: 'PATH_INVALID' });
    }
  };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: fc.tuple(path, value).map(([at, written]) => writing(at, written as Value)) },
  { weight: 6, arbitrary: path.map(at => writing(at, undefined)) },
  { weight: 4, arbitrary: fc.constant<Step>(({ primary }) => primary.store.cut()) },
  { weight: 4, arbitrary: fc.constant<Step>(sites => sites.send()) },
  { weight: 4, arbitrary: fc.constant<Step>(sites => sites.promote()) },
  { weight: 1, arbitrary: fc.constant<Step>(({ primary }) => primary.restart()) },
  { weight: 1, arbitrary: fc.constant<Step>(({ secondary }) => secondary.restart()) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1).map(which => (sites: TwoSites) => [sites.primary, sites.secondary][which]!.indexed()) },
  { weight: 1, arbitrary: fc.constant<Step>(async ({ primary }) => void (await primary.store.saveSnapshot())) },
  { weight: 1, arbitrary: fc.constant<Step>(async ({ secondary }) => void (await secondary.store.saveSnapshot())) },
  {
    weight: 1,
    arbitrary: fc.constant<Step>(({ primary: { store } }) => {
      if (store.position.revision > 0) store.mark('here', { move: true });
    }),
  },
);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function compareAnswers({ queries, store }: IndexedSite, at: Path): Promise<HistoryOracle> {
  const oracle = await HistoryOracle.of(store);
  expect((await all(queries.changes('', { order: 'oldest' }))).map(({ position }) => position)).toEqual(
    oracle.commits.map(({ position }) => position),
  );
  const changes = await all(queries.changes(at, { values: true }));
  expect(changes.map(({ position }) => position)).toEqual(
    oracle
      .concerning(at)
      .map(({ position }) => position)
      .toReversed(),
  );
  for (const { position, operations } of changes) {
    for (const { path: own, above, before, after } of operations) {
      expect(sameValue(before, oracle.valueAt(above ? at : own, position.revision - 1))).toBe(true);
      expect(sameValue(after, oracle.valueAt(above ? at : own, position.revision))).toBe(true);
    }
  }
  for (let revision = 0; revision <= oracle.last; revision++) {
    const position = oracle.exact(revision);
    expect((await queries.resolve(position)).position).toEqual(position);
    const { value: found } = await queries.read(at, position);
    expect(sameValue(found, oracle.valueAt(at, revision))).toBe(true);
  }
  for (let revision = 0; revision <= oracle.last; revision += 3) {
    using whole = await queries.at(oracle.exact(revision));
    using rebuilt = await new HistoryQueries({ store }).at(oracle.exact(revision));
    expect(whole.header).toEqual(rebuilt.header);
    expect(sameValue(whole.get(''), oracle.states[revision])).toBe(true);
  }
  const writers = oracle.writersAt([], oracle.last);
  for (const { path: leaf, position } of await all(queries.blame(''))) {
    const [, writer] = [...writers].find(([known]) => isPrefix(JSON.parse(known) as Path, leaf)) ?? [];
    if (writer !== undefined) expect(position.revision).toBe(writer.revision);
  }
  return oracle;
}

describe('the questions to two sites that take turns', () => {
  it('are answered alike by both, whatever was cut off; and what was cut off is said to be so', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), path, async (steps, at) => {
        await using sites = await TwoSites.open();
        for (const each of steps) await each(sites);
        await sites.send();
        const [first, second] = [await compareAnswers(sites.primary, at), await compareAnswers(sites.secondary, at)];
        expect(second.commits).toEqual(first.commits);
        for (const { site, epoch, revision } of sites.cutOff) {
          const code = site.store.position.revision >= revision ? 'HISTORY_MISMATCH' : expect.stringMatching(/MISMATCH/);
          await expect(site.queries.resolve({ epoch, revision })).rejects.toMatchObject({ code });
        }
      }),
      { numRuns: 40 },
    );
  });
});
