import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Archive,
  type BackupListing,
  backupListing,
  Identities,
  initArchive,
  openTarget,
  Recipients,
  type Target,
} from '@evertree/archive';
import { listBackups } from 'evertree';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { framesBetween, IDENTITY, type MadeHistory, makeHistory, RECIPIENT } from '../support/archived-history.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { run } from '../support/program.ts';

let made: MadeHistory;
let scratch: string;
beforeAll(async () => {
  made = await makeHistory();
  scratch = await mkdtemp(join(tmpdir(), 'evertree-backups-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** The present site's line, a former one's, and a gap in that. */
async function makeArchive(target: Target, sealing: 'plain' | Recipients = 'plain'): Promise<ArchiveMaker> {
  const maker = new ArchiveMaker(target, { sealing });
  const former = maker.line('former');
  await former.stretch(framesBetween(made, 0, 6));
  former.gaps.push({
    from: framesBetween(made, 0, 6).at(-1)!.header.last,
    to: made.snapshots.get(12)!.header.position,
    reason: 'spool-full',
    time: 7,
  });
  await former.image(made.snapshots.get(12)!, { marks: [11] });
  const present = maker.line('present');
  await present.image(made.snapshots.get(12)!, { marks: [11] });
  for (const group of inGroups(framesBetween(made, 0, 24), 4)) await present.stretch(group);
  await present.tail(inGroups(framesBetween(made, 24, 40), 2));
  await maker.publish(manifest => ({ ...manifest, condemned: [{ path: 'stretch/gone', bytes: 5, since: 1 }] }));
  return maker;
}

async function listed(target: Target, identities?: Identities): Promise<BackupListing> {
  return backupListing(await Archive.open(target, { identities }));
}

describe('the list of backups', () => {
  it('tells of each line what can be restored, the one that stands first', async () => {
    const target = new MemoryTarget();
    await makeArchive(target);
    const listing = await listed(target);
    expect(listing).toMatchObject({
      encrypted: false,
      healthy: true,
      problems: [],
      drilled: null,
      condemned: { objects: 1, bytes: 5 },
      lines: [
        {
          site: 'present',
          stands: true,
          states: [{ from: null, to: { epoch: 2, revision: 40 }, digest: made.store.digest }],
          images: [{ position: { epoch: 1, revision: 12 } }],
          marks: [
            { name: 'early', revision: 11, restorable: true },
            { name: 'late 🌲', revision: 32, restorable: true },
          ],
          commits: 40,
        },
        {
          site: 'former',
          stands: false,
          states: [
            { from: null, to: { revision: 6 } },
            { from: { revision: 12 }, to: { revision: 12 } },
          ],
          gaps: [{ reason: 'spool-full' }],
          marks: [{ name: 'early', revision: 11, restorable: false }],
        },
      ],
    });
    expect(listing.bytes).toBe(listing.lines[0]!.bytes + listing.lines[1]!.bytes);
    expect(listing.lines[0]!.plainBytes).toBeGreaterThan(0);
  });

  it('of an encrypted archive has the names only with an identity', async () => {
    const target = new MemoryTarget();
    await makeArchive(target, Recipients.parse([RECIPIENT]));
    const without = await listed(target);
    expect(without).toMatchObject({ encrypted: true, healthy: true });
    expect(without.lines[0]).toMatchObject({ site: null, marks: [{ name: null, revision: 11, restorable: true }] });
    expect(JSON.stringify(without)).not.toMatch(/early|present|former/);
    const withKey = await listed(target, Identities.parse([IDENTITY]));
    expect(withKey.lines[0]).toMatchObject({ site: 'present', marks: [{ name: 'early' }, { name: 'late 🌲' }] });
  });

  it('lists nothing that is missing or cut, and is not healthy then', async () => {
    const target = new MemoryTarget();
    const maker = await makeArchive(target);
    const stretches = maker.lines[1]!.objects.filter(object => object.kind === 'stretch');
    target.objects.delete(stretches[0]!.path);
    const second = target.objects.get(stretches[1]!.path)!;
    target.objects.set(stretches[1]!.path, { ...second, bytes: second.bytes.subarray(1) });
    const listing = await listed(target);
    expect(listing.healthy).toBe(false);
    expect(listing.problems.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        `${stretches[0]!.path} is missing`,
        `${stretches[1]!.path} has ${second.bytes.length - 1} bytes, where the manifest says ${second.bytes.length}`,
      ]),
    );
    expect(listing.lines[0]!.states[0]!.from).toMatchObject({ revision: 12 });
  });

  it('is not healthy before the first backup', async () => {
    const target = new MemoryTarget();
    await initArchive(target, { sealing: 'plain', conditions: true, random: systemRandom });
    expect(await listed(target)).toMatchObject({
      healthy: false,
      stream: null,
      lines: [],
      problems: [{ text: 'nothing was archived yet' }],
    });
  });

  it('is not healthy where the newest history is a gap', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    line.gaps.push({ from: made.snapshots.get(12)!.header.position, to: made.store.position, reason: 'history-gone', time: 1 });
    await maker.publish();
    expect(await listed(target)).toMatchObject({
      healthy: false,
      problems: [{ text: expect.stringContaining('nothing after 1-12 can be restored') }],
    });
  });
});

describe('the command backups', () => {
  it('says it in words, and as JSON, and ends with 1 where something is wrong', async () => {
    const directory = join(scratch, 'archive');
    await using target = await openTarget(directory, { clock: systemClock, random: systemRandom, make: true });
    const maker = await makeArchive(target, Recipients.parse([RECIPIENT]));
    const key = join(scratch, 'key.txt');
    await writeFile(key, `# a comment\n${IDENTITY}\n`, { mode: 0o600 });

    const shown = await run(['backups', directory, '--identity', key]);
    expect(shown).toMatchObject({ status: 0, stderr: '' });
    expect(shown.stdout).toContain('encrypted');
    expect(shown.stdout).toMatch(/line [0-9a-f]{16} of present {2}stands: a restore takes it/);
    expect(shown.stdout).toMatch(/states {2}the first commit to 2-40/);
    expect(shown.stdout).toMatch(/gap +after 1-6 +up to 1-12 +the target was away for too long/);
    expect(shown.stdout).toMatch(/mark +revision 32 +late 🌲/);
    expect(shown.stdout.trimEnd().endsWith('healthy')).toBe(true);

    const json = await run(['backups', directory, '--json']);
    expect(JSON.parse(json.stdout)).toEqual(JSON.parse(JSON.stringify(await listBackups(directory))));
    const library = await listBackups(directory, { identities: [IDENTITY] });
    expect(library.lines.map(({ site }) => site)).toEqual(['present', 'former']);

    await target.remove([
      maker.lines[1]!.objects.at(-1)!.kind === 'stretch' ? (maker.lines[1]!.objects.at(-1) as { path: string }).path : '',
    ]);
    const broken = await run(['backups', directory]);
    expect(broken.status).toBe(1);
    expect(broken.stdout).toMatch(/problem {2}stretch\/\S+ is missing/);
    expect(broken.stdout.trimEnd().endsWith('NOT healthy')).toBe(true);
  });

  it('names what is wrong with the place or the key', async () => {
    const nothing = await run(['backups', join(scratch, 'nothing')]);
    expect(nothing.status).toBe(1);
    expect(nothing.stderr).toMatch(/nothing/);
    const wrong = await run(['backups', scratch, '--identity', join(scratch, 'no.txt')]);
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining("can't be read") });
  });
});
