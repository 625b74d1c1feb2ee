import type { DiskOperation } from '../support/fault-disk.ts';
import { writeOverHttp } from './held-writer.ts';
import { writeLarge } from './large-writer.ts';
import type { SimulatedSite } from './site.ts';
import { CLUSTER } from './topic.ts';
import type { World } from './world.ts';

type Verb = (world: World, words: readonly string[]) => void;

/**
 * What may happen in a world, by the first word of a script's line. A step that can't happen (a dead site writes) does
 * nothing: so any line of a script can be left out, and the rest still has a meaning.
 */
const VERBS: Readonly<Record<string, Verb>> = {
  /** `pass 40`: so many milliseconds. */
  pass: (world, [ms]) => world.time.pass(Number(ms)),
  /** `until a handing-over 100`: until the change of roles at a has come to that step, for so many milliseconds at most. */
  until: (world, [name, step, ms]) => {
    const { time } = world;
    time.until(() => world.site(name!).running?.roles.status?.step === step, Number(ms));
  },
  /** `write a 3 1`: three commits at a, each of which waits for one secondary. */
  write: (world, [name, count, secondaries]) => {
    for (let index = 0; index < Number(count); index++) world.ledger.write(world.site(name!), Number(secondaries ?? 0));
  },
  /** `write-http a 2`: two clients write at a over HTTP, where writes are held while roles are switched. */
  'write-http': (world, [name, count]) => {
    for (let index = 0; index < Number(count); index++) void writeOverHttp(world.site(name!), world.ledger, world);
  },
  /** `write-large a 300 1`: a commit of some 300 operations, which is made in steps; at `primary`, whichever site leads. */
  'write-large': (world, [name, count, secondaries]) => {
    const site = name === 'primary' ? leaderOf(world) : world.site(name!);
    if (site !== undefined) void writeLarge(site, Number(count), Number(secondaries ?? 0), world.ledger, world);
  },
  /** `until-steps b 100`: until b applies a frame in steps, for so many milliseconds at most. */
  'until-steps': (world, [name, ms]) => {
    world.time.until(() => world.site(name!).running?.stepped?.steps.areUnderWay === true, Number(ms));
  },
  /** Another listener comes; the oldest one goes. Where frames are applied in steps. */
  listen: (world, [name]) => world.site(name!).running?.stepped?.listening.add(),
  unlisten: (world, [name]) => world.site(name!).running?.stepped?.listening.remove(),
  start: (world, [name]) => world.site(name!).start(),
  /** As `evertree primary --promote`, and as `evertree secondary` on the directory of whatever it was. */
  'start-promoted': (world, [name]) => world.site(name!).start('promoted'),
  'start-follower': (world, [name]) => world.site(name!).start('follower'),
  /** `switchover a b`: asked at a, b is to lead; without b, the only secondary. */
  switchover: (world, [name, to]) => world.operators.switchover(world.site(name!), to),
  'dry-switchover': (world, [name, to]) => world.operators.drySwitchover(world.site(name!), to!),
  again: (world, [name]) => world.operators.again(world.site(name!)),
  cancel: (world, [name]) => world.operators.cancel(world.site(name!)),
  /** `promote b`, `promote b force`, `promote b confirm` */
  promote: (world, [name, how]) => world.operators.promote(world.site(name!), how),
  'dry-promote': (world, [name]) => world.operators.dryPromote(world.site(name!)),
  stop: (world, [name]) => world.site(name!).stop(),
  /** As SIGKILL. */
  kill: (world, [name]) => world.site(name!).crash('killed'),
  'power-loss': (world, [name]) => world.site(name!).crash('power-loss'),
  /** As SIGSTOP. */
  stall: (world, [name]) => world.site(name!).stall(true),
  /** The machine sleeps: its monotonic clock stands still, and its wall clock goes on. */
  suspend: (world, [name]) => world.site(name!).suspend(),
  resume: (world, [name]) => {
    world.traps.resumed(world.site(name!), world.epochs.values());
    world.site(name!).stall(false);
  },
  /** `block a b`: nothing of a's arrives at b. */
  block: (world, [from, to]) => world.network.block(from!, to!, true),
  unblock: (world, [from, to]) => world.network.block(from!, to!, false),
  /** Nothing arrives at the site, nor from it; or at the brokers. */
  isolate: (world, [name]) => {
    for (const other of [...world.others(name!), CLUSTER].filter(each => each !== name)) {
      world.network.block(name!, other, true);
      world.network.block(other, name!, true);
    }
  },
  cut: (world, [one, other]) => world.network.cut(one!, other!),
  'half-open': (world, [one, other]) => world.network.halfOpen(one!, other!),
  'dial-again': (world, [from, to]) => world.network.dialAgain(from!, to!),
  /** `delay a b 5 80`: from a to b. */
  delay: (world, [from, to, least, most]) => {
    world.network.paths.of(from!, to!).delayMs = [Number(least), Number(most)];
  },
  /** `lose a b 0.1`: each message from a to b breaks its link with this chance. */
  lose: (world, [from, to, chance]) => {
    world.network.paths.of(from!, to!).loss = Number(chance);
  },
  heal: world => world.network.heal(),
  /** `disk a 1 30`: what a write or a sync takes. */
  disk: (world, [name, least, most]) => {
    const { machine } = world.site(name!);
    world.site(name!).disturb();
    machine.temper.latencyMs = [Number(least), Number(most)];
  },
  /** `full a 700`: its disk takes 700 bytes more, and part of the write that needs more. */
  full: (world, [name, room]) => world.site(name!).setFull(true, room === undefined ? undefined : Number(room)),
  room: (world, [name]) => world.site(name!).setFull(false),
  /** `fail-disk a sync`: the next sync at a fails. */
  'fail-disk': (world, [name, operation]) => world.site(name!).failDisk((operation ?? 'write') as DiskOperation),
  /** The disk as it is now is remembered; the machine, while it is off, is taken back to it. */
  'keep-image': (world, [name]) => world.site(name!).keepImage(),
  'restore-image': (world, [name]) => void world.site(name!).restoreImage(),
  /** `clock a -5000`: its wall clock steps. */
  clock: (world, [name, ms]) => {
    world.traps.clockStepped(world.site(name!));
    world.site(name!).machine.clockAheadMs += Number(ms);
  },
  /** `retain t 5`: the topic keeps its last five records. */
  retain: (world, [topic, kept]) => world.cluster.retain(topic!, Number(kept)),
  /** `compact t.control 2`: of each key the topic keeps the newest record, and all of the last two. */
  compact: (world, [topic, untouched]) => world.cluster.compact(topic!, Number(untouched)),
  snapshot: (world, [name]) => world.site(name!).saveSnapshot(),
};

function leaderOf({ sites }: World): SimulatedSite | undefined {
  return sites.find(({ running }) => running?.store.standing === 'primary');
}

/** @throws Error for a line that is no step */
export function apply(world: World, line: string): void {
  const [verb, ...words] = line.trim().split(/\s+/);
  const run = VERBS[verb!];
  if (run === undefined) throw new Error(`no step begins with "${verb}"`);
  run(world, words);
}
