import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Identities, Recipients, initArchive, openTarget } from '@evertree/archive';
import { expect, it } from 'vitest';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { ArchivingPair, type FaultyPlace } from '../support/archiving-pair.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { type S3Fault, type S3FaultProxy, startFaultProxy } from '../support/s3/fault-proxy.ts';
import { type S3Server, makeBucket, startS3 } from '../support/s3/server.ts';
import { describeS3 } from '../support/s3/suite.ts';
import { Simulation } from '../support/simulation.ts';

/** How long faults are injected. */
const MISTREATED_MS = 12_000;
const BUCKET = 'archives';
const NAME = `s3://${BUCKET}/sites`;
/** More than a service allows between its clock and that of who asks. */
const SKEW_MS = 20 * 60_000;

/** What the service and the network do; `pretend` only where nothing is to be kept. */
const FAULTS: readonly Omit<S3Fault, 'times' | 'after'>[] = [
  { kind: 'refuse' },
  { kind: 'refuse', headers: { 'retry-after': '1' } },
  { kind: 'refuse', status: 500, code: 'InternalError' },
  { kind: 'refuse', status: 403, code: 'AccessDenied' },
  { kind: 'refuse', status: 403, code: 'InvalidAccessKeyId' },
  { kind: 'refuse', status: 400, code: 'ExpiredToken' },
  { kind: 'refuse', status: 404, code: 'NoSuchBucket' },
  { kind: 'cut' },
  { kind: 'cut', method: 'PUT' },
  { kind: 'lose-answer' },
  { kind: 'lose-answer', method: 'PUT' },
  { kind: 'cut-body' },
  { kind: 'page' },
  { kind: 'pretend', method: 'DELETE' },
];

interface FaultyService extends AsyncDisposable {
  readonly place: FaultyPlace;
}

/** @param conditions whether the service heeds them */
async function serviceFor(folder: string, conditions: boolean): Promise<FaultyService> {
  const stack = new AsyncDisposableStack();
  const server: S3Server = stack.use(await startS3());
  await makeBucket(server, BUCKET);
  const proxy: S3FaultProxy = stack.use(await startFaultProxy(server.endpoint));
  proxy.ignoreConditions(!conditions);
  const recipients = join(folder, 'recipients.txt');
  await writeFile(recipients, `${RECIPIENT}\n`);
  const target = () => openTarget(NAME, { clock, random, endpoint: server.endpoint, region: 'us-east-1' });
  {
    await using opened = await target();
    await initArchive(opened, { sealing: Recipients.parse([RECIPIENT]), conditions, random });
  }
  let isDead = false;
  let planted: Disposable[] = [];
  const revive = async (): Promise<void> => {
    if (isDead) await server.restart();
    isDead = false;
  };
  const plant = (dice: Simulation): void => {
    const fault = FAULTS[dice.below(FAULTS.length)]!;
    planted.push(proxy.fail({ ...fault, after: dice.below(4), times: 1 + dice.below(6) }));
  };
  const place: FaultyPlace = {
    section: { target: NAME, every: '50ms', recipients, endpoint: proxy.endpoint, region: 'us-east-1' },
    mishaps: [
      plant,
      plant,
      plant,
      plant,
      plant,
      async () => {
        await server.kill();
        isDead = true;
      },
      revive,
      revive,
      () => proxy.setSkew(SKEW_MS),
      () => proxy.setSkew(0),
    ],
    heal: async () => {
      for (const fault of planted) fault[Symbol.dispose]();
      planted = [];
      proxy.setSkew(0);
      await revive();
    },
    target,
    folder: join(server.folder, BUCKET),
    identities: Identities.parse([IDENTITY]),
  };
  return { place, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describeS3('an archive in a bucket, whose service and network fail at random points while its sites are killed', () => {
  it.each([
    ['of two sites', true],
    ['of one site, where the service heeds no condition', false],
  ])('%s lists only what can be restored, and holds no plain byte', { timeout: 240_000 }, async (_name, conditions) => {
    const dice = Simulation.seeded();
    const folder = await mkdtemp(join(tmpdir(), 'evertree-archive-s3-'));
    try {
      await using service = await serviceFor(folder, conditions);
      await using pair = await ArchivingPair.start(folder, service.place, conditions ? 'both' : 'primary');
      const mishaps = await pair.mistreat(dice, MISTREATED_MS);
      await pair.settle();
      await pair.compare(dice);
      console.log(`${mishaps} mishaps, ${pair.writer.answered.length} writes answered, judged ${pair.judged} times`);
      expect(pair.writer.answered.length).toBeGreaterThan(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
