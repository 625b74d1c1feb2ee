import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeDisk, openJournal } from '@evertree/journal';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { type Commits, holding, partedFrames, PRIMARY } from '../support/parted-trees.ts';
import { type Ended, run } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { SiteProcess, until } from '../support/site-process.ts';
import { collectReports } from '../support/reports.ts';

/** A secondary whose tree is not its primary's, found and mended by people with the program. */

const LIMIT_MS = 20_000;

let folder: SiteFolder;
let primary: SiteProcess;
let secondary: SiteProcess;

beforeEach(async () => {
  folder = await siteFolder();
  const files = { primary: 'producer.json', secondary: 'consumer.json' };
  const process = (role: 'primary' | 'secondary', site: string, httpPort: number) =>
    new SiteProcess({ role, site, httpPort, config: join(folder.path, files[role]), data: join(folder.path, site) });
  primary = process('primary', PRIMARY, folder.primaryHttp);
  secondary = process('secondary', 'box-b', folder.secondaryHttp);
});
afterEach(async () => {
  await primary[Symbol.asyncDispose]();
  await secondary[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Directories of a pair whose secondary came to another tree at the primary's position. */
async function write(common: Commits, ours: Commits, theirs: Commits): Promise<void> {
  const frames = await partedFrames(common, ours, theirs);
  for (const [site, role] of [
    [PRIMARY, 'primary'],
    ['box-b', 'secondary'],
  ] as const) {
    const { report } = collectReports();
    const disk = nodeDisk(join(folder.path, site));
    const journal = await openJournal({ disk, clock: systemClock, random: systemRandom, report, identity: { site, role } });
    await (await holding(journal, frames[role])).close();
  }
}

function compare(...options: readonly string[]): Promise<Ended> {
  return run(['compare', '--url', secondary.url, '--with', primary.url, ...options], { cwd: folder.path });
}

/** Whether the secondary writes a snapshot. */
async function writesSnapshot(): Promise<boolean> {
  const names = await readdir(join(folder.path, 'box-b', 'snapshots'));
  return names.some(name => name.endsWith('.tmp'));
}

const digestOf = async (site: SiteProcess) => (await site.status())?.digest;
const follows = () => until('the secondary follows', async () => (await secondary.status())?.consumer?.state === 'replicating', LIMIT_MS);

/** A wide object: a repair of it takes a while. */
const WIDE: Commits = Array.from(
  { length: 20 },
  (_, part) => store => void store.put(`/wide/${part}`, Object.fromEntries(Array.from({ length: 5_000 }, (__, at) => [`k${at}`, at]))),
);
const OURS: Commits = [store => void store.put('/wide/3/k77', 'right')];
const THEIRS: Commits = [store => void store.put('/wide/3/k78', 'wrong')];

describe('a secondary whose tree is not its primary’s', () => {
  test('is refused by its primary, found by compare, mended by --repair, and follows after', async () => {
    await write(WIDE, OURS, THEIRS);
    await primary.start(LIMIT_MS);
    await secondary.start(LIMIT_MS);
    await until('the primary sees it', async () => (await primary.status())?.peers[0]?.state === 'diverged', LIMIT_MS);
    expect((await run(['status', '--url', primary.url])).stdout).toContain(`evertree compare --with ${primary.url} --repair --url`);

    const found = await compare('--json');
    expect(found.status).toBe(1);
    const { differences, digests } = JSON.parse(found.stdout) as { differences: object; digests: number };
    expect(differences).toEqual({
      count: 2,
      listed: [
        { path: '/wide/3/k77', kind: 'changed' },
        { path: '/wide/3/k78', kind: 'changed' },
      ],
    });
    // The trees have 100,000 values.
    expect(digests).toBeLessThan(1_000);
    expect((await compare()).stdout).toContain('different: 2 paths\n  changed  "/wide/3/k77"\n  changed  "/wide/3/k78"\n');

    const mended = await compare('--repair');
    expect(mended.stdout).toContain('repaired: 2 paths of box-b');
    expect(mended.status).toBe(0);
    await follows();
    expect(await compare()).toMatchObject({ status: 0, stdout: expect.stringContaining('\nequal\n') });
    await run(['put', '/after', '1', '--url', primary.url]);
    await until('the write comes over', async () => (await digestOf(secondary)) === (await digestOf(primary)), LIMIT_MS);

    await secondary.stop();
    await secondary.start(LIMIT_MS);
    expect(await digestOf(secondary)).toBe(await digestOf(primary));
    await follows();
    expect((await secondary.status())?.consumer?.resyncs.count).toBe(0);
  });

  test('is what it was or mended after a death in the middle of a repair, which can be done again', async () => {
    await write(WIDE, OURS, THEIRS);
    await primary.start(LIMIT_MS);
    await secondary.start(LIMIT_MS);
    const before = await digestOf(secondary);
    for (let round = 0; round < 3; round++) {
      const repairing = compare('--repair');
      await until(
        'a snapshot is begun, or the repair is over',
        async () => {
          const { stdout } = await Promise.race([repairing, Promise.resolve({ stdout: '' })]);
          return stdout !== '' || (await writesSnapshot());
        },
        LIMIT_MS,
      );
      await secondary.kill();
      await repairing;
      await secondary.start(LIMIT_MS);
      expect([before, await digestOf(primary)]).toContain(await digestOf(secondary));
    }
    expect((await compare('--repair')).status).toBe(0);
    await follows();
    expect(await digestOf(secondary)).toBe(await digestOf(primary));
  });

  test('a primary is not repaired', async () => {
    await write(WIDE, OURS, THEIRS);
    await primary.start(LIMIT_MS);
    await secondary.start(LIMIT_MS);
    const refused = await run(['compare', '--url', primary.url, '--with', secondary.url, '--repair']);
    expect(refused).toMatchObject({ status: 3, stderr: expect.stringContaining('is a primary') });
  });
});
