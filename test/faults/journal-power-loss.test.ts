import type { ExactPosition } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, latin1, readAll, thrown } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

/** What happens to a journal, one after the other. Numbers are sizes or shares. */
type Step =
  | { readonly do: 'append'; readonly frames: number; readonly bytes: number; readonly begins: 'nothing' | 'epoch' | 'restart' }
  | { readonly do: 'flush' | 'flushSync' | 'turn' | 'snapshot' | 'retain' | 'replace' | 'reopen' | 'crash' | 'powerLoss' }
  | { readonly do: 'peer' | 'rewind'; readonly back: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      frames: fc.integer({ min: 1, max: 12 }),
      bytes: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 3000 })),
      begins: fc.constantFrom('nothing', 'nothing', 'epoch', 'restart'),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'flush',
        'flush',
        'flushSync',
        'turn',
        'turn',
        'snapshot',
        'retain',
        'replace',
        'reopen',
        'crash',
        'powerLoss',
        'powerLoss',
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('peer' as const), back: fc.integer({ min: 0, max: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rewind' as const), back: fc.integer({ min: 0, max: 30 }) }) },
);

/** A journal on a disk, and what it owes. */
class Bench {
  chain = new FrameChain();
  disk: FaultDisk;
  journal!: DiskJournal;
  /** The highest position that was ever stable. */
  stable: ExactPosition = ORIGIN;
  /** The newest snapshot that was committed, and where the history began anew. */
  snapshot: ExactPosition = ORIGIN;
  /** The frames of the divergences that were kept, by name. */
  readonly kept = new Map<string, readonly string[]>();
  /** It went back, or started anew: what it writes next has another epoch id than what went. */
  #hasGoneBack = false;
  #undo: Disposable | undefined;
  readonly #simulation: Simulation;
  readonly #sync: 'dsync' | 'fdatasync';

  constructor(seed: number, sync: 'dsync' | 'fdatasync', blockBytes: 512 | 4096) {
    this.#simulation = new Simulation(seed);
    this.#sync = sync;
    this.disk = new FaultDisk({ blockBytes });
  }

  async open(): Promise<void> {
    this.journal = await openJournal({
      disk: this.disk,
      clock: systemClock,
      random: systemRandom,
      report: strictReport,
      options: { sync: this.#sync, segmentBytes: 6_000, tailBytes: 2_000, retentionMaxBytes: 40_000 },
    });
    this.#undo = this.journal.log.onProgress(() => {
      this.stable = this.journal.log.stable;
    });
  }

  async run(action: Step): Promise<void> {
    const { journal, chain } = this;
    switch (action.do) {
      case 'append':
        for (let index = 0; index < action.frames; index++) {
          const { bytes } = action;
          const options = index === 0 ? { bytes, ...this.#beginning(action.begins) } : { bytes, count: 1 + (index % 3) };
          journal.log.append(chain.next(options), index % 4 === 3 ? Buffer.from('a note') : undefined);
          this.#hasGoneBack = false;
        }
        return;
      case 'flush':
        await journal.log.flush();
        expect(journal.log.stable).toEqual(chain.position);
        return;
      case 'flushSync':
        journal.log.flushSync();
        expect(journal.log.stable).toEqual(chain.position);
        return;
      case 'turn':
        await new Promise(resolve => void setImmediate(resolve));
        return;
      case 'snapshot':
        if (chain.frames.length > 0) await this.#save(false);
        return;
      case 'replace':
        if (chain.frames.length > 0) await this.#save(true);
        return;
      case 'peer':
        if (chain.frames.length > 0) journal.leases.hold('peer', 'b', chain.frames.at(-1 - action.back)?.header.last ?? ORIGIN);
        return;
      case 'rewind':
        if (chain.frames.length > 0) await this.#rewind(chain.frames.at(-1 - action.back)?.header.last ?? ORIGIN);
        return;
      case 'retain':
        await journal.retention.apply();
        return;
      case 'reopen':
        await journal.close();
        this.stable = journal.log.stable;
        return this.#openAgain();
      case 'crash':
        this.disk = this.disk.crash();
        return this.#openAgain();
      case 'powerLoss':
        this.disk = this.disk.powerLoss(() => this.#simulation.fraction());
        return this.#openAgain();
    }
  }

  /** The law: every frame that was ever stable, and what follows from them; a beginning; and all of it can be read. */
  async check(): Promise<void> {
    const { journal, chain } = this;
    expect(journal.log.stable).toEqual(journal.log.last);
    expect(journal.log.last.revision).toBeGreaterThanOrEqual(this.stable.revision);
    const ends = [ORIGIN, this.snapshot, ...chain.frames.map(frame => frame.header.last)];
    expect(ends).toContainEqual(journal.log.last);
    const expected = chain.frames.filter(
      ({ header }) => header.base.revision >= journal.log.base.revision && header.last.revision <= journal.log.last.revision,
    );
    const found = await readAll(journal, journal.log.base);
    expect(found.map(frame => frame.bytes)).toEqual(expectedFrames(expected).map(frame => frame.bytes));
    const newest = await journal.snapshots.newest();
    const beginning = newest?.header.position ?? ORIGIN;
    expect(beginning.revision).toBeGreaterThanOrEqual(this.snapshot.revision);
    expect(beginning.revision).toBeGreaterThanOrEqual(journal.log.base.revision);
    if (newest !== undefined) expect(await chunksOf(newest)).toEqual([`the tree at ${beginning.revision}`]);
  }

  /** What was kept stays, whatever became of the history. */
  async checkDivergences(): Promise<void> {
    const { divergences } = this.journal;
    expect(
      divergences
        .list()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual([...this.kept.keys()].toSorted());
    for (const [name, frames] of this.kept) {
      const found: string[] = [];
      for await (const { frame } of divergences.read(name)) found.push(latin1(frame.bytes));
      expect(found).toEqual(frames);
    }
  }

  async end(): Promise<void> {
    await this.journal.close();
  }

  #beginning(begins: 'nothing' | 'epoch' | 'restart') {
    if (this.chain.epochs.length === 0 || begins === 'epoch') return { beginsEpoch: true };
    return begins === 'restart' || this.#hasGoneBack ? { restart: true } : { count: 1 };
  }

  async #save(replace: boolean): Promise<void> {
    const { journal, chain } = this;
    const header = chain.snapshotHeader();
    const writer = await journal.snapshots.create(header, { replace });
    await writer.write(Buffer.from(`the tree at ${chain.position.revision}`));
    await writer.commit();
    this.snapshot = header.position;
    this.stable = journal.log.stable;
    if (replace) expect([journal.log.base, journal.log.last]).toEqual([header.position, header.position]);
  }

  /** To a position that the history may not reach back to. */
  async #rewind(position: ExactPosition): Promise<void> {
    const { journal, chain } = this;
    const gone = chain.frames.filter(({ header }) => header.last.revision > Math.max(position.revision, journal.log.base.revision));
    const names: string[] = [];
    const refused = await thrown(() =>
      journal.log.rewind(position, async divergence => void names.push((await journal.divergences.keep(divergence, 1)).name)),
    );
    if (refused !== 'nothing was thrown') {
      expect(refused).toMatchObject({ code: 'COMPACTED' });
      return;
    }
    expect(names.length).toBe(gone.length === 0 ? 0 : 1);
    for (const name of names)
      this.kept.set(
        name,
        expectedFrames(gone).map(({ bytes }) => bytes),
      );
    this.#hasGoneBack = true;
    chain.rewind(position);
    this.stable = journal.log.stable;
    this.snapshot = (await journal.snapshots.newest())?.header.position ?? ORIGIN;
    await this.check();
  }

  async #openAgain(): Promise<void> {
    this.#undo?.[Symbol.dispose]();
    await this.open();
    await this.check();
    await this.checkDivergences();
    this.chain.rewind(this.journal.log.last);
    this.#hasGoneBack = true;
    this.stable = this.journal.log.last;
  }
}

describe('any sequence of appends, flushes, snapshots, retention and power losses', () => {
  test.each([
    ['dsync', 512],
    ['dsync', 4096],
    ['fdatasync', 512],
  ] as const)(
    'opens again with every frame that was ever stable, and a prefix of what was appended (%s, blocks of %i)',
    async (sync, block) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30 }), fc.integer(), async (steps, seed) => {
          const bench = new Bench(seed, sync, block);
          await bench.open();
          for (const action of [...steps, { do: 'powerLoss' } as const]) await bench.run(action);
          await bench.end();
        }),
        { numRuns: 150 },
      );
    },
  );
});
