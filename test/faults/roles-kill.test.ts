import { afterEach, expect, test } from 'vitest';
import { RoleProcesses, RoleWriter, switchover } from '../support/role-processes.ts';
import { Simulation } from '../support/simulation.ts';
import type { SiteProcess } from '../support/site-process.ts';

const ROUNDS = 4;
/** A switchover lasts some milliseconds: a fault comes within so many after its command, or just after it. */
const FAULT_MS = 40;
const LIMIT_MS = 30_000;

let processes: RoleProcesses;
afterEach(() => processes[Symbol.asyncDispose]());

function rest(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

/** A round: a switchover is interrupted by `fault`, and finished by the same command. */
async function interrupt(
  from: SiteProcess,
  to: SiteProcess,
  writer: RoleWriter,
  fault: () => Promise<void>,
  dice: Simulation,
): Promise<void> {
  await writer.more(20);
  const given = switchover(from, { to: to.site, maxPauseMs: 1_000 });
  await rest(dice.below(FAULT_MS));
  await fault();
  await given;
  await processes.finishSwitchover(to, LIMIT_MS);
  await processes.following(to);
}

async function expectNothingLost(writer: RoleWriter): Promise<void> {
  await writer.stop();
  await processes.following(await processes.leader());
  for (const site of processes.sites) {
    expect(await writer.lostAt(site)).toEqual([]);
    expect(site.log.filter(({ event }) => event === 'printed' || event === 'peer-resync')).toEqual([]);
  }
}

test(
  'a switchover during which either process is killed ends with one primary, and the same command finishes it',
  { timeout: 180_000 },
  async () => {
    const dice = Simulation.seeded();
    processes = await RoleProcesses.start('north', 'south');
    const writer = new RoleWriter(processes, 'w');
    for (let round = 0; round < ROUNDS; round++) {
      const [from, to] = (round % 2 === 0 ? processes.sites : processes.sites.toReversed()) as [SiteProcess, SiteProcess];
      const victim = dice.below(2) === 0 ? from : to;
      await interrupt(
        from,
        to,
        writer,
        async () => {
          await victim.kill();
          await processes.restart(victim);
        },
        dice,
      );
    }
    await expectNothingLost(writer);
  },
);

test('a switchover during which either process stands still for a while ends with one primary', { timeout: 180_000 }, async () => {
  const dice = Simulation.seeded();
  processes = await RoleProcesses.start('north', 'south');
  const writer = new RoleWriter(processes, 'w');
  for (let round = 0; round < ROUNDS / 2; round++) {
    const [from, to] = (round % 2 === 0 ? processes.sites : processes.sites.toReversed()) as [SiteProcess, SiteProcess];
    const victim = dice.below(2) === 0 ? from : to;
    await interrupt(
      from,
      to,
      writer,
      async () => {
        victim.signal('SIGSTOP');
        await rest(500 + dice.below(2_000));
        victim.signal('SIGCONT');
      },
      dice,
    );
  }
  await expectNothingLost(writer);
});
