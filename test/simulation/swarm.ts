import { Chance } from './chance.ts';
import type { Script } from './script.ts';
import type { Wire } from './site.ts';

/** What may happen, and how often beside the rest, in a history where it happens at all. */
interface Habit {
  readonly weight: number;
  /** In how many of the histories it happens. */
  readonly share: number;
  /** @param reachable the sites, and the brokers where there are some */
  readonly draw: (chance: Chance, names: readonly string[], reachable: readonly string[]) => readonly string[];
  /** It can happen only where there is a topic. */
  readonly needsTopic?: true;
  /** It tells something only where frames are applied in steps. */
  readonly needsSteps?: true;
}

const two = (chance: Chance, names: readonly string[]): readonly [string, string] => {
  const one = chance.pick(names);
  return [one, chance.pick(names.filter(name => name !== one))];
};
const at = (verb: string) => (chance: Chance, names: readonly string[]) => [`${verb} ${chance.pick(names)}`];
const between = (verb: string) => (chance: Chance, _names: readonly string[], reachable: readonly string[]) => [
  `${verb} ${two(chance, reachable).join(' ')}`,
];

const HABITS: readonly Habit[] = [
  { weight: 10, share: 1, draw: (chance, names) => [`write ${chance.pick(names)} ${1 + chance.below(4)} ${chance.below(names.length)}`] },
  { weight: 6, share: 1, draw: (chance, names) => [`write ${names[0]} ${1 + chance.below(4)} ${chance.below(2)}`] },
  { weight: 12, share: 1, draw: chance => [`pass ${chance.pick([1, 2, 5, 10, 20, 40, 100])}`] },
  { weight: 1, share: 0.3, draw: chance => [`pass ${chance.pick([300, 1000])}`] },
  { weight: 8, share: 1, draw: at('start') },
  { weight: 3, share: 0.5, draw: (chance, names) => restarted(chance, names) },
  { weight: 1, share: 0.3, draw: at('stop') },
  { weight: 2, share: 0.5, draw: at('kill') },
  { weight: 2, share: 0.5, draw: at('power-loss') },
  { weight: 2, share: 0.3, draw: (chance, names) => stalled(chance, names) },
  { weight: 2, share: 0.3, draw: between('block') },
  { weight: 2, share: 0.3, draw: between('unblock') },
  { weight: 1, share: 0.3, draw: at('isolate') },
  { weight: 1, share: 0.4, draw: () => ['heal'] },
  { weight: 2, share: 0.4, draw: between('cut') },
  { weight: 2, share: 0.3, draw: between('half-open') },
  { weight: 1, share: 0.3, draw: between('dial-again') },
  {
    weight: 2,
    share: 0.3,
    draw: (chance, _names, reachable) => [`delay ${two(chance, reachable).join(' ')} ${chance.pick(['0 5', '5 20', '0 80', '40 41'])}`],
  },
  {
    weight: 1,
    share: 0.2,
    draw: (chance, _names, reachable) => [`lose ${two(chance, reachable).join(' ')} ${chance.pick([0, 0.02, 0.2])}`],
  },
  { weight: 1, share: 0.3, draw: (chance, names) => [`disk ${chance.pick(names)} ${chance.pick(['0 1', '1 5', '5 40'])}`] },
  { weight: 1, share: 0.2, draw: at('full') },
  { weight: 1, share: 0.5, draw: at('room') },
  { weight: 1, share: 0.15, draw: (chance, names) => [`full ${chance.pick(names)} ${chance.below(3000)}`] },
  { weight: 1, share: 0.2, draw: (chance, names) => [`fail-disk ${chance.pick(names)} ${chance.pick(DISK_FAILURES)}`] },
  { weight: 1, share: 0.2, draw: (chance, names) => [`clock ${chance.pick(names)} ${chance.pick([-5000, -20, 1000])}`] },
  { weight: 1, share: 0.3, draw: at('snapshot') },
  { weight: 3, share: 0.6, draw: (chance, names) => [`switchover ${two(chance, names).join(' ')}`] },
  { weight: 1, share: 0.3, draw: (chance, names) => [`dry-switchover ${two(chance, names).join(' ')}`] },
  { weight: 1, share: 0.4, draw: at('again') },
  { weight: 1, share: 0.3, draw: at('cancel') },
  { weight: 2, share: 0.5, draw: at('promote') },
  { weight: 1, share: 0.3, draw: (chance, names) => [`promote ${chance.pick(names)} force`] },
  { weight: 1, share: 0.3, draw: (chance, names) => confirmed(chance, names) },
  { weight: 2, share: 0.3, draw: (chance, names) => rushed(chance, names) },
  { weight: 1, share: 0.15, draw: (chance, names) => swapped(chance, names) },
  { weight: 1, share: 0.15, draw: (chance, names) => tookOver(chance, names) },
  { weight: 1, share: 0.1, draw: (chance, names) => takenBack(chance, names) },
  { weight: 1, share: 0.2, draw: (chance, names) => slipped(chance, names) },
  { weight: 1, share: 0.1, draw: chance => [`retain t ${chance.below(8)}`] },
  { weight: 1, share: 0.2, draw: chance => [`retain t ${chance.below(3)}`], needsTopic: true },
  { weight: 1, share: 0.3, draw: chance => [`compact t.control ${chance.below(6)}`], needsTopic: true },
  { weight: 1, share: 0.3, draw: chance => ['isolate kafka', `pass ${chance.pick([5, 50, 350, 1000])}`, 'heal'], needsTopic: true },
  { weight: 3, share: 0.4, draw: (chance, names) => [`write-http ${chance.pick(names)} ${1 + chance.below(4)}`] },
  { weight: 1, share: 0.2, draw: (chance, names) => switchedUnderHttp(chance, names) },
  { weight: 2, share: 0.2, draw: (chance, names) => suspended(chance, names) },
  { weight: 4, share: 0.8, draw: (chance, names) => [largeWrite(chance, chance.pick(names), names.length)], needsSteps: true },
  { weight: 4, share: 0.8, draw: chance => [largeWrite(chance, 'primary', 2)], needsSteps: true },
  { weight: 2, share: 0.5, draw: (chance, names) => interrupted(chance, names), needsSteps: true },
  { weight: 2, share: 0.4, draw: (chance, names) => newcomer(chance, names), needsSteps: true },
  { weight: 2, share: 0.5, draw: at('listen'), needsSteps: true },
  { weight: 1, share: 0.5, draw: at('unlisten'), needsSteps: true },
];

