import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ORIGIN } from '@evertree/core';
import { nodeDisk, openJournal } from '@evertree/journal';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectedFrames, readAll, thrown } from '../conformance/journal-suite.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-process-'));
});
afterAll(() => rm(root, { recursive: true }));

function open(directory: string) {
  return openJournal({ disk: nodeDisk(directory), clock: systemClock, random: systemRandom, report: strictReport });
}

/** A process that appends to a journal, and says which revision is stable. */
function startWriter(directory: string) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('../support/journal-writer.ts')), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

describe('a process of its own', () => {
  test('holds the directory until it is killed, and loses nothing that it called stable', async () => {
    const directory = join(root, 'killed');
    let stable = 0;
    for (let round = 0; round < 3; round++) {
      const { child, lines } = startWriter(directory);
      const enough = stable + 200;
      while (stable < enough) stable = Number((await lines.next()).value);
      const refused = await thrown(() => open(directory));
      expect(refused).toMatchObject({ code: 'DIRECTORY_IN_USE', message: expect.stringContaining(directory) });
      child.kill('SIGKILL');
      await once(child, 'exit');
      for (let line = await lines.next(); line.done !== true; line = await lines.next()) stable = Math.max(stable, Number(line.value));
      const journal = await open(directory);
      expect(journal.log.last.revision).toBeGreaterThanOrEqual(stable);
      const chain = new FrameChain();
      while (chain.position.revision < journal.log.last.revision) chain.next({ bytes: chain.position.revision % 500 });
      const found = await readAll(journal, ORIGIN);
      expect(found).toEqual(expectedFrames(chain.frames));
      stable = journal.log.stable.revision;
      await journal.close();
    }
  });
});

describe('a directory that can not be used', () => {
  test('because it is a file', async () => {
    const path = join(root, 'file');
    await writeFile(path, '');
    const refused = await thrown(() => open(path));
    expect(refused).toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringContaining(path) });
  });

  test.runIf(existsSync('/proc/self'))('because its file system takes no directories', async () => {
    const path = '/proc/evertree/site';
    expect(await thrown(() => open(path))).toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringContaining(path) });
  });

  test('because somebody wrote into its lock', async () => {
    const path = join(root, 'locked');
    await mkdir(path);
    await writeFile(join(path, 'lock'), 'this is mine, and long enough not to be taken for an empty database file'.repeat(10));
    expect(await thrown(() => open(path))).toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringContaining('lock') });
    expect(await readdir(path)).toEqual(['lock']);
  });
});
