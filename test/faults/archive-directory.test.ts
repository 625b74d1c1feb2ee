import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openTarget } from '@evertree/archive';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';

const ROUNDS = 4;
const OBJECT_BYTES = 64 * 1024;
const HEAD_BYTES = 20_000;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'evertree-archive-kill-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A process that writes into the archive, and what it says that it wrote. */
function startWriter(own: string) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('../support/target-writer.ts')), directory, own], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, closed: once(child, 'close'), lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test('two writers that are killed leave whole objects, a whole HEAD that counted both, and no lock', async () => {
  const said = new Set<string>();
  let least = 0;
  const note = (line: string | undefined) => {
    if (line?.startsWith('HEAD ') === true) least = Math.max(least, Number(line.slice(5)));
    else if (line !== undefined) said.add(line);
  };
  for (let round = 0; round < ROUNDS; round++) {
    const writers = [startWriter(`a${round}`), startWriter(`b${round}`)];
    for (let lines = 0; lines < 60; lines++) note((await writers[lines % 2]!.lines.next()).value);
    for (const { child } of writers) child.kill('SIGKILL');
    for (const { closed, lines } of writers) {
      await closed;
      for (let line = await lines.next(); line.done !== true; line = await lines.next()) note(line.value);
    }

    const target = await openTarget(directory, { clock: systemClock, random: systemRandom });
    const listed = await Array.fromAsync(target.list(''));
    const keys = new Set(listed.map(({ key }) => key));
    expect([...said].filter(key => !keys.has(key))).toEqual([]);
    for (const { key, size } of listed) expect(size, key).toBe(key === 'HEAD' ? HEAD_BYTES : OBJECT_BYTES);
    for (const key of said) {
      const number = Number(key.slice(key.lastIndexOf('/') + 1));
      expect((await target.get(key))?.bytes.equals(Buffer.alloc(OBJECT_BYTES, number % 256)), key).toBe(true);
    }
    const head = (await target.get('HEAD'))!;
    expect(Number(head.bytes.toString())).toBeGreaterThanOrEqual(least);
    expect(await target.replace('HEAD', head.bytes, head.tag)).not.toBe('changed');
  }
});
