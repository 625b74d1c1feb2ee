import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recipients, openTarget } from '@evertree/archive';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { ShortMemory } from '../support/passed-by.ts';
import { startFaultProxy } from '../support/s3/fault-proxy.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-catch-up-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describeS3('a secondary whose primary no longer reaches back, with an encrypted archive in a bucket', () => {
  it('catches up from there while the service fails now and then, and takes the whole tree once it refuses', async () => {
    const { endpoint, bucket } = await sharedS3();
    await using proxy = await startFaultProxy(endpoint);
    const place = `s3://${bucket}/prices`;
    const identity = join(folder, 'identity.txt');
    await writeFile(identity, IDENTITY, { mode: 0o600 });
    const archive = { 'catch-up-from': place, 'identity-file': identity, endpoint: proxy.endpoint, region: 'us-east-1' };

    await using sites = await ShortMemory.start(folder);
    {
      await using secondary = await sites.secondary();
      await sites.meet(secondary);
    }
    await sites.passBy();
    await using target = await openTarget(place, { clock: systemClock, random: systemRandom, endpoint, region: 'us-east-1' });
    const maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
    const line = maker.line('a');
    for (const group of inGroups(sites.frames, 6)) await line.stretch(group);
    await maker.publish();
    {
      proxy.fail({ kind: 'refuse', times: 3, after: 2 });
      proxy.fail({ kind: 'cut-body', times: 1, target: /stretch/, after: 1 });
      await using secondary = await sites.secondary(archive);
      await sites.meet(secondary);
      expect(secondary.consumer?.state).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1, failed: 0 } });
      expect(secondary.store.get('')).toEqual(sites.store.get(''));
    }
    await sites.passBy();
    proxy.fail({ kind: 'refuse', status: 403, code: 'AccessDenied' });
    await using secondary = await sites.secondary(archive);
    await sites.meet(secondary);
    const { resyncs, catchUps } = secondary.consumer!.state;
    expect([resyncs.count, catchUps]).toMatchObject([1, { done: 0, failed: 1, last: { source: place } }]);
    expect(catchUps?.last?.error).toMatch(/refuse|denied|AccessDenied/i);
  });
});
