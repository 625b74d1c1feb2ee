import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Archive, openTarget } from '@evertree/archive';
import { type PruneReport, prune } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildArchive, randomStream } from '../support/archive-builder.ts';
import { judgeArchive, Testimony } from '../support/archive-judge.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { type Ended, run } from '../support/program.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-prune-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

function evertree(...args: string[]): Promise<Ended> {
  return run(args, { cwd: root });
}

async function built(): Promise<{ readonly testimony: Testimony; readonly marked: number }> {
  const stream = await randomStream(7, 200);
  const testimony = new Testimony();
  testimony.take(stream.frames);
  await using target = await openTarget(join(root, 'north'), { clock: systemClock, random: systemRandom, make: true });
  const line = await buildArchive({ target, stream, inTails: 4 });
  return { testimony, marked: new Set(line.objects.filter(entry => entry.kind === 'image').at(-1)?.marks).size };
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, 'north', folder), { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => entry.name);
}

describe('evertree prune TARGET', () => {
  test('prints each entry with its rule, changes nothing in a dry run, and leaves an archive that is sound', async () => {
    const { testimony } = await built();
    const before = await filesIn('');
    const dry = await evertree('prune', 'north', '--keep-last', '2', '--keep-at-least', '1', '--dry-run');
    expect(dry).toMatchObject({ status: 0, stderr: '' });
    expect(dry.stdout).toMatch(/^line [0-9a-f]{16} of site: \d+ of \d+ states kept$/m);
    expect(dry.stdout).toMatch(/^ {2}drop +\d+ stretch.* no rule keeps it$/m);
    expect(dry.stdout).toMatch(/^ {2}keep +1 image +at \d+-\d+ .*the newest state; last 2/m);
    expect(dry.stdout).toMatch(
      /^would drop \d+ objects, .*\n\d+ objects, .* would wait to be deleted, the first until .*\nnothing was changed$/m,
    );
    expect(await filesIn('')).toEqual(before);
    const done = await evertree('prune', 'north', '--keep-last', '2', '--keep-at-least', '1', '--json');
    const report = JSON.parse(done.stdout) as PruneReport;
    expect(report).toMatchObject({ dryRun: false, deleted: { objects: 0 }, stubborn: [] });
    expect(report.condemned.objects).toBeGreaterThan(5);
    const deleted = await evertree('prune', 'north', '--keep-all', '--grace', '0', '--exclusive');
    expect(deleted.stdout).toMatch(/^deleted \d+ objects/m);
    await using target = await openTarget(join(root, 'north'), { clock: systemClock, random: systemRandom });
    const { states, images } = await judgeArchive(target, testimony);
    expect(images).toBeGreaterThan(0);
    expect(states).toBeGreaterThan(4);
    expect((await filesIn('stretch')).length + (await filesIn('image')).length).toBe(
      report.lines[0]!.entries.filter(({ keptBy }) => keptBy.length > 0).reduce((sum, { objects }) => sum + objects, 0),
    );
    expect(await evertree('verify', 'north', '--level', '2')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^verified/) });
    expect((await evertree('backups', 'north')).stdout).toMatch(/ pruned$|healthy$/m);
  }, 60_000);

  test('is a function of the library, too, and keeps every state that a restore can ask for', async () => {
    const { testimony } = await built();
    const report = await prune(join(root, 'north'), { rules: { last: 1, atLeast: 1 }, graceMs: 0, isExclusive: true });
    expect(report.deleted.objects).toBeGreaterThan(5);
    await using target = await openTarget(join(root, 'north'), { clock: systemClock, random: systemRandom });
    await judgeArchive(target, testimony);
    const archive = await Archive.open(target);
    expect(archive.problems).toEqual([]);
    await expect(archive.plan()).resolves.toMatchObject({ line: report.lines[0]!.line });
  }, 60_000);

  test('refuses what it can not do, in words', async () => {
    await built();
    for (const [args, status, text] of [
      [[], 2, /nothing says what to keep.*--keep-last, --keep-within/],
      [['--keep-last', '0'], 2, /--keep-last "0" is no count/],
      [['--keep-within', '2m'], 2, /--keep-within "2m" is no time.*"m" may be months or minutes/],
      [['--keep-last', '1', '--grace', '5min'], 2, /grace of less than an hour.*--exclusive/],
      [['--keep-last', '1', '--line', 'beef'], 1, /there is no line "beef"; the archive has [0-9a-f]{16}/],
      [['--keep-last', '1', '--line', 'beef', '--all-lines'], 2, /say two things/],
    ] as const) {
      const ended = await evertree('prune', 'north', ...args);
      expect(ended).toMatchObject({ status, stderr: expect.stringMatching(text) });
    }
    expect(await evertree('prune', 'nowhere', '--keep-last', '1')).toMatchObject({ status: 1 });
  }, 60_000);
});
