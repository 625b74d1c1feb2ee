import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { SiteProcess, until } from '../support/site-process.ts';

/** Three successive versions of MDN's compatibility data: some 20 MB of JSON each. */
const require = createRequire(import.meta.url);
const FILES = [require.resolve('bcd-a'), require.resolve('bcd-b'), require.resolve('bcd-c')];
const LIMIT_MS = 60_000;

let folder: SiteFolder;
let primary: SiteProcess;
let secondary: SiteProcess;

beforeAll(async () => {
  folder = await siteFolder();
  const { path, primaryHttp, secondaryHttp } = folder;
  const at = (name: string) => `${path}/${name}`;
  primary = new SiteProcess({ role: 'primary', site: 'a', config: at('producer.json'), data: at('a'), httpPort: primaryHttp });
  secondary = new SiteProcess({ role: 'secondary', site: 'b', config: at('consumer.json'), data: at('b'), httpPort: secondaryHttp });
});
afterAll(async () => {
  await primary[Symbol.asyncDispose]();
  await secondary[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

test(
  'three versions of a real document set arrive at a secondary that is killed between them',
  async () => {
    await Promise.all([primary.start(LIMIT_MS), secondary.start(LIMIT_MS)]);
    for (const [index, file] of FILES.entries()) {
      const before = (await primary.status())?.position.revision ?? 0;
      const importing = run(['import', file, '--at', '/bcd', '--url', primary.url], { limitMs: LIMIT_MS });
      // The second time in the middle of it, wherever that is; then it is away while the third comes.
      if (index === 1) await secondary.kill();
      expect(await importing).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(/^1-\d+: \d+ added, \d+ replaced, \d+ removed\n$/),
      });
      if (index === 1) await secondary.start(LIMIT_MS);
      const after = (await primary.status())?.position.revision ?? 0;
      // The first also begins the epoch.
      expect(after - before).toBe(index === 0 ? 2 : 1);
      await until('both have equal digests', async () => (await primary.status())?.digest === (await secondary.status())?.digest, LIMIT_MS);
      const response = await fetch(`${secondary.url}/data/bcd`);
      expect(isDeepStrictEqual(await response.json(), JSON.parse(await readFile(file, 'utf8')))).toBe(true);
    }
    expect(await run(['import', FILES[2] ?? '', '--at', '/bcd', '--url', primary.url], { limitMs: LIMIT_MS })).toMatchObject({
      status: 0,
      stdout: 'nothing differs; nothing was committed\n',
    });
    expect([...primary.log, ...secondary.log].filter(line => line.event.includes('resync'))).toEqual([]);
    await Promise.all([primary.stop(), secondary.stop()]);
  },
  4 * LIMIT_MS,
);
