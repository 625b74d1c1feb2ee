import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backup, listBackups, openStore, restore } from 'evertree';
import { expect, test } from 'vitest';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';

describeS3('the library on an archive in a bucket', () => {
  test('makes it, lists what it has, and restores it: each call keeps its connections until it has ended', async () => {
    const { endpoint, bucket } = await sharedS3();
    const target = `s3://${bucket}/north`;
    const settings = { endpoint, region: 'us-east-1' };
    const folder = await mkdtemp(join(tmpdir(), 'evertree-library-s3-'));
    try {
      await using store = await openStore({ data: join(folder, 'north') });
      await store.put('/a', 1).durable;
      const { position, made } = await backup(store, target, settings);
      expect([position, made]).toEqual([store.position, true]);
      expect((await listBackups(target, settings)).lines).toHaveLength(1);
      const { base } = await restore(target, { ...settings, data: join(folder, 'again'), dryRun: false });
      expect(base).toEqual(position);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
