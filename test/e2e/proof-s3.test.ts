import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget, Recipients } from '@evertree/archive';
import { type Drilled, drill, formatPosition, verifyArchive } from 'evertree';
import { expect, test } from 'vitest';
import { buildArchive, randomStream } from '../support/archive-builder.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { run } from '../support/program.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';

const IDENTITY = 'AGE-SECRET-KEY-124QXXUXT6NUUR6R0K5XK3G6P252E5QEFST82TLFRPGYS259U8A4Q4FS752\n';
const RECIPIENT = 'age1rgzl2tg9wk09waxangek5g8walq5qahrluscswdx4yuz0rletdaspm7wlv';

describeS3('an encrypted archive in a bucket', () => {
  test('is verified and drilled; a lost object is found, and a restore from what is left still passes', async () => {
    const { endpoint, bucket } = await sharedS3();
    const name = `s3://${bucket}/north`;
    const root = await mkdtemp(join(tmpdir(), 'evertree-proof-'));
    try {
      await using target = await openTarget(name, { clock: systemClock, random: systemRandom, endpoint, region: 'us-east-1' });
      const line = await buildArchive({ target, stream: await randomStream(50, 100), sealing: Recipients.parse([RECIPIENT]), inTails: 5 });
      await writeFile(join(root, 'identity'), IDENTITY, { mode: 0o600 });
      const options = ['--endpoint', endpoint, '--region', 'us-east-1', '--identity', 'identity'];
      const verified = await run(['verify', name, '--level', '3', ...options], { cwd: root });
      expect(verified).toMatchObject({ status: 0, stdout: expect.stringMatching(/verified .* level 3, \d+ objects read, 0 remembered/) });
      const drilled = await run(['drill', name, '--scratch', 'scratch', '--json', ...options], { cwd: root });
      expect(JSON.parse(drilled.stdout) as Drilled).toMatchObject({ passed: true, flip: { found: true } });
      const { path } = line.objects.findLast(object => object.kind === 'stretch')!;
      await target.remove([path]);
      const where = { endpoint, region: 'us-east-1', identities: [IDENTITY] };
      expect((await verifyArchive(name, { ...where, level: 0 })).findings).toMatchObject([{ object: path, problem: 'it is missing' }]);
      const { last } = line.objects.find(object => object.kind === 'stretch')!;
      const to = formatPosition(last);
      expect(await drill(name, { ...where, to, scratch: join(root, 'scratch') })).toMatchObject({ passed: true });
      expect(await readdir(join(root, 'scratch'))).toEqual([]);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }, 120_000);
});
