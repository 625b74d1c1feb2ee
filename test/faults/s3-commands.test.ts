import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PROGRAM } from '../support/program.ts';
import { type S3FaultProxy, startFaultProxy } from '../support/s3/fault-proxy.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';

const evertree = (...args: string[]) => promisify(execFile)(process.execPath, [PROGRAM, ...args]);

describeS3('commands on an archive in a bucket', () => {
  let proxy: S3FaultProxy;
  let target: string;

  beforeEach(async () => {
    const { endpoint, bucket } = await sharedS3();
    proxy = await startFaultProxy(endpoint);
    target = `s3://${bucket}/site`;
    await evertree('backup', 'init', target, '--endpoint', proxy.endpoint);
  });
  afterEach(() => proxy.close());

  test.each([['backups'], ['verify'], ['prune', '--keep-last', '3', '--dry-run']])(
    '%s waits between two attempts, and does not end before the second',
    async (command, ...more) => {
      proxy.fail({ kind: 'refuse', times: 3 });
      const before = proxy.requests.length;
      const { stdout, stderr } = await evertree(command, target, '--endpoint', proxy.endpoint, '--json', ...more).catch(
        (error: { stdout: string; stderr: string }) => error,
      );
      expect(stderr).not.toContain('unsettled');
      expect(() => JSON.parse(stdout) as unknown).not.toThrow();
      expect(proxy.requests.length).toBeGreaterThan(before + 3);
    },
  );
});
