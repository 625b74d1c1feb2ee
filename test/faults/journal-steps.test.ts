import { isDeepStrictEqual } from 'node:util';
import type { ExactPosition } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, fill, readAll, save } from '../conformance/journal-suite.ts';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { expectErrors, strictReport } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

const simulation = new Simulation(20_261_121);

function open(disk: FaultDisk): Promise<DiskJournal> {
  const options = { sync: 'fdatasync', segmentBytes: 2_000, tailBytes: 500 } as const;
  return openJournal({ disk, clock: systemClock, random: systemRandom, report: strictReport, identity: { site: 'a' }, options });
}

/** A journal with history before and after a snapshot, in several segments. */
async function prepare() {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const journal = await open(disk);
  await fill(journal, chain, 12, 300);
  journal.leases.hold('peer', 'b', chain.frames[0]!.header.last);
  await save(journal, chain, ['old tree']);
  await fill(journal, chain, 12, 300);
  return { disk, chain, journal };
}

/** What may be found after a death in the middle. */
interface Outcome {
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly tree: string | undefined;
}

async function outcomeOf(journal: DiskJournal, chain: FrameChain): Promise<Outcome> {
  const { base, last } = journal.log;
  const frames = chain.frames.filter(({ header }) => header.base.revision >= base.revision && header.last.revision <= last.revision);
  expect(await readAll(journal, base)).toEqual(expectedFrames(frames));
  return { base, last, tree: (await chunksOf(await journal.snapshots.newest()))[0] };
}

interface Prepared {
  readonly disk: FaultDisk;
  readonly chain: FrameChain;
  readonly journal: DiskJournal;
}

/**
 * What is found after a death at any step of `act` has to be one of `allowed`, has to stay so when it is opened again,
 * and has to be able to go on. Each of `allowed` has to come about; the last one is what a process finds that got
 * through.
 */
async function expectOutcomes(
  act: (prepared: Prepared) => Promise<unknown>,
  allowed: (chain: FrameChain) => readonly Partial<Outcome>[],
  check: (prepared: Prepared, outcome: Outcome) => void = () => undefined,
): Promise<void> {
  const seen = new Set<number>();
  await dieAtEachStep(prepare, act, async ({ prepared, found, died, where }) => {
    const again = await open(found);
    const outcome = await outcomeOf(again, prepared.chain);
    const index = allowed(prepared.chain).findIndex(({ last, tree }) => isDeepStrictEqual([last, tree], [outcome.last, outcome.tree]));
    expect(index, `${where}: ${JSON.stringify(outcome)}`).toBeGreaterThanOrEqual(0);
    if (!died) expect(index, where).toBe(allowed(prepared.chain).length - 1);
    seen.add(index);
    check(prepared, outcome);
    await again.retention.apply();
    const third = await open(found.powerLoss(() => 0));
    expect(await outcomeOf(third, prepared.chain), where).toMatchObject({ last: outcome.last, tree: outcome.tree });
    prepared.chain.rewind(third.log.last);
    await third.close();
  });
  expect([...seen].toSorted((a, b) => a - b)).toEqual(allowed(new FrameChain()).map((_, index) => index));
}

