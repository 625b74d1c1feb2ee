import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recipients, initArchive, openTarget } from '@evertree/archive';
import { expect, it } from 'vitest';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { BatchWriter, treeOf } from '../support/batch-writer.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { Simulation } from '../support/simulation.ts';
import { SiteProcess, freePort, until } from '../support/site-process.ts';
import { type TcpProxy, startTcpProxy } from '../support/tcp-proxy.ts';

/** How often the secondary stays away for longer than its primary keeps the history. */
const ROUNDS = 3;
const MISHAPS_A_ROUND = 3;
const LIMIT_MS = 60_000;
/** Of the longest value, so that the history grows fast and the tree stays small. */
const TEXT_BYTES = 2_000;
/** So that a place gets another value each time. */
const PLACES = 401;

interface Pair {
  readonly primary: SiteProcess;
  readonly secondary: SiteProcess;
  readonly proxy: TcpProxy;
  readonly writer: BatchWriter;
}

/** What of a status this test looks at beside the rest. */
interface ArchivingStatus {
  readonly retention: { readonly passed: readonly string[] };
  readonly archive: { readonly gaps: readonly unknown[] };
}

/** What happens to the secondary while it takes what it lacks. */
const MISHAPS: readonly ((pair: Pair, dice: Simulation) => Promise<void> | void)[] = [
  ({ secondary }) => secondary.kill(),
  ({ secondary }) => secondary.kill(),
  ({ secondary }) => secondary.stop(),
  ({ proxy }) => proxy.cut(),
  ({ proxy }, dice) => proxy.cutAfter(dice.below(20_000)),
  ({ proxy }) => proxy.halfOpen(),
];

async function archivingStatus(primary: SiteProcess): Promise<ArchivingStatus> {
  return (await primary.status()) as unknown as ArchivingStatus;
}

/** The secondary is away until its primary keeps nothing of what follows its position. */
async function passBy({ primary, secondary }: Pair): Promise<void> {
  await secondary.kill();
  await until('the secondary is passed by', async () => (await archivingStatus(primary)).retention.passed.includes('south'), LIMIT_MS);
}

async function mistreat(pair: Pair, dice: Simulation): Promise<void> {
  for (let mishap = 0; mishap < MISHAPS_A_ROUND; mishap++) {
    if (!pair.secondary.isRunning) await pair.secondary.start(LIMIT_MS);
    const enough = pair.writer.batches + dice.below(20);
    await until('the writer goes on', async () => pair.writer.batches >= enough, LIMIT_MS);
    await MISHAPS[dice.below(MISHAPS.length)]!(pair, dice);
  }
  if (!pair.secondary.isRunning) await pair.secondary.start(LIMIT_MS);
}

async function untilEqual({ primary, secondary }: Pair): Promise<void> {
  const equal = async (): Promise<boolean> => {
    const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
    return ours !== undefined && ours.position.revision === theirs?.position.revision && ours.peers[0]?.lagRevisions === 0;
  };
  try {
    await until('the two are equal', equal, LIMIT_MS);
  } catch (error) {
    const told = [primary, secondary].map(async site => `${JSON.stringify(await site.status(), null, 1)}\n${site.tail()}`);
    throw new Error((await Promise.all(told)).join('\n\n'), { cause: error });
  }
}

/** The files of the two sites. */
async function prepare(folder: string, port: number, listening: number): Promise<{ readonly producer: string; readonly consumer: string }> {
  const place = join(folder, 'archive');
  const [recipients, identity] = [join(folder, 'recipients.txt'), join(folder, 'identity.txt')];
  const [producer, consumer] = [join(folder, 'producer.json'), join(folder, 'consumer.json')];
  await writeFile(recipients, RECIPIENT);
  await writeFile(identity, IDENTITY, { mode: 0o600 });
  await using target = await openTarget(place, { clock, random, make: true });
  await initArchive(target, { sealing: Recipients.parse([RECIPIENT]), conditions: true, random });
  const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 50 };
  const journal = { 'segment-bytes': 262_144, 'snapshot-bytes': 1_048_576, 'retention-max-bytes': 16_777_216 };
  const archive = { target: place, every: '50ms', recipients };
  const from = { 'catch-up-from': place, 'identity-file': identity };
  await writeFile(producer, JSON.stringify({ 'netty-connection': connection, journal, archive }));
  await writeFile(consumer, JSON.stringify({ 'netty-consumer': { 'listening-port': listening }, archive: from }));
  return { producer, consumer };
}

it(
  'a secondary that its primary passes by again and again, killed and cut off while it catches up, ends equal, from the archive alone',
  { timeout: 300_000 },
  async () => {
    const dice = Simulation.seeded();
    const folder = await mkdtemp(join(tmpdir(), 'evertree-catch-up-'));
    const [listening, primaryHttp, secondaryHttp] = [await freePort(), await freePort(), await freePort()];
    const proxy = await startTcpProxy({ port: listening });
    try {
      const { producer, consumer } = await prepare(folder, proxy.port, listening);
      const site = (role: 'primary' | 'secondary', name: string, config: string, httpPort: number) =>
        new SiteProcess({ role, site: name, config, data: join(folder, name), httpPort });
      await using primary = site('primary', 'north', producer, primaryHttp);
      await using secondary = site('secondary', 'south', consumer, secondaryHttp);
      await Promise.all([primary.start(LIMIT_MS), secondary.start(LIMIT_MS)]);
      const writer = new BatchWriter(primary, TEXT_BYTES, PLACES);
      const pair: Pair = { primary, secondary, proxy, writer };
      await until('the secondary holds something', async () => ((await primary.status())?.peers[0]?.position?.revision ?? 0) > 0, LIMIT_MS);
      for (let round = 0; round < ROUNDS; round++) {
        await passBy(pair);
        await mistreat(pair, dice);
      }
      await writer.stop();
      await untilEqual(pair);
      const [tree, copy] = await Promise.all([treeOf(primary), treeOf(secondary)]);
      expect(copy).toEqual(tree);
      expect(tree.last).toBeGreaterThanOrEqual(writer.answered.at(-1)!);
      const told = [...primary.log, ...secondary.log].map(({ event }) => event);
      const { gaps } = (await archivingStatus(primary)).archive;
      console.log(
        `${told.filter(event => event === 'catch-up-begun').length} catch-ups, ${gaps.length} gaps, ${writer.answered.length} writes`,
      );
      // Whoever is killed after it has taken what it lacked goes on from its primary, and never tells that it was done.
      expect(told).toContain('catch-up-begun');
      // What is kept is enough for the archiver, so that the archive has all of it: no copy of the tree is ever needed.
      expect(gaps).toEqual([]);
      expect(told.filter(event => event === 'resync' || event === 'peer-resync')).toEqual([]);
      for (const bad of ['frame-quarantined', 'printed', 'primary-fenced']) expect(told).not.toContain(bad);
    } finally {
      await proxy.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
