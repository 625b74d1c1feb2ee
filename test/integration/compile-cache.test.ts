import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../support/program.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-compiled-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function version(environment: Readonly<Record<string, string>>): Promise<string> {
  const { status, stdout } = await run(['--version'], { env: { NODE_COMPILE_CACHE: '', ...environment } });
  expect(status).toBe(0);
  return stdout.trim();
}

describe('what was compiled is kept', () => {
  test('in a directory that the user alone can write to, of three versions at most', async () => {
    const compiled = join(folder, 'evertree', 'compiled');
    for (const old of ['0.0.1', '0.0.2', '0.0.3', '0.0.4']) await mkdir(join(compiled, old), { recursive: true, mode: 0o700 });
    const present = await version({ XDG_CACHE_HOME: folder });
    const kept = await readdir(compiled);
    expect(kept).toHaveLength(3);
    expect(kept).toContain(present);
    expect(await readdir(join(compiled, present))).toHaveLength(1);
    expect((await stat(join(compiled, present))).mode & 0o077).toBe(0);
  });

  test('not where others can write', async () => {
    const compiled = join(folder, 'evertree', 'compiled');
    await mkdir(compiled, { recursive: true });
    await chmod(compiled, 0o777);
    const present = await version({ XDG_CACHE_HOME: folder });
    expect(await readdir(join(compiled, present))).toEqual([]);
  });

  test('not through a link, and nothing is removed where the link leads', async () => {
    const elsewhere = join(folder, 'elsewhere');
    const others = ['one', 'two', 'three', 'four'];
    for (const other of others) await mkdir(join(elsewhere, other), { recursive: true });
    await mkdir(join(folder, 'evertree'));
    await symlink(elsewhere, join(folder, 'evertree', 'compiled'));
    await version({ XDG_CACHE_HOME: folder });
    expect((await readdir(elsewhere)).toSorted()).toEqual(others.toSorted());
  });

  // Only root can give a directory away.
  test.runIf(process.getuid?.() === 0)('not in the cache of another user, as sudo may name it', async () => {
    const cache = join(folder, 'cache');
    await mkdir(cache);
    await chown(cache, 65_534, 65_534);
    await version({ XDG_CACHE_HOME: cache });
    expect(await readdir(cache)).toEqual([]);
  });

  test('nowhere if there is no place for it, and the program runs all the same', async () => {
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    expect(await version({ XDG_CACHE_HOME: file })).toMatch(/^\d/);
    expect(await version({ XDG_CACHE_HOME: '/proc' })).toMatch(/^\d/);
  });

  test('where NODE_COMPILE_CACHE says', async () => {
    await version({ XDG_CACHE_HOME: join(folder, 'own'), NODE_COMPILE_CACHE: join(folder, 'named') });
    expect(await readdir(folder)).toEqual(['named']);
  });
});
