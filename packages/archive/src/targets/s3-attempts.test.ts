import { expect, test } from 'vitest';
import { ManualClock, systemRandom } from '../../../../test/support/host.ts';
import { S3_LIMITS, S3Attempts } from './s3-attempts.ts';

const place = { target: 's3://bucket', bucket: 'bucket', endpoint: undefined, region: 'r', profile: undefined, action: 'reading' };
const closed = expect.objectContaining({ code: 'CLOSED' });

function attempts(): S3Attempts {
  return new S3Attempts(new ManualClock(), systemRandom, S3_LIMITS);
}

test('requests to a service are given up when they are closed, and none begins any more', async () => {
  const all = attempts();
  let signal: AbortSignal | undefined;
  const request = all.run(place, bounds => {
    ({ signal } = bounds);
    return new Promise(() => undefined);
  });
  all.close();
  await expect(request).rejects.toEqual(closed);
  expect(signal!.aborted).toBe(true);
  await expect(all.run(place, () => expect.unreachable())).rejects.toEqual(closed);
});

test('the wait before the next request to a service is given up, too', async () => {
  const all = attempts();
  let requests = 0;
  const failing = all.run(place, () => {
    requests++;
    return Promise.reject(Object.assign(new Error('cut'), { code: 'ECONNRESET' }));
  });
  // The first one has failed, and the clock stands still.
  await new Promise(resolve => setImmediate(resolve));
  all.close();
  await expect(failing).rejects.toEqual(closed);
  expect(requests).toBe(1);
});
