import { afterEach, expect, test } from 'vitest';
import { RoleProcesses, RoleWriter, switchover } from '../support/role-processes.ts';
import { Simulation } from '../support/simulation.ts';
import type { SiteProcess } from '../support/site-process.ts';

const ROUNDS = 6;
/** A switchover exchanges a few thousand bytes. */
const SWITCH_BYTES = 6_000;
const LIMIT_MS = 40_000;

let processes: RoleProcesses;
afterEach(() => processes[Symbol.asyncDispose]());

test(
  'a switchover whose link is cut, slow or half-open ends with one primary, and the same command finishes it',
  { timeout: 180_000 },
  async () => {
    const dice = Simulation.seeded();
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
      await processes.finishSwitchover(to, LIMIT_MS);
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
