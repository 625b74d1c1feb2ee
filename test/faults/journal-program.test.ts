import { cp, readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';

const STARTED = '"event":"started"';

let folder: SiteFolder;
beforeAll(async () => {
  folder = await siteFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

/** A primary in `data` that was given three writes, answered each, and stopped. */
async function stoppedPrimary(data: string): Promise<string> {
  await using site = start([...folder.primary, '--data', data, '--site', 'a'], folder.path);
  await site.printed(STARTED, 'stderr');
  for (const key of ['one', 'two', 'three']) {
    const { status } = await run(['put', `/${key}`, '1', '--url', `http://127.0.0.1:${folder.primaryHttp}`]);
    expect(status).toBe(0);
  }
  expect((await site.stop('SIGTERM')).status).toBe(0);
  const [segment] = await readdir(join(folder.path, data, 'journal'));
  return join(folder.path, data, 'journal', segment!);
}

describe('three answered puts, a clean stop, and a segment that was cut', () => {
  test('behind its header: the site says what it lost, and keeps the bytes in detached/', async () => {
    const segment = await stoppedPrimary('cut');
    const bytes = (await readFile(segment)).subarray(0, 100);
    await truncate(segment, 100);
    await using site = start([...folder.primary, '--data', 'cut'], folder.path);
    await site.printed(STARTED, 'stderr');
    expect(site.stderr).toContain('"event":"segment-without-records"');
    expect(site.stderr).toContain('"event":"history-lost"');
    expect(await readFile(segment.replace('/journal/', '/detached/'))).toEqual(bytes);
  });

  test('within its header: the site refuses to start, and names the file, the offset and the remedy', async () => {
    const segment = await stoppedPrimary('headless');
    await truncate(segment, 20);
    const { status, stderr } = await run([...folder.primary, '--data', 'headless'], { cwd: folder.path });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/journal\/\d+-\d+\.evj is damaged at offset 0.*restore this directory from a backup/s);
    expect(await readdir(join(folder.path, 'headless', 'journal'))).toHaveLength(1);
  });
});

test("a copy of a secondary's directory starts under a name of its own, and says so", async () => {
  await using first = start([...folder.secondary, '--data', 'second', '--site', 'b'], folder.path);
  await first.printed(STARTED, 'stderr');
  await first.stop('SIGTERM');
  await cp(join(folder.path, 'second'), join(folder.path, 'copied'), { recursive: true });
  await using copy = start([...folder.secondary, '--data', 'copied'], folder.path);
  await copy.printed(STARTED, 'stderr');
  expect(copy.stderr).toMatch(/"event":"directory-copied".*named b-copy-[0-9a-f]{8}, for the original is b/);
  await copy.stop('SIGTERM');
  await cp(join(folder.path, 'second'), join(folder.path, 'named'), { recursive: true });
  await using named = start([...folder.secondary, '--data', 'named', '--site', 'c'], folder.path);
  await named.printed(STARTED, 'stderr');
  expect(JSON.parse(await readFile(join(folder.path, 'named', 'site.json'), 'utf8'))).toMatchObject({ site: 'c', role: 'secondary' });
});
