import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
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

/** Names of members, in the order in which a site writes them. */
const NAMES = Array.from({ length: MEMBERS }, (_, index) => `member-${index}`).toSorted();

/** The object of a round, as a site writes it: whole trees are compared as texts, which costs a hundredth of reading them. */
function objectOf(round: number): string {
  const members = NAMES.map(name => `"${name}":{"list":[${name.slice('member-'.length)},${round}],"round":${round}}`);
  return `{${members.join(',')}}`;
}

async function textOf(site: SiteProcess): Promise<string> {
  return (await (await fetch(`${site.url}/data`)).text()).trim();
}

/** @returns the round whose object the site has whole; 0 where it has nothing of any. Rejects for anything else */
async function roundOf(site: SiteProcess): Promise<number> {
  const text = await textOf(site);
  if (text === '{}') return 0;
  const round = Number(/"round":(\d+)/.exec(text)?.[1]);
  expect(text === `{"large":${objectOf(round)}}`, `the tree of ${site.site} is the object of round ${round}, whole`).toBe(true);
  return round;
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
      const body = objectOf(round);
      const put = await fetch(`${primary.url}/data/large`, { method: 'PUT', body, headers: { 'content-type': 'application/json' } });
      expect(put.status).toBeLessThan(300);
      // The primary has answered: its frame is being cut, sent and applied.
      const victims = dice.below(4) === 0 ? [primary, secondary] : [secondary];
      if (await answersBehind(secondary, (await primary.status())!, dice.below(ANSWERS))) killedBehind++;
      await Promise.all(victims.map(site => site.kill()));
      for (const site of victims) {
        await site.start(START_LIMIT_MS);
        expect(await roundOf(site)).toBeLessThanOrEqual(round);
      }
      await until(
        'the two are equal',
        async () => {
          const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
          return ours !== undefined && ours.position.revision === theirs?.position.revision && ours.digest === theirs.digest;
        },
        EQUAL_LIMIT_MS,
      );
      // The primary has answered each of them: both have the last one.
      expect(await Promise.all([roundOf(primary), roundOf(secondary)])).toEqual([round, round]);
    }
    console.log(`killed ${killedBehind} times before the frame was applied`);
    expect(killedBehind).toBeGreaterThan(0);
    const told = new Set([...primary.log, ...secondary.log].map(({ event }) => event));
    for (const bad of ['peer-resync', 'resync', 'frame-quarantined', 'printed']) expect([...told]).not.toContain(bad);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
