import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Sealing, Recipients, initArchive, openTarget, restoreSite } from '@evertree/archive';
import type { Frame } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unsealedFiles } from '../support/archive-judge.ts';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { HttpSite, until } from '../support/http-site.ts';
import { ShortMemory } from '../support/passed-by.ts';

let folder: string;
let place: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-catch-up-'));
  place = join(folder, 'archive');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** An archive of these frames: stretches of six, and a tail. */
async function archive(frames: readonly Frame[], sealing: Sealing = 'plain'): Promise<void> {
  await using target = await openTarget(place, { clock: systemClock, random: systemRandom, make: true });
  const maker = new ArchiveMaker(target, { sealing });
  const line = maker.line('a');
  const behind = Math.max(0, frames.length - 4);
  for (const group of inGroups(frames.slice(0, behind), 6)) await line.stretch(group);
  await line.tail(inGroups(frames.slice(behind), 1));
  await maker.publish();
}

/** A secondary was away for so long that its primary kept nothing of what it lacks. */
async function passedBy(): Promise<ShortMemory> {
  const sites = await ShortMemory.start(folder);
  {
    await using secondary = await sites.secondary();
    await sites.meet(secondary);
  }
  await sites.passBy();
  return sites;
}

describe('a secondary whose primary no longer reaches back', () => {
  it('catches up from the archive that its file names, and no whole tree is sent', async () => {
    await using sites = await passedBy();
    await archive(sites.frames);
    await using http = await HttpSite.start({ site: await sites.secondary({ 'catch-up-from': place }) });
    await sites.meet(http.site);
    const { consumer } = (await http.get('/status')) as { consumer: { resyncs: object; catchUps: object } };
    expect(consumer.resyncs).toEqual({ count: 0, lastReason: null });
    expect(consumer.catchUps).toMatchObject({ done: 1, failed: 0, last: { source: place, state: 'done', error: null } });
    expect(sites.primary.producer?.peers).toMatchObject([{ site: 'b', state: 'replicate', lastError: null, resyncs: { count: 0 } }]);
    expect((await http.send('GET', '/metrics')).text).toContain('evertree_catch_ups_total{outcome="done"} 1\n');
    expect(http.site.store.get('')).toEqual(sites.store.get(''));
    // Its history has no hole: what it took from the archive can be read as any other.
    expect(http.site.store.journal.log.base.revision).toBe(0);
  });

  it('catches up from what its primary archives all the time, encrypted, although that keeps little', { timeout: 120_000 }, async () => {
    const [recipients, identity] = [join(folder, 'recipients.txt'), join(folder, 'identity.txt')];
    await writeFile(recipients, RECIPIENT);
    await writeFile(identity, IDENTITY, { mode: 0o600 });
    {
      await using target = await openTarget(place, { clock: systemClock, random: systemRandom, make: true });
      await initArchive(target, { sealing: Recipients.parse([RECIPIENT]), conditions: true, random: systemRandom });
    }
    await using sites = await ShortMemory.start(folder, { target: place, every: '50ms', recipients });
    {
      await using secondary = await sites.secondary();
      await sites.meet(secondary);
      await sites.archived();
    }
    for (const done of [1, 2]) {
      await sites.passBy();
      await using secondary = await sites.secondary({ 'catch-up-from': place, 'identity-file': identity });
      await sites.meet(secondary);
      // The trees are equal before the archive has been read to its end.
      await until(() => secondary.consumer?.state.catchUps?.done === 1);
      expect(secondary.consumer?.state, `the time ${done}`).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1, failed: 0 } });
      expect(secondary.store.get('')).toEqual(sites.store.get(''));
    }
    expect(sites.primary.archive?.status).toMatchObject({ state: 'archiving', gaps: [] });
    expect(await unsealedFiles(place, ['xxxxxxxxxxxxxxxx', 'met'])).toEqual([]);
  });

  it('is seeded by a restore, and goes on by frames: from the archive, and then from its primary', async () => {
    await using sites = await ShortMemory.start(folder);
    await sites.store.put('/a', 1).durable;
    await sites.readAlong();
    await archive(sites.frames);
    {
      await using target = await openTarget(place, { clock: systemClock, random: systemRandom });
      await restoreSite({
        target,
        disk: nodeDisk(join(folder, 'b')),
        clock: systemClock,
        random: systemRandom,
        site: 'b',
        role: 'secondary',
        dryRun: false,
      });
    }
    await sites.passBy();
    await rm(place, { recursive: true });
    await archive(sites.frames);
    await using secondary = await sites.secondary({ 'catch-up-from': place });
    await sites.meet(secondary);
    await until(() => secondary.consumer?.state.catchUps?.done === 1);
    expect(secondary.consumer?.state).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1, failed: 0 } });
    expect(secondary.store.get('')).toEqual(sites.store.get(''));
    expect(secondary.store.journal.divergences.list()).toEqual([]);
  });

  it('opens an encrypted archive with its identity file, and takes the whole tree without one', async () => {
    await using sites = await passedBy();
    await archive(sites.frames, Recipients.parse([RECIPIENT]));
    await sites.readAlong();
    const file = join(folder, 'identity.txt');
    await writeFile(file, `${IDENTITY}\n`, { mode: 0o600 });
    {
      await using secondary = await sites.secondary({ 'catch-up-from': place, 'identity-file': file });
      await sites.meet(secondary);
      await until(() => secondary.consumer?.state.catchUps?.done === 1);
      expect(secondary.consumer?.state).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1 } });
    }
    await sites.passBy();
    await using secondary = await sites.secondary({ 'catch-up-from': place });
    await sites.meet(secondary);
    expect(secondary.consumer?.state).toMatchObject({ resyncs: { count: 1 }, catchUps: { done: 0, failed: 1 } });
    expect(secondary.consumer?.state.catchUps?.last?.error).toMatch(/is encrypted: .* "identity-file" beside "catch-up-from"/);
  });

  it.each<[string, (sites: ShortMemory) => Promise<void>, RegExp]>([
    ['is not there', () => Promise.resolve(), /archive/],
    ['ends too early', sites => archive(sites.frames.slice(0, 6)), /holds what follows up to 1-\d+ only/],
    [
      'is damaged',
      async sites => {
        await archive(sites.frames);
        await using target = await openTarget(place, { clock: systemClock, random: systemRandom });
        for await (const { key } of target.list('stretch/')) {
          const { bytes } = (await target.get(key))!;
          bytes[bytes.length >> 1]! ^= 1;
          await target.remove([key]);
          await target.create(key, bytes);
        }
      },
      /stretch\//,
    ],
  ])('takes the whole tree, and says why, if the archive %s', async (_name, prepare, words) => {
    await using sites = await passedBy();
    await prepare(sites);
    await using secondary = await sites.secondary({ 'catch-up-from': place });
    await sites.meet(secondary);
    await until(() => secondary.state === 'replicating');
    expect(secondary.consumer?.state).toMatchObject({ resyncs: { count: 1 }, catchUps: { done: 0, failed: 1 } });
    expect(secondary.consumer?.state.catchUps?.last?.error).toMatch(words);
    expect(secondary.store.get('')).toEqual(sites.store.get(''));
  });
});
