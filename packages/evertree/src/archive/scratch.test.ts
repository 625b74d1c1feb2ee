import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Scratch } from './scratch.ts';

/** Without a second try, every twentieth directory stays: so many drills never end without one that meets it. */
const DRILLS = 100;

test('drills in one place remove their directories, though each looks at the locks of the others', async () => {
  const place = await mkdtemp(join(tmpdir(), 'evertree-scratch-'));
  const drill = async () => {
    for (let made = 0; made < DRILLS; made++) await (await Scratch.make(place))[Symbol.asyncDispose]();
  };
  await Promise.all([drill(), drill(), drill(), drill()]);
  expect(await readdir(place)).toEqual([]);
  await rm(place, { recursive: true });
});
