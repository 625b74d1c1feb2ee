import type { ExactPosition } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, fill, readAll, save } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

const simulation = new Simulation(20_261_121);

/** How a death at a step is found afterwards. */
const ENDS: [string, (disk: FaultDisk) => FaultDisk][] = [
  ['killed', disk => disk.crash()],
  ['a power loss that keeps only what was synced', disk => disk.powerLoss(() => 0)],
  ['a power loss that keeps anything', disk => disk.powerLoss(() => simulation.fraction())],
  ['killed, then a power loss that keeps anything', disk => disk.crash().powerLoss(() => simulation.fraction())],
];

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

/**
 * Lets the process die before each step of `act` in turn, and looks at what is found then; that has to be one of `allowed`, has to stay
 * so when it is opened again, and has to be able to go on.
 */
async function dieAtEachStep(
  act: (journal: DiskJournal, chain: FrameChain) => Promise<unknown>,
  allowed: (chain: FrameChain) => readonly Partial<Outcome>[],
): Promise<void> {
  for (const [name, end] of ENDS) {
    for (let step = 0, died = true; died; step++) {
      const { disk, chain, journal } = await prepare();
      disk.dieAfter(step);
      died = await act(journal, chain).then(
        () => false,
        () => true,
      );
      const found = end(disk);
      const again = await open(found);
      const outcome = await outcomeOf(again, chain);
      const where = `${name} at step ${step}`;
      expect(allowed(chain), where).toContainEqual(expect.objectContaining({ last: outcome.last, tree: outcome.tree }));
      if (!died) expect(allowed(chain).at(-1), where).toMatchObject({ last: outcome.last, tree: outcome.tree });
      await again.retention.apply();
      const third = await open(found.powerLoss(() => 0));
      expect(await outcomeOf(third, chain), where).toMatchObject({ last: outcome.last, tree: outcome.tree });
      chain.rewind(third.log.last);
      await third.close();
    }
  }
}

describe('a death at any step', () => {
  test('of a snapshot that takes the place of the history leaves the old one or the new one', async () => {
    const before: ExactPosition = { epoch: 1, epochId: 'cc'.repeat(8), revision: 7 };
    for (const beginning of [before, { ...before, epoch: 3, revision: 500 }]) {
      await dieAtEachStep(
        async (journal, chain) => {
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
    await dieAtEachStep(
      async (journal, chain) => {
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
    await dieAtEachStep(
      async (journal, chain) => {
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

  test('of opening a torn directory leaves it as whole as it was', async () => {
    for (const [name, end] of ENDS) {
      for (let step = 0, died = true; died; step++) {
        const { disk, chain, journal } = await prepare();
        const stable = journal.log.stable;
        for (let index = 0; index < 4; index++) journal.log.append(chain.next({ bytes: 700 }));
        await new Promise(resolve => void setImmediate(resolve));
        const torn = disk.powerLoss(() => simulation.fraction());
        torn.dieAfter(step);
        died = await open(torn)
          .then(opened => opened.close())
          .then(
            () => false,
            () => true,
          );
        const again = await open(end(torn));
        expect(again.log.last.revision, `${name} at step ${step}`).toBeGreaterThanOrEqual(stable.revision);
        await outcomeOf(again, chain);
        await again.close();
      }
    }
  });

  test('of opening a directory for the first time leaves one that can be opened', async () => {
    for (const [name, end] of ENDS) {
      for (let step = 0, died = true; died; step++) {
        const disk = new FaultDisk();
        disk.dieAfter(step);
        died = await open(disk)
          .then(opened => opened.close())
          .then(
            () => false,
            () => true,
          );
        const again = await open(end(disk));
        expect(again.log.last, `${name} at step ${step}`).toEqual(ORIGIN);
        await again.close();
      }
    }
  });
});
