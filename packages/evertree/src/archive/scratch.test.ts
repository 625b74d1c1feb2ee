import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scratch } from './scratch.ts';

/** Without a second try, every twentieth directory stays: so many drills never end without one that meets it. */
const DRILLS = 100;

let place: string;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'evertree-scratch-'));
});
afterEach(() => rm(place, { recursive: true }));

test('drills in one place remove their directories, though each looks at the locks of the others', async () => {
  const drill = async () => {
    for (let made = 0; made < DRILLS; made++) await (await Scratch.make(place))[Symbol.asyncDispose]();
  };
  await Promise.all([drill(), drill(), drill(), drill()]);
  expect(await readdir(place)).toEqual([]);
});

/** A directory that a drill made, and did not lock. */
async function unlocked(digit: string, ageMs: number, file?: string): Promise<string> {
  const name = `evertree-drill-${digit.repeat(16)}-unlocked`;
  await mkdir(join(place, name));
  if (file !== undefined) await writeFile(join(place, name, file), '');
  const made = new Date(Date.now() - ageMs);
  await utimes(join(place, name), made, made);
  return name;
}

test('what a drill left that was killed before it had locked its directory goes, once that can’t be one that begins', async () => {
  await unlocked('1', 3_600_000);
  await unlocked('2', 3_600_000, 'lock');
  const stays = [await unlocked('3', 1_000), await unlocked('4', 3_600_000, 'mine')];
  await (await Scratch.make(place))[Symbol.asyncDispose]();
  expect((await readdir(place)).toSorted()).toEqual(stays);
});
