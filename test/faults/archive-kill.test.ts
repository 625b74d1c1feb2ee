import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { backUp, Identities, initArchive, LineFile, openTarget, Recipients, stoppedSource } from '@evertree/archive';
import { nodeDisk } from '@evertree/journal';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { strictReport as report } from '../support/reports.ts';

/** Made by age-keygen, for tests. */
const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
const WRITER = fileURLToPath(import.meta.resolve('../support/archiving-writer.ts'));

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-archive-kill-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Lets a process commit and archive until it has told so many archived positions, and kills it. */
async function killedAfter(lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [WRITER, join(root, 'site'), join(root, 'archive'), RECIPIENT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const told: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    told.push(line);
    if (told.length === lines) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return told;
}

describe('a process that archives and is killed', () => {
  it(
    'has archived all that it said, loses nothing of it later, and goes on; and nothing of it is legible',
    { timeout: 180_000 },
    async () => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      console.info(`archive-kill: seed ${seed}`);
      await mkdir(join(root, 'archive'));
      await using target = await openTarget(join(root, 'archive'), { clock, random });
      const sealing = Recipients.parse([RECIPIENT]);
      const identities = Identities.parse([IDENTITY]);
      await initArchive(target, { sealing, conditions: true, random });
      const told = new Set<string>();
      for (let round = 0; round < 3; round++) {
        for (const line of await killedAfter(20 + ((seed >> (round * 6)) & 63))) told.add(line);
        const states = new Set((await checkArchive(target, identities)).flatMap(line => [...line.states.keys()]));
        expect([...told].filter(line => !states.has(line))).toEqual([]);
      }
      const disk = nodeDisk(join(root, 'site'));
      const parts = {
        source: await stoppedSource(disk),
        lines: await LineFile.open(disk, report),
        events: { report, lease: () => undefined },
      };
      const { position, digest } = await backUp({ ...parts, target, sealing, clock, random });
      const lines = await checkArchive(target, identities);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ last: position, digest });
      expect(await legible(['secret', parts.source.site])).toEqual([]);
    },
  );
});

/** The files of the archive in which one of some words stands. */
async function legible(words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(root, 'archive'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const forms = words.flatMap(word => [
      Buffer.from(word),
      Buffer.from(word, 'utf16le'),
      Buffer.from(Buffer.from(word).toString('base64').slice(0, -3)),
    ]);
    if (forms.some(form => bytes.includes(form)) || words.some(word => path.slice(root.length).includes(word))) found.push(path);
  }
  return found;
}
