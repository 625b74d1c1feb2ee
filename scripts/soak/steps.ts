import type { Chance } from '../../test/simulation/chance.ts';
import { run } from '../../test/support/program.ts';
import type { SoakSite, SoakSites } from './sites.ts';

/** What a step acts on. */
export interface Stage {
  readonly all: SoakSites;
  readonly chance: Chance;
  /** Tells what is done. */
  readonly say: (what: string) => void;
  readonly fault: (what: string) => void;
}

type Step = (stage: Stage) => Promise<void>;

const DOWN_MS = 2_000;
const HELD_MS = 4_000;
/** A start takes some hundred milliseconds: a kill comes within so many. */
const STARTING_MS = 1_000;
/** A switchover or a promotion lasts some milliseconds, on a busy machine more. */
const SWITCHING_MS = 150;
const CUT_BYTES = 20_000;
const SLOW_MS = 200;

export function rest(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

/** What people, machines and networks do to sites. Each begins at sites as they are, whatever a step before left. */
export const STEPS = {
  kill: async stage => killed(stage, oneOf(stage)),
  killAll: async stage => {
    await Promise.all(stage.all.sites.map(site => killed(stage, site)));
  },
  killAsItStarts: async stage => {
    const site = oneOf(stage);
    await stage.all.kill(site);
    stage.say(`killed ${site.site}, and again as it starts`);
    void stage.all.start(site);
    await rest(stage.chance.below(STARTING_MS));
    await stage.all.kill(site);
    back(stage, site);
  },
  stop: async stage => {
    const site = oneOf(stage);
    if (site.isHeld) site.release();
    await stage.all.start(site);
    stage.say(`stops ${site.site}`);
    await site.stop().catch((error: unknown) => stage.fault(String(error)));
    back(stage, site);
  },
  hold: async stage => {
    const site = oneOf(stage);
    stage.say(`holds ${site.site}`);
    site.hold();
    await rest(stage.chance.below(HELD_MS));
    site.release();
  },
  part: async ({ all, chance, say }) => {
    const names = all.sites.map(({ site }) => site);
    const alone = chance.pick(names);
    const groups = chance.happens(0.3) ? names.map(name => [name]) : [[alone], names.filter(name => name !== alone)];
    const silently = chance.happens(0.3);
    say(`parts ${groups.map(group => group.join('+')).join(' from ')}${silently ? ', silently' : ''}`);
    all.part(groups, silently);
  },
  cut: async ({ all, chance, say }) => {
    const { from, to, proxy } = chance.pick(all.roads);
    say(`cuts the road from ${from} to ${to} soon`);
    proxy.cutAfter(chance.below(CUT_BYTES));
  },
  slow: async ({ all, chance, say }) => {
    const { from, to, proxy } = chance.pick(all.roads);
    say(`makes the road from ${from} to ${to} slow`);
    proxy.setDelay(chance.below(SLOW_MS));
  },
  heal: async ({ all, say }) => {
    say('heals all');
    await all.heal();
  },
  snapshot: async stage => {
    await oneOf(stage).ask('POST', '/admin/snapshot');
  },
  rotateArchive: async ({ all, say }) => {
    say('makes another archive for all sites, which they take at their next start');
    await all.rotateArchive();
  },
  switchover: async stage => switched(stage),
  switchoverKill: async stage => {
    const switching = switched(stage);
    await rest(stage.chance.below(SWITCHING_MS));
    await killed(stage, oneOf(stage));
    await switching;
  },
  promote: async stage => promoted(stage, oneOf(stage)),
  promoteTwo: async stage => {
    await Promise.all([promoted(stage, oneOf(stage)), promoted(stage, oneOf(stage))]);
  },
  promoteKill: async stage => {
    const site = oneOf(stage);
    const promoting = promoted(stage, site);
    await rest(stage.chance.below(SWITCHING_MS));
    await killed(stage, stage.chance.happens(0.7) ? site : oneOf(stage));
    await promoting;
  },
  repair: async ({ all, chance, say, fault }) => {
    const [at, from] = [oneOf({ all, chance }), oneOf({ all, chance })];
    if (at === from) return;
    const { stdout, stderr } = await run(['compare', '--repair', '--url', at.url, '--with', from.url]);
    const outcome = `${stdout}${stderr}`.trimEnd().split('\n').at(-1) ?? '';
    say(`repairs ${at.site} from ${from.site}: ${outcome}`);
    if (/DIGEST_MISMATCH|INTERNAL/.test(outcome)) fault(`a repair of ${at.site} failed: ${outcome}`);
  },
  replay: async ({ all, chance, say }) => {
    const site = oneOf({ all, chance });
    const { status, text } = await site.ask('GET', '/divergences');
    const { divergences = [] } = status === 200 ? (JSON.parse(text) as { divergences?: { name: string }[] }) : {};
    if (divergences.length === 0) return;
    const { name } = chance.pick(divergences);
    const answer = await site.ask('POST', '/admin/divergences/replay', { divergence: name, force: chance.happens(0.5) });
    say(`replays ${name} at ${site.site}: ${answer.status}`);
  },
} satisfies Record<string, Step>;

export type StepName = keyof typeof STEPS;

function oneOf({ all, chance }: Pick<Stage, 'all' | 'chance'>): SoakSite {
  return chance.pick(all.sites);
}

async function killed(stage: Stage, site: SoakSite): Promise<void> {
  if (!site.isRunning) return;
  stage.say(`kills ${site.site}`);
  await stage.all.kill(site);
  back(stage, site);
}

/** A supervisor starts a site again, some time later; the next step does not wait for that. */
function back({ all, chance }: Stage, site: SoakSite): void {
  const downMs = chance.below(DOWN_MS);
  setTimeout(() => void all.start(site), downMs).unref();
}

/** To a site that does not lead, mostly: the command for one that does changes nothing. */
async function switched({ all, chance, say }: Stage): Promise<void> {
  const standings = await Promise.all(all.sites.map(site => site.status()));
  const others = all.sites.filter((_, index) => standings[index]?.standing !== 'primary');
  const [at, to] = [chance.pick(all.sites), chance.pick(others.length === 0 ? all.sites : others)];
  const { status, text } = await at.ask('POST', '/admin/switchover', { to: to.site });
  say(`switchover to ${to.site}, given at ${at.site}: ${status} ${text.slice(0, 200)}`);
}

export async function promoted({ say }: Pick<Stage, 'say'>, site: SoakSite): Promise<void> {
  const { status, text } = await site.ask('POST', '/admin/promote', { force: true });
  say(`promotion of ${site.site}: ${status} ${text.slice(0, 200)}`);
}
