import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backup, drill, initArchive, listBackups, openSite, openStore, restore, type Store } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../support/program.ts';
import { until } from '../support/site-process.ts';

let root: string;
let target: string;
let data: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-restored-'));
  target = join(root, 'archive');
  data = join(root, 'data');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Commits, several in a frame. */
async function write(store: Store, round: number): Promise<void> {
  for (let index = 0; index < 40; index++) {
    store.put(['devices', `r${(index * 7 + round) % 13}`], { round, index, name: `🌲 ${index}` });
    if (index % 9 === 8) await store.flush();
  }
  store.mark(`round-${round}`);
  await store.flush();
}

/** The state of a store, as an oracle. */
function stateOf(store: Store) {
  return { position: store.position, digest: store.digest, value: store.get('') };
}

describe('trap 4: a restored site', () => {
  test('goes on archiving: what it writes is in the archive, and comes back, again and again', async () => {
    const states: ReturnType<typeof stateOf>[] = [];
    for (let round = 0; round < 4; round++) {
      if (round > 0) {
        await rm(data, { recursive: true });
        const { base, digest, site } = await restore(target, { data, dryRun: false });
        expect([base, digest, site]).toEqual([states.at(-1)!.position, states.at(-1)!.digest, 'north']);
      }
      await using store = await openStore({ data, defaultSite: 'north' });
      if (round > 0) expect(stateOf(store)).toMatchObject({ digest: states.at(-1)!.digest, value: states.at(-1)!.value });
      await write(store, round);
      states.push(stateOf(store));
      expect(await backup(store, target)).toMatchObject({ position: store.position, digest: store.digest });
    }
    // Each round is a line of its own, and nothing of the former ones was harmed.
    const { lines, problems } = await listBackups(target);
    expect([lines.length, problems]).toEqual([4, []]);
    for (const [round, state] of states.entries()) {
      const line = lines.find(({ states: spans }) => spans.at(-1)?.to.revision === state.position.revision)!;
      const into = join(root, `again-${round}`);
      const restored = await restore(target, { data: into, to: `round-${round}`, line: line.id, dryRun: false });
      expect(restored.digest).toBe(state.digest);
      // Above all lines, not only above its own.
      expect(restored.position.epoch).toBeGreaterThan(states.at(-1)!.position.epoch);
    }
  });

  test('archives continuously into the same target, in a line of its own', async () => {
    await initArchive(target);
    const archive = { target, every: '50ms' };
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': 9 };
    const open = () => openSite({ data, defaultSite: 'north', primary: { 'netty-connection': connection, archive } });
    const archived = async (revision: number) =>
      until(
        'the archive has it',
        async () => (await listBackups(target)).lines.some(({ states }) => states.at(-1)?.to.revision === revision),
        20_000,
      );
    let before: ReturnType<typeof stateOf>;
    {
      await using site = await open();
      await write(site.store, 1);
      before = stateOf(site.store);
      await archived(before.position.revision);
    }
    await rm(data, { recursive: true });
    expect(await restore(target, { data, dryRun: false })).toMatchObject({ base: before.position, digest: before.digest });
    await using site = await open();
    await write(site.store, 2);
    const after = stateOf(site.store);
    await archived(after.position.revision);
    const { lines } = await listBackups(target);
    expect(lines).toHaveLength(2);
    expect(await restore(target, { data: join(root, 'again'), dryRun: false })).toMatchObject({
      base: after.position,
      digest: after.digest,
    });
    expect(await restore(target, { data: join(root, 'before'), to: 'round-1', dryRun: false })).toMatchObject({ digest: before.digest });
  });
});

describe('a place that can not be right is named, and left as it is', () => {
  test('an archive in the directory of a site', async () => {
    await (await openStore({ data, defaultSite: 'north' })).close();
    const before = await readdir(data);
    await expect(initArchive(data)).rejects.toMatchObject({
      code: 'DIRECTORY_IN_USE',
      message: expect.stringContaining(`${data} is the directory of a site`) as string,
    });
    expect(await readdir(data)).toEqual(before);
  });

  test('a restore into a file', async () => {
    await writeFile(data, 'mine');
    await expect(restore(target, { data, dryRun: false })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: `the directory to restore into, ${data}, is none; name one that is empty or absent`,
    });
  });

  test('a drill whose scratch directory lies in the archive: no site reads of a drill that failed', async () => {
    await using store = await openStore({ data, defaultSite: 'north' });
    await write(store, 0);
    await backup(store, target);
    await expect(drill(target, { scratch: join(target, 'scratch') })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining(`${join(target, 'scratch')} lies in the archive`) as string,
    });
    expect((await listBackups(target)).drilled).toBeNull();
    expect(await readdir(target)).not.toContain('scratch');
  });

  test.each([
    ['that is not there', 'nothing', /nothing is no directory of a site; name the one that a site has as --data/],
    ['that is a file', 'file', /file is no directory of a site; name the one that a site has as --data \(it is a file\)/],
    ['whose site.json is damaged', 'damaged', /in \S*damaged: site\.json is not JSON; restore it from a backup \(DAMAGED\)/],
  ])('a backup of a directory %s', async (_, name, message) => {
    await initArchive(target);
    await writeFile(join(root, 'file'), '');
    await mkdir(join(root, 'damaged'));
    await writeFile(join(root, 'damaged', 'site.json'), '{');
    const there = await readdir(root);
    expect(await run(['backup', target, '--data', join(root, name)])).toMatchObject({ status: 1, stderr: expect.stringMatching(message) });
    expect(await readdir(root)).toEqual(there);
  });
});
