import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BatchWriter, expectAnswered, treeOf } from '../support/batch-writer.ts';
import { Simulation } from '../support/simulation.ts';
import { SiteProcess, freePort, until } from '../support/site-process.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

/** How long faults are injected; then the pair runs undisturbed until its trees are equal. */
const MISTREATED_MS = 15_000;
const START_LIMIT_MS = 20_000;
const EQUAL_LIMIT_MS = 30_000;

interface Pair {
  readonly primary: SiteProcess;
  readonly secondary: SiteProcess;
  readonly proxy: TcpProxy;
  readonly writer: BatchWriter;
}

/** The faults; one that is listed twice is drawn twice as often. */
const MISHAPS: readonly ((pair: Pair, dice: Simulation) => Promise<void> | void)[] = [
  ({ primary }) => primary.kill(),
  ({ primary }) => primary.kill(),
  ({ secondary }) => secondary.kill(),
  ({ secondary }) => secondary.kill(),
  async ({ primary, secondary }) => void (await Promise.all([primary.kill(), secondary.kill()])),
  ({ primary }) => primary.stop(),
  ({ secondary }) => secondary.stop(),
  ({ proxy }) => proxy.cut(),
  ({ proxy }, dice) => proxy.cutAfter(dice.below(20_000)),
  ({ proxy }, dice) => proxy.setDelay(dice.below(50)),
  ({ proxy }, dice) => proxy.setRate(dice.below(2) === 0 ? undefined : 200_000),
  ({ proxy }) => proxy.halfOpen(),
];

/** Until one of them happens: a while of load, counted in batches, so that a slow machine gets as many. */
async function load(pair: Pair, batches: number, endMs: number): Promise<void> {
  const enough = pair.writer.batches + batches;
  const done = async (): Promise<boolean> => pair.writer.batches >= enough || performance.now() > endMs;
  await until('the writer goes on', done, START_LIMIT_MS);
}

async function mistreat(pair: Pair, dice: Simulation): Promise<number> {
  const endMs = performance.now() + MISTREATED_MS;
  let mishaps = 0;
  while (performance.now() < endMs) {
    await load(pair, dice.below(20), endMs);
    await MISHAPS[dice.below(MISHAPS.length)]!(pair, dice);
    mishaps += 1;
    if (!pair.primary.isRunning) await pair.primary.start(START_LIMIT_MS);
    // A secondary may be away for a while, and the primary commits on.
    if (!pair.secondary.isRunning) {
      await load(pair, dice.below(60), endMs);
      await pair.secondary.start(START_LIMIT_MS);
    }
  }
  return mishaps;
}

async function untilEqual({ primary, secondary }: Pair): Promise<void> {
  const equal = async (): Promise<boolean> => {
    const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
    return ours !== undefined && ours.position.revision === theirs?.position.revision && ours.peers[0]?.lagRevisions === 0;
  };
  try {
    await until('the two are equal', equal, EQUAL_LIMIT_MS);
  } catch (error) {
    const told = [primary, secondary].map(async site => `${JSON.stringify(await site.status(), null, 1)}\n${site.tail()}`);
    throw new Error((await Promise.all(told)).join('\n\n'), { cause: error });
  }
}

async function write(directory: string, name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

it(
  'a pair of processes, killed and cut off at random moments under load, ends equal, with nothing lost and no full copy',
  { timeout: 120_000 },
  async () => {
    const dice = Simulation.seeded();
    const directory = await mkdtemp(join(tmpdir(), 'evertree-kill-'));
    try {
      const [listening, primaryHttp, secondaryHttp] = [await freePort(), await freePort(), await freePort()];
      await using proxy = await startTcpProxyTo(listening);
      const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': proxy.tcp.port, 'connection-retry-interval-ms': 50 };
      const producer = await write(directory, 'producer.json', { 'netty-connection': connection });
      const consumer = await write(directory, 'consumer.json', { 'netty-consumer': { 'listening-port': listening } });
      await using primary = new SiteProcess({
        role: 'primary',
        site: 'a',
        config: producer,
        data: join(directory, 'a'),
        httpPort: primaryHttp,
      });
      await using secondary = new SiteProcess({
        role: 'secondary',
        site: 'b',
        config: consumer,
        data: join(directory, 'b'),
        httpPort: secondaryHttp,
      });
      await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
      const writer = new BatchWriter(primary);
      const pair: Pair = { primary, secondary, proxy: proxy.tcp, writer };
      const mishaps = await mistreat(pair, dice);
      await writer.stop();
      proxy.tcp.setDelay(0);
      proxy.tcp.setRate(undefined);
      await untilEqual(pair);
      await expectSound(pair);
      console.log(`${mishaps} mishaps, ${writer.answered.length} writes answered`);
      expect(mishaps).toBeGreaterThan(3);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);

async function startTcpProxyTo(port: number): Promise<AsyncDisposable & { readonly tcp: TcpProxy }> {
  const tcp = await startTcpProxy({ port });
  return { tcp, [Symbol.asyncDispose]: () => tcp.close() };
}

async function expectSound({ primary, secondary, writer }: Pair): Promise<void> {
  const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
  expect(theirs?.digest).toBe(ours?.digest);
  const [tree, copy] = await Promise.all([treeOf(primary), treeOf(secondary)]);
  expect(copy).toEqual(tree);
  expectAnswered(writer, tree);
  const told = new Set([...primary.log, ...secondary.log].map(({ event }) => event));
  for (const bad of ['peer-resync', 'resync', 'primary-fenced', 'frame-quarantined', 'printed']) {
    expect([...told], [...primary.log, ...secondary.log].find(({ event }) => event === bad)?.message ?? '').not.toContain(bad);
  }
}