describe('a death at any step', () => {
  test('of a snapshot that replaces the history leaves the old one or the new one', async () => {
    const before: ExactPosition = { epoch: 1, epochId: 'cc'.repeat(8), revision: 7 };
    for (const beginning of [before, { ...before, epoch: 3, revision: 500 }]) {
      await expectOutcomes(
        async ({ journal, chain }) => {
          const writer = await journal.snapshots.create(chain.snapshotHeader(beginning), { replace: true });
          await writer.write(Buffer.from('new tree'));
          await writer.commit();
        },
        chain => [
          { last: chain.position, tree: 'old tree' },
          { last: beginning, tree: 'new tree' },
        ],
      );
    }
  });

  test('of a snapshot leaves all frames, and the old or the new one', async () => {
    await expectOutcomes(
      async ({ journal, chain }) => {
        journal.leases.release('peer', 'b');
        await save(journal, chain, ['new tree']);
      },
      chain => [
        { last: chain.position, tree: 'old tree' },
        { last: chain.position, tree: 'new tree' },
      ],
    );
  });

  test('of retention leaves all that is needed', async () => {
    await expectOutcomes(
      async ({ journal, chain }) => {
        await save(journal, chain, ['new tree']);
        journal.leases.release('peer', 'b');
        await journal.retention.apply();
      },
      chain => [
        { last: chain.position, tree: 'old tree' },
        { last: chain.position, tree: 'new tree' },
      ],
    );
  });

  test.each([
    ['within a segment', 14],
    ['at the end of a segment', 15],
    ['at the snapshot', 12],
  ])('of a rewind leaves the old history or the cut one, and what goes was kept before: %s', async (_, revision) => {
    const kept = new Map<FaultDisk, number>();
    await expectOutcomes(
      async ({ journal, chain, disk }) => {
        await save(journal, chain, ['late tree']);
        await journal.log.rewind(chain.frames[revision - 1]!.header.last, async divergence => {
          let frames = 0;
          for await (const { frame } of divergence.frames()) frames += frame.header.count;
          kept.set(disk, frames);
        });
      },
      chain => [
        { last: chain.position, tree: 'old tree' },
        { last: chain.position, tree: 'late tree' },
        { last: { ...chain.position, revision }, tree: 'old tree' },
      ],
      ({ disk }, { last }) => {
        if (last.revision === revision) expect(kept.get(disk)).toBe(24 - revision);
      },
    );
  });

  test('of finishing a rewind at the next opening leaves the cut history', async () => {
    await dieAtEachStep(
      async () => {
        const { disk, chain, journal } = await prepare();
        expectErrors('storage-failed');
        disk.fail({ operation: 'remove', path: /journal/, code: 'EIO' });
        const { last } = chain.frames[13]!.header;
        await expect(journal.log.rewind(last, () => Promise.resolve())).rejects.toThrow('EIO');
        const found = disk.crash();
        expect(found.files).toContain('rewind.json');
        return { disk: found, chain, last };
      },
      async ({ disk }) => (await open(disk)).close(),
      async ({ prepared: { chain, last }, found, where }) => {
        const journal = await open(found);
        expect((await outcomeOf(journal, chain)).last, where).toEqual(last);
        expect(found.files).not.toContain('rewind.json');
        await journal.close();
      },
    );
  });

  test('of a fence leaves no fence or the new one, and the new one once the call has returned', async () => {
    const epoch = { number: 5, id: '55'.repeat(8), begun: true };
    await dieAtEachStep(
      prepare,
      ({ journal }) => journal.identity.fence(epoch),
      async ({ found, died, where }) => {
        const journal = await open(found);
        expect([died ? journal.identity.fencedBy : undefined, epoch], where).toContainEqual(journal.identity.fencedBy);
        if (!died) expect(journal.identity.fencedBy, where).toEqual(epoch);
        expect(journal.identity.site).toBe('a');
        await journal.close();
      },
    );
  });

  test('of opening a torn directory loses nothing more', async () => {
    await dieAtEachStep(
      async () => {
        const { disk, chain, journal } = await prepare();
        const { stable } = journal.log;
        for (let index = 0; index < 4; index++) journal.log.append(chain.next({ bytes: 700 }));
        await new Promise(resolve => void setImmediate(resolve));
        return { disk: disk.powerLoss(() => simulation.fraction()), chain, stable };
      },
      async ({ disk }) => (await open(disk)).close(),
      async ({ prepared: { chain, stable }, found, where }) => {
        const again = await open(found);
        expect(again.log.last.revision, where).toBeGreaterThanOrEqual(stable.revision);
        await outcomeOf(again, chain);
        await again.close();
      },
    );
  });

  test('of opening a directory for the first time leaves one that can be opened', async () => {
    await dieAtEachStep(
      async () => ({ disk: new FaultDisk() }),
      async ({ disk }) => (await open(disk)).close(),
      async ({ found, where }) => {
        const again = await open(found);
        expect(again.log.last, where).toEqual(ORIGIN);
        await again.close();
      },
    );
  });
});
