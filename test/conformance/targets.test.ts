import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '@evertree/archive';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';
import { testTarget } from './target.ts';

const host = { clock: systemClock, random: systemRandom };

testTarget(
  'in memory',
  async () => {
    const target = new MemoryTarget();
    return { open: async () => target.client(), [Symbol.asyncDispose]: async () => undefined };
  },
  { conditions: true, durable: true },
);

testTarget(
  'in memory that ignores conditions',
  async () => {
    const target = new MemoryTarget({ ignoresConditions: true, pageKeys: 3 });
    return { open: async () => target.client(), [Symbol.asyncDispose]: async () => undefined };
  },
  { conditions: false, durable: true },
);

testTarget(
  'in a directory',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'evertree-target-'));
    return {
      open: () => openTarget(join(root, 'made/with what is above'), { ...host, make: true }),
      [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
    };
  },
  { conditions: true, durable: true },
);

testTarget(
  'in a directory that a symbolic link leads to',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'evertree-target-'));
    await openTarget(join(root, 'real'), { ...host, make: true });
    await symlink('real', join(root, 'link'));
    return {
      open: () => openTarget(join(root, 'link'), host),
      [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
    };
  },
  { conditions: true, durable: true },
);

describeS3('S3', () => {
  testTarget(
    'in a bucket',
    async () => {
      const { endpoint, bucket } = await sharedS3();
      return { open: () => openTarget(`s3://${bucket}`, { ...host, endpoint }), [Symbol.asyncDispose]: async () => undefined };
    },
    { conditions: true, durable: true },
  );

  testTarget(
    'below a prefix of a bucket, beside others',
    async () => {
      const { endpoint, bucket } = await sharedS3();
      for (const other of ['site', 'site/a-b', 'site/aa']) {
        const target = await openTarget(`s3://${bucket}/${other}`, { ...host, endpoint });
        await target.create('HEAD', Buffer.from('of another archive'));
        await target[Symbol.asyncDispose]();
      }
      return { open: () => openTarget(`s3://${bucket}/site/a/`, { ...host, endpoint }), [Symbol.asyncDispose]: async () => undefined };
    },
    { conditions: true, durable: true },
  );
});
