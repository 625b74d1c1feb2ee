import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Identities, Recipients, initArchive, openTarget } from '@evertree/archive';
import { expect, it } from 'vitest';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { ArchivingPair, type FaultyPlace } from '../support/archiving-pair.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { Simulation } from '../support/simulation.ts';

/** How long faults are injected. */
const MISTREATED_MS = 15_000;

async function placeIn(folder: string): Promise<FaultyPlace> {
  const place = join(folder, 'archive');
  const away = `${place}-away`;
  const recipients = join(folder, 'recipients.txt');
  await writeFile(recipients, `${RECIPIENT}\n`);
  {
    await using target = await openTarget(place, { clock, random, make: true });
    await initArchive(target, { sealing: Recipients.parse([RECIPIENT]), conditions: true, random });
  }
  const heal = async (): Promise<void> => {
    if (existsSync(away)) await rename(away, place);
  };
  return {
    section: { target: place, every: '50ms', recipients },
    // A disk that is unmounted, and mounted again.
    mishaps: [() => rename(place, away).catch(() => undefined), heal, heal],
    heal,
    target: () => openTarget(place, { clock, random }),
    folder: place,
    identities: Identities.parse([IDENTITY]),
  };
}

it(
  'an archive in a directory, of two sites that are killed at random points and whose disk comes and goes, lists only what can be restored',
  { timeout: 180_000 },
  async () => {
    const dice = Simulation.seeded();
    const folder = await mkdtemp(join(tmpdir(), 'evertree-archive-faults-'));
    try {
      await using pair = await ArchivingPair.start(folder, await placeIn(folder));
      const mishaps = await pair.mistreat(dice, MISTREATED_MS);
      await pair.settle();
      await pair.compare(dice);
      console.log(`${mishaps} mishaps, ${pair.writer.answered.length} writes answered, judged ${pair.judged} times`);
      expect(pair.writer.answered.length).toBeGreaterThan(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
