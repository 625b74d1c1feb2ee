import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { treeOf } from '../support/batch-writer.ts';
import { Simulation } from '../support/simulation.ts';
import { SiteProcess, type SiteStatus, freePort, until } from '../support/site-process.ts';

const ROUNDS = 6;
const START_LIMIT_MS = 20_000;
const EQUAL_LIMIT_MS = 30_000;
/** Members of the object of a round, some 6 MB in all: a frame far above what a secondary applies at once. */
const MEMBERS = 100_000;
/** A secondary answers so many questions at most while it applies a frame of them: a few tens. */
const ANSWERS = 20;

async function write(directory: string, name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

function objectOf(round: number): Record<string, object> {
  return Object.fromEntries(Array.from({ length: MEMBERS }, (_, index) => [`member-${index}`, { round, list: [index, round] }]));
}

/** Whether the site has a round's object whole, or nothing of it. */
async function expectWholeOrNothing(site: SiteProcess, round: number): Promise<void> {
  const status = (await site.status())!;
  const tree = (await treeOf(site)) as { readonly large?: Record<string, { readonly round: number }> };
  const rounds = new Set(Object.values(tree.large ?? {}).map(member => member.round));
  expect([...rounds], `at ${status.position.revision}`).toSatisfy((found: number[]) => found.length <= 1 && (found[0] ?? 0) <= round);
}

/**
 * Lets a secondary answer some questions while it is behind its primary: each in a turn of its own, between two steps.
 * @returns whether it is behind still
 */
async function answersBehind(secondary: SiteProcess, primary: SiteStatus, count: number): Promise<boolean> {
  const isBehind = async (): Promise<boolean> => (await secondary.status())!.position.revision < primary.position.revision;
  for (let left = count; left > 0 && (await isBehind()); left--);
  return isBehind();
}

it('a site that is killed while it takes a large frame has all of it or nothing, and goes on', { timeout: 180_000 }, async () => {
  const dice = Simulation.seeded();
  const directory = await mkdtemp(join(tmpdir(), 'evertree-large-'));
  try {
    const [listening, primaryHttp, secondaryHttp] = [await freePort(), await freePort(), await freePort()];
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': listening, 'connection-retry-interval-ms': 50 };
    const sites = [
      { role: 'primary', site: 'a', file: { 'netty-connection': connection }, httpPort: primaryHttp },
      { role: 'secondary', site: 'b', file: { 'netty-consumer': { 'listening-port': listening } }, httpPort: secondaryHttp },
    ] as const;
    const [first, second] = await Promise.all(
      sites.map(async ({ file, ...rest }) => {
        const config = await write(directory, `${rest.site}.json`, file);
        return new SiteProcess({ ...rest, config, data: join(directory, rest.site) });
      }),
    );
    await using primary = first!;
    await using secondary = second!;
    await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
    let killedBehind = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      const body = JSON.stringify(objectOf(round));
      const put = await fetch(`${primary.url}/data/large`, { method: 'PUT', body, headers: { 'content-type': 'application/json' } });
      expect(put.status).toBeLessThan(300);
      // The primary has answered: its frame is being cut, sent and applied.
      const victims = dice.below(4) === 0 ? [primary, secondary] : [secondary];
      if (await answersBehind(secondary, (await primary.status())!, dice.below(ANSWERS))) killedBehind++;
      await Promise.all(victims.map(site => site.kill()));
      for (const site of victims) {
        await site.start(START_LIMIT_MS);
        await expectWholeOrNothing(site, round);
      }
      await until(
        'the two are equal',
        async () => {
          const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
          return ours !== undefined && ours.position.revision === theirs?.position.revision && ours.digest === theirs.digest;
        },
        EQUAL_LIMIT_MS,
      );
      await expectWholeOrNothing(secondary, round);
    }
    expect(await treeOf(secondary)).toEqual(await treeOf(primary));
    console.log(`killed ${killedBehind} times before the frame was applied`);
    expect(killedBehind).toBeGreaterThan(0);
    const told = new Set([...primary.log, ...secondary.log].map(({ event }) => event));
    for (const bad of ['peer-resync', 'resync', 'frame-quarantined', 'printed']) expect([...told]).not.toContain(bad);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
