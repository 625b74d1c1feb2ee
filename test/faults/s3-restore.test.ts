import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget, Recipients } from '@evertree/archive';
import { openStore, restore } from 'evertree';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { archiveHistory, oracleHistory, type OracleHistory } from '../support/restorable.ts';
import { startFaultProxy } from '../support/s3/fault-proxy.ts';
import { describeS3, sharedS3, type SharedS3 } from '../support/s3/suite.ts';

const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';

describeS3('a restore from a bucket, encrypted', () => {
  let root: string;
  let s3: SharedS3;
  let made: OracleHistory;
  let target: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'evertree-s3-restore-'));
    s3 = await sharedS3();
    target = `s3://${s3.bucket}/north`;
    made = await oracleHistory(72, 40);
    await using opened = await openTarget(target, { clock: systemClock, random: systemRandom, endpoint: s3.endpoint });
    await archiveHistory(opened, made, { sealing: Recipients.parse([RECIPIENT]), partBytes: 1 });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test('gives the state, through a network that cuts, stalls and slows down', async () => {
    await using proxy = await startFaultProxy(s3.endpoint);
    proxy.fail({ kind: 'cut', method: 'GET', target: /stretch/, times: 2 });
    proxy.fail({ kind: 'cut-body', method: 'GET', target: /image/, times: 1 });
    proxy.fail({ kind: 'refuse', method: 'GET', target: /stretch/, after: 1, times: 3 });
    const state = made.states.at(-1)!;
    const data = join(root, 'data');
    const restored = await restore(target, { data, endpoint: proxy.endpoint, identities: [IDENTITY], dryRun: false });
    expect([restored.base, restored.digest]).toEqual([state.position, state.digest]);
    await using store = await openStore({ data });
    expect(store.get('')).toEqual(state.value);
  });

  test('goes on where expired credentials ended it, and fetches nothing again', async () => {
    const data = join(root, 'data');
    const state = made.states.at(-1)!;
    {
      await using proxy = await startFaultProxy(s3.endpoint);
      proxy.fail({ kind: 'refuse', method: 'GET', target: /stretch/, after: 2, status: 400, code: 'ExpiredToken' });
      await expect(restore(target, { data, endpoint: proxy.endpoint, identities: [IDENTITY], dryRun: false })).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    }
    await using proxy = await startFaultProxy(s3.endpoint);
    const restored = await restore(target, { data, endpoint: proxy.endpoint, identities: [IDENTITY], dryRun: false });
    expect([restored.base, restored.digest, restored.plan.resumes]).toEqual([state.position, state.digest, true]);
    expect(proxy.requests.filter(request => request.startsWith('GET') && request.includes('/image/'))).toEqual([]);
  });
});
