import { afterEach, expect, test } from 'vitest';
import { RoleProcesses, RoleWriter, switchover } from '../support/role-processes.ts';
import { Simulation } from '../support/simulation.ts';
import { type SiteProcess, until } from '../support/site-process.ts';

const ROUNDS = 6;
/** A switchover exchanges a few thousand bytes. */
const SWITCH_BYTES = 6_000;
const LIMIT_MS = 40_000;

let processes: RoleProcesses;
afterEach(() => processes[Symbol.asyncDispose]());

async function finish(to: SiteProcess): Promise<void> {
  await until(
    `${to.site} leads, by the same command`,
    async () => {
      for (const site of processes.sites) {
        const { status, json } = await switchover(site, { to: to.site });
        if (status === 200 && json.outcome === 'done') return true;
      }
      return false;
    },
    LIMIT_MS,
  );
}

test(
  'a switchover whose link is cut, slow or half-open ends with one primary, and the same command finishes it',
  { timeout: 180_000 },
  async () => {
    const seed = Number(process.env['EVERTREE_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));
    console.log(`seed ${seed} (EVERTREE_SEED=${seed} repeats it)`);
    const dice = new Simulation(seed);
    processes = await RoleProcesses.start('north', 'south');
    const writer = new RoleWriter(processes, 'w');
    for (let round = 0; round < ROUNDS; round++) {
      const [from, to] = (round % 2 === 0 ? processes.sites : processes.sites.toReversed()) as [SiteProcess, SiteProcess];
      await writer.more(20);
      for (const proxy of processes.proxies) {
        if (round === ROUNDS - 1) proxy.halfOpen();
        else if (dice.below(3) === 0) proxy.setDelay(dice.below(30));
        else proxy.cutAfter(dice.below(SWITCH_BYTES));
      }
      await switchover(from, { to: to.site, maxPauseMs: 500 });
      for (const proxy of processes.proxies) {
        proxy.setDelay(0);
        proxy.cutAfter(Infinity);
      }
      await finish(to);
      await processes.following(to);
    }
    await writer.stop();
    await processes.following(processes.sites[0]!);
    for (const site of processes.sites) {
      expect(await writer.lostAt(site)).toEqual([]);
      expect(site.log.filter(({ event }) => event === 'printed' || event === 'peer-resync')).toEqual([]);
    }
  },
);
