import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openTarget } from '@evertree/archive';
import { expect, test, vi } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { makeBucket, startS3 } from '../support/s3/server.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';
import { isFree } from '../support/site-process.ts';

const SERVER_MODULE = new URL('../support/s3/server.ts', import.meta.url).href;
const SOON = { timeout: 20_000, interval: 20 };

describeS3('the S3 server of the tests', () => {
  test('is shared by all test files, and each has buckets of its own', async () => {
    const [one, other] = [await sharedS3(), await sharedS3()];
    expect(one.endpoint).toBe(other.endpoint);
    expect(one.bucket).not.toBe(other.bucket);
  });

  test('keeps what it acknowledged through SIGKILL and restart, on the same port', async () => {
    await using server = await startS3();
    await makeBucket(server, 'kept');
    await using target = await openTarget('s3://kept', { clock: systemClock, random: systemRandom, endpoint: server.endpoint });
    await target.create('a', Buffer.from('kept'));
    await server.kill();
    await server.restart();
    expect((await target.get('a'))?.bytes.toString()).toBe('kept');
  });

  test('dies with the process that started it, however that ends, and leaves no folder', async () => {
    const script = `
      const { startS3 } = await import(${JSON.stringify(SERVER_MODULE)});
      const { endpoint, folder } = await startS3();
      console.log(JSON.stringify({ port: Number(new URL(endpoint).port), folder }));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { port, folder } = JSON.parse(line) as { port: number; folder: string };
    expect(await isFree(port)).toBe(false);
    child.kill('SIGKILL');
    await vi.waitFor(async () => {
      expect(await isFree(port)).toBe(true);
      expect(existsSync(folder)).toBe(false);
    }, SOON);
  });
});