const DISK_FAILURES = ['open', 'write', 'sync', 'truncate', 'rename', 'remove', 'syncDirectory', 'list', 'read'] as const;
const NAMES = ['a', 'b', 'c', 'd', 'e'];
/** Small worlds are found wanting sooner, and cost less. */
const SIZES = [2, 2, 2, 3, 3, 3, 4, 5];

/** The share of the sites that read a topic; the others listen. */
const TOPIC_SHARES = [0.3, 0.6, 1, 1] as const;
const NO_TOPICS = [0] as const;

/** From how many bytes on frames are applied in steps: all of them, most, or those of large commits. */
const LARGE_BYTES = [1, 250, 700];

/** Whether the history of a seed may have a topic. */
function hasTopic(seed: number): boolean {
  return seed % 5 === 0;
}

/** The history of a seed: which kinds of faults exist in it, how often they happen, and when. */
export function scriptOf(seed: number): Script {
  const chance = new Chance(seed, 'swarm');
  const sites = chance.pick(SIZES);
  const names = NAMES.slice(0, sites);
  const topics = hasTopic(seed) ? chance.pick(TOPIC_SHARES) : chance.pick(NO_TOPICS);
  // The brokers are a machine like others, but for its name in these places.
  const reachable = topics > 0 ? [...names, 'kafka'] : names;
  const extras = extrasOf(seed);
  const habits = HABITS.filter(({ needsTopic }) => topics > 0 || needsTopic !== true)
    .filter(({ needsSteps }) => extras.largeBytes !== undefined || needsSteps !== true)
    .filter(({ share }) => chance.happens(share))
    .map(habit => ({
      ...habit,
      weight: habit.weight * chance.between(0.3, 2),
    }));
  const sum = habits.reduce((total, { weight }) => total + weight, 0);
  const wires = names.map((): Wire => (chance.happens(topics) ? 'topic' : 'direct'));
  if (topics > 0 && !wires.includes('topic')) wires[chance.below(sites)] = 'topic';
  const steps = 30 + chance.below(70);
  // Most histories begin with something to lose.
  // A few of these machines may later be taken back to when they were new.
  const images = chance.happens(0.1) ? names.map(name => `keep-image ${name}`) : [];
  const lines = chance.happens(0.9) ? [...images, 'write a 2 1', 'pass 20'] : [];
  while (lines.length < steps) {
    let left = chance.fraction() * sum;
    const habit = habits.find(({ weight }) => (left -= weight) < 0) ?? habits[0]!;
    lines.push(...habit.draw(chance, names, reachable));
  }
  return { seed, wires, lines, ...extras };
}

/** What a seed's number alone decides. */
function extrasOf(seed: number): Pick<Script, 'journalBytes' | 'largeBytes' | 'drill'> {
  return {
    ...(seed % 8 === 3 ? { journalBytes: 1024 } : {}),
    ...(seed % 7 < 2 ? { largeBytes: LARGE_BYTES[Math.floor(seed / 7) % LARGE_BYTES.length]! } : {}),
    ...(seed % 12 === 1 ? { drill: 'switchover' } : {}),
    ...(seed % 12 === 7 ? { drill: 'promotion' } : {}),
  };
}

/** A commit of so many operations that it is made, sent and applied in many steps, or in a few. */
function largeWrite(chance: Chance, name: string, secondaries: number): string {
  return `write-large ${name} ${chance.pick([5, 60, 300, 900])} ${chance.below(secondaries)}`;
}

