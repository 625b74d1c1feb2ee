import { afterEach, expect, test } from 'vitest';
import { RoleProcesses, RoleWriter, promote } from '../support/role-processes.ts';
import { Simulation } from '../support/simulation.ts';
import { type SiteProcess, until } from '../support/site-process.ts';

const ROUNDS = 3;
/** A promotion lasts some milliseconds: its site dies within so many after the command, or just after it. */
const FAULT_MS = 40;
const LIMIT_MS = 40_000;

let processes: RoleProcesses;
afterEach(() => processes[Symbol.asyncDispose]());

test(
  'with one acknowledgement no answered write is lost by the death of the primary, whichever secondary is promoted, and however often that one dies',
  { timeout: 180_000 },
  async () => {
    const dice = Simulation.seeded();
    processes = await RoleProcesses.start('north', 'south', 'west');
    const writer = new RoleWriter(processes, 'w', 1);
    let leader = processes.sites[0]!;
    for (let round = 0; round < ROUNDS; round++) {
      await writer.more(20);
      await leader.kill();
      const others = processes.sites.filter(site => site !== leader) as [SiteProcess, SiteProcess];
      const next = others[dice.below(2)]!;
      const given = promote(next);
      await new Promise(resolve => setTimeout(resolve, dice.below(FAULT_MS)));
      await next.kill();
      await given;
      await processes.restart(next);
      // The epoch may have begun before its site died; else the same command begins one.
      await until(
        `${next.site} leads`,
        async () => (await next.status())?.role === 'primary' || (await promote(next)).status === 200,
        LIMIT_MS,
      );
      await processes.restart(leader);
      await processes.following(next);
      leader = next;
    }
    await writer.stop();
    await processes.following(leader);
    for (const site of processes.sites) {
      expect(await writer.lostAt(site)).toEqual([]);
      expect(site.log.filter(({ event }) => event === 'printed' || event === 'peer-resync')).toEqual([]);
    }
    expect(writer.answered.length).toBeGreaterThan(20 * ROUNDS);
  },
);
