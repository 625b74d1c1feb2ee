import { initArchive, openTarget, prune, type Target } from '@evertree/archive';
import { expect, it } from 'vitest';
import { buildArchive, randomStream } from '../support/archive-builder.ts';
import { judgeArchive, Testimony } from '../support/archive-judge.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { startFaultProxy } from '../support/s3/fault-proxy.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';

async function keysOf(target: Target): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of ['stretch/', 'image/']) for await (const { key } of target.list(prefix)) keys.push(key);
  return keys;
}

describeS3('prune in a bucket', () => {
  it('names what the service answered for and kept, and what is left is sound', async () => {
    const { endpoint, bucket } = await sharedS3();
    await using proxy = await startFaultProxy(endpoint);
    const open = (at: string) => openTarget(`s3://${bucket}/north`, { clock, random, endpoint: at, region: 'us-east-1' });
    await using target = await open(endpoint);
    await initArchive(target, { sealing: 'plain', conditions: true, random });
    const stream = await randomStream(11, 150);
    await buildArchive({ target, stream, inTails: 3 });
    const testimony = new Testimony();
    testimony.take(stream.frames);
    const before = await keysOf(target);
    await using faulty = await open(proxy.endpoint);
    const options = { rules: { last: 2, atLeast: 1 }, graceMs: 0, isExclusive: true } as const;
    const fault = proxy.fail({ kind: 'pretend', method: 'DELETE' });
    const batches = proxy.fail({ kind: 'pretend', method: 'POST' });
    const kept = await prune(faulty, options);
    expect(kept.condemned.objects).toBeGreaterThan(3);
    expect(kept.deleted.objects + kept.stubborn.length).toBe(kept.condemned.objects);
    expect(kept.stubborn.length).toBeGreaterThan(0);
    for (const planted of [fault, batches]) planted[Symbol.dispose]();
    const gone = await prune(faulty, options);
    expect(gone).toMatchObject({ stubborn: [], deleted: { objects: kept.stubborn.length } });
    expect((await keysOf(target)).length).toBe(before.length - kept.condemned.objects);
    await judgeArchive(target, testimony);
  }, 120_000);
});