/** Something happens while a large commit is made at one site, or applied at the other. */
function interrupted(chance: Chance, names: readonly string[]): string[] {
  const [from, to] = two(chance, names);
  const events = [
    [`kill ${to}`, 'pass 20', `start ${to}`],
    [`power-loss ${from}`, `start ${from}`],
    [`switchover ${from} ${to}`],
    [`promote ${to}`],
    [`promote ${to} force`],
    [`cut ${from} ${to}`],
    [`write ${from} 2 1`],
    [`listen ${to}`],
    [`snapshot ${to}`],
    [`stall ${to}`, 'pass 150', `resume ${to}`],
  ];
  const moment = chance.happens(0.7) ? [`until-steps ${to} 200`, `pass ${chance.below(5)}`] : [`pass ${chance.below(60)}`];
  return [largeWrite(chance, 'primary', 2), ...moment, ...chance.pick(events)];
}

/** A site where nobody listens any more applies a large frame, and somebody comes. */
function newcomer(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  const leaves = Array.from({ length: 4 }, () => `unlisten ${name}`);
  return [...leaves, 'write-large primary 900 0', `until-steps ${name} 200`, `pass ${chance.below(8)}`, `listen ${name}`, `listen ${name}`];
}

/** Clients that write over HTTP while roles are switched. */
function switchedUnderHttp(chance: Chance, names: readonly string[]): string[] {
  const [from, to] = two(chance, names);
  const slow = chance.happens(0.7) ? [`disk ${to} 5 40`] : [];
  const writes = Array.from({ length: 10 }, () => [`pass ${2 + chance.below(4)}`, `write-http ${from} 2`]);
  return [...slow, `switchover ${from} ${to}`, ...writes.flat()];
}

/** A machine that sleeps, for so long that it is deposed at times. */
function suspended(chance: Chance, names: readonly string[]): string[] {
  const [name, other] = two(chance, names);
  const meanwhile = chance.happens(0.5) ? [`promote ${other} force`] : [`write ${other} 2 1`];
  return [`suspend ${name}`, ...meanwhile, `pass ${chance.pick([50, 400, 2000])}`, `resume ${name}`, `write ${name} 2 1`];
}

/** A promotion whose plan was looked at first. */
function confirmed(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  return [`dry-promote ${name}`, `pass ${chance.pick([5, 300])}`, `promote ${name} confirm`];
}

/** A switchover under load that something interrupts within a few milliseconds. */
function rushed(chance: Chance, names: readonly string[]): string[] {
  const [from, to] = two(chance, names);
  const stalls = (name: string) => [`stall ${name}`, `write ${to} 1 1`, `pass ${chance.pick([20, 150, 500, 1000])}`, `resume ${name}`];
  const faults = [
    [`kill ${from}`],
    [`kill ${to}`],
    [`power-loss ${from}`],
    [`power-loss ${to}`],
    [`cut ${from} ${to}`],
    [`half-open ${from} ${to}`],
    [`block ${to} ${from}`, 'pass 200', `unblock ${to} ${from}`],
    [`cancel ${from}`],
    stalls(from),
    stalls(to),
  ];
  const writes = [`write ${from} 2 1`, `switchover ${from} ${to}`, `pass ${chance.below(4)}`, `write ${from} 1 0`];
  return [...writes, `pass ${1 + chance.below(12)}`, ...chance.pick(faults), `start ${from}`, `start ${to}`];
}

/** A machine that goes back in time. */
function swapped(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  return [
    `keep-image ${name}`,
    `write ${name} 3 0`,
    `pass ${chance.pick([5, 50])}`,
    `kill ${name}`,
    `restore-image ${name}`,
    `start ${name}`,
  ];
}

/** A machine that is taken back to an image of long ago. */
function takenBack(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  return [`kill ${name}`, `restore-image ${name}`, `start ${name}`];
}

/** A clock that steps while roles are switched. */
function slipped(chance: Chance, names: readonly string[]): string[] {
  const [from, to] = two(chance, names);
  return [`switchover ${from} ${to}`, `pass ${1 + chance.below(8)}`, `clock ${chance.pick([from, to])} ${chance.pick([-5000, 5000])}`];
}

/** Both are stopped, and started with each other's file. */
function tookOver(chance: Chance, names: readonly string[]): string[] {
  const [from, to] = two(chance, names);
  return [`stop ${from}`, `stop ${to}`, 'pass 100', `start-promoted ${to}`, `start-follower ${from}`];
}

function restarted(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  return [`${chance.pick(['kill', 'power-loss'])} ${name}`, `pass ${chance.pick([1, 20, 200])}`, `start ${name}`];
}

function stalled(chance: Chance, names: readonly string[]): string[] {
  const name = chance.pick(names);
  return [`stall ${name}`, `write ${chance.pick(names)} 2 1`, `pass ${chance.pick([5, 50, 150, 400])}`, `resume ${name}`];
}
