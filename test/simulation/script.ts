import { drill } from './drill.ts';
import type { Drill } from './drill.ts';
import { synchronously } from './time.ts';
import { apply } from './steps.ts';
import { World } from './world.ts';
import type { LawBroken, WorldPlan } from './world.ts';
import { markingMachines } from './machine-marks.ts';
import type { PlantedFault } from './plants.ts';
import { settle } from './settle.ts';

/** A history that can be run: what is drawn comes from the seed, what happens from the lines. */
export interface Script extends WorldPlan {
  readonly lines: readonly string[];
  /** What is tried at the end, when the sites are one. */
  readonly drill?: Drill;
}

export interface Outcome {
  readonly script: Script;
  /** The law that did not hold, if one did not. */
  readonly broken: LawBroken | undefined;
  readonly hash: string;
  readonly marks: ReadonlySet<string>;
  /** What happened last, for people. */
  readonly trace: readonly string[];
  readonly events: number;
  readonly promised: number;
}

const NAMES = ['a', 'b', 'c', 'd', 'e'];

export function formatScript({ seed, wires, lines, journalBytes, largeBytes, drill: drilled }: Script): string {
  const head = [`sites ${wires.join(' ')}`, `seed ${seed}`];
  if (journalBytes !== undefined) head.push(`journals ${journalBytes}`);
  if (largeBytes !== undefined) head.push(`large ${largeBytes}`);
  if (drilled !== undefined) head.push(`drill ${drilled}`);
  return [...head, ...lines].join('\n');
}

/** Reads what `formatScript` wrote. Empty lines and comments after `#` count for nothing. */
export function parseScript(text: string): Script {
  const lines = text
    .split('\n')
    .map(line => line.replace(/#.*/, '').trim())
    .filter(line => line !== '');
  const [wires, seed, journals, large, drilled] = ['sites', 'seed', 'journals', 'large', 'drill'].map(word =>
    lines
      .find(line => line.startsWith(`${word} `))
      ?.split(/\s+/)
      .slice(1),
  );
  return {
    seed: Number(seed?.[0] ?? 1),
    wires: (wires ?? ['direct', 'direct']).map(wire => (wire === 'topic' ? 'topic' : 'direct')),
    lines: lines.filter(line => !/^(?:seed|sites|journals|large|drill) /.test(line)),
    ...(journals === undefined ? {} : { journalBytes: Number(journals[0]) }),
    ...(large === undefined ? {} : { largeBytes: Number(large[0]) }),
    ...(drilled === undefined ? {} : { drill: drilled[0] === 'promotion' ? 'promotion' : 'switchover' }),
  };
}

/** Runs it, in one turn of the event loop. @param plant what is wrong with Evertree */
export function run(script: Script, plant?: PlantedFault): Promise<Outcome> {
  return synchronously(() => runNow(script, plant));
}

/** To be called outside of a promise's reaction: see `VirtualTime`. */
function runNow(script: Script, plant: PlantedFault | undefined): Outcome {
  const { stackTraceLimit } = Error;
  // A stack costs more than most of what a disk is asked for, and what a file that is not there throws is expected.
  Error.stackTraceLimit = 0;
  const world = new World(script, NAMES.slice(0, script.wires.length), plant);
  const rejected = (reason: unknown) =>
    world.violated('rejection', `nobody handles ${reason instanceof Error ? reason.stack : String(reason)}`);
  process.on('unhandledRejection', rejected);
  try {
    markingMachines(
      name => world.mark(name),
      () => play(world, script),
    );
  } catch (error) {
    world.violated('thrown', error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    process.off('unhandledRejection', rejected);
    Error.stackTraceLimit = stackTraceLimit;
  }
  return {
    script,
    broken: world.broken,
    hash: world.trace.hash,
    marks: world.marks,
    trace: world.trace.lines,
    events: world.time.happened,
    promised: world.ledger.promised.length,
  };
}

function play(world: World, { seed, lines, drill: drilled }: Script): void {
  for (const site of world.sites) site.start();
  world.time.pass(30);
  for (const line of lines) {
    world.trace.add(`-- ${line}`);
    apply(world, line);
    if (world.broken !== undefined) return;
  }
  settle(world);
  if (drilled !== undefined && world.broken === undefined) drill(world, drilled, seed);
}
