import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { Chance } from '../../test/simulation/chance.ts';
import { Laws } from './laws.ts';
import { positionText } from './past.ts';
import type { Scenario } from './scenarios.ts';
import { type SoakSite, SoakSites } from './sites.ts';
import { STEPS, type Stage, type StepName, promoted, rest } from './steps.ts';
import { Writer, Writes } from './writes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const STEP_REST_MS = 1_000;
const WRITERS_EACH = 2;
const WRITE_REST_MS = 60;
const POLL_MS = 100;
/** All sites follow one primary within so long after the last fault, on a busy machine too. */
const SETTLE_LIMIT_MS = 90_000;
/** Where no site leads, or two, people wait so long, and then decide. */
const PATIENCE_MS = 10_000;

export interface RunOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly seconds: number;
  /** Gets a line for each step. */
  readonly step: (line: string) => void;
}

export interface RunOutcome {
  /** None: all laws held. */
  readonly faults: readonly string[];
  readonly steps: number;
  readonly writes: { readonly asked: number; readonly done: number; readonly unproven: number };
  /** Directories and logs, which stay if there are faults. */
  readonly folder: string;
  /** How often each event stands in the logs of the sites. */
  readonly events: ReadonlyMap<string, number>;
}

/** Soaks sites of the real program: rounds of random steps, and after each all laws are checked. */
export async function soak(options: RunOptions): Promise<RunOutcome> {
  const run = await Run.make(options);
  // No process that was started here outlives this one.
  const interrupted = () => void run.end().finally(() => process.exit(1));
  for (const signal of SIGNALS) process.once(signal, interrupted);
  try {
    await run.rounds();
  } catch (error) {
    run.fault(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const outcome = await run.end();
  for (const signal of SIGNALS) process.off(signal, interrupted);
  return outcome;
}

class Run {
  readonly #options: RunOptions;
  readonly #all: SoakSites;
  readonly #chance: Chance;
  readonly #writes = new Writes();
  readonly #writers: readonly Writer[];
  readonly #laws: Laws;
  readonly #faults: string[];
  readonly #beganAt = performance.now();
  #steps = 0;

  private constructor(options: RunOptions, all: SoakSites, faults: string[]) {
    const { seed, scenario } = options;
    this.#options = options;
    this.#all = all;
    this.#faults = faults;
    this.#chance = new Chance(seed, 'steps');
    this.#laws = new Laws(this.#writes, scenario.mayDiverge, what => this.fault(what));
    this.#writers = all.sites.flatMap(site =>
      Array.from({ length: WRITERS_EACH }, (_, index) => {
        const name = `${site.site}${index}`;
        const settings = { restMs: WRITE_REST_MS, valueBytes: scenario.valueBytes };
        return new Writer(site, name, settings, new Chance(seed, name), this.#writes, what => this.fault(what));
      }),
    );
  }

  static async make(options: RunOptions): Promise<Run> {
    const faults: string[] = [];
    const all = await SoakSites.make(options.scenario, what => void faults.push(what));
    return new Run(options, all, faults);
  }

  async rounds(): Promise<void> {
    await this.#all.heal();
    for (const writer of this.#writers) void writer.run();
    const endAt = this.#beganAt + this.#options.seconds * 1000;
    do {
      await this.#round(Math.min(endAt, performance.now() + this.#options.scenario.roundMs));
      await this.#check();
    } while (this.#faults.length === 0 && performance.now() < endAt);
    await Promise.all(this.#all.sites.map(site => site.stop()));
    if (this.#faults.length === 0) {
      await this.#laws.checkDirectories(this.#all.sites, this.#chance);
      await this.#all.archives.check(this.#laws, this.#chance, what => this.fault(what));
    }
    this.#checkProcesses();
  }

  fault(what: string): void {
    this.#say(`FAULT ${what}`);
    this.#faults.push(what);
  }

  async end(): Promise<RunOutcome> {
    for (const writer of this.#writers) writer.end();
    const isSound = this.#faults.length === 0;
    if (!isSound) await this.#all.writeLogs();
    await this.#all.end(!isSound);
    const writes = { asked: this.#writes.byId.size, done: this.#writes.done, unproven: this.#laws.unproven };
    const events = new Map<string, number>();
    for (const { event } of this.#all.sites.flatMap(({ log }) => log)) events.set(event, (events.get(event) ?? 0) + 1);
    return { faults: this.#faults, steps: this.#steps, writes, folder: this.#all.folder, events };
  }

  /** Steps at random, one or two at a time, until then. */
  async #round(endAt: number): Promise<void> {
    const chance = this.#chance;
    const stage: Stage = { all: this.#all, chance, say: what => this.#say(what), fault: what => this.fault(what) };
    while (performance.now() < endAt && this.#faults.length === 0) {
      const names = Array.from({ length: chance.happens(0.25) ? 2 : 1 }, () => this.#draw());
      this.#steps += names.length;
      await Promise.all(names.map(name => STEPS[name](stage)));
      await rest(chance.below(STEP_REST_MS));
      this.#checkProcesses();
    }
  }

  #draw(): StepName {
    const weights = Object.entries(this.#options.scenario.weights) as [StepName, number][];
    let drawn = this.#chance.below(weights.reduce((sum, [, weight]) => sum + weight, 0));
    return weights.find(([, weight]) => (drawn -= weight) < 0)![0];
  }

  /** Lets all sites come to one state, and checks the laws. */
  async #check(): Promise<void> {
    this.#say('settles');
    await Promise.all(this.#writers.map(writer => writer.pause()));
    const leader = await this.#settle();
    if (leader === undefined) return;
    for (const site of this.#all.sites) this.#writes.read(site);
    await this.#laws.check(this.#all.sites, this.#chance);
    const { position } = (await leader.status())!;
    const { done, byId } = this.#writes;
    this.#say(`${leader.site} leads at ${positionText(position)}: ${this.#steps} steps, ${byId.size} writes asked for, ${done} done`);
    await leader.ask('PUT', '/data/quiet', 0);
    for (const writer of this.#writers) writer.resume();
  }

  /** Resolves with the one primary when all others stand where it does; undefined, and a fault, if that does not come. */
  async #settle(): Promise<SoakSite | undefined> {
    const beganAt = performance.now();
    const { sites } = this.#all;
    let decideAt = beganAt + PATIENCE_MS;
    let seen = '';
    while (performance.now() - beganAt < SETTLE_LIMIT_MS) {
      if (this.#faults.length > 0) return undefined;
      await this.#all.heal();
      const told = await Promise.all(sites.map(site => site.status()));
      seen = sites.map(({ site }, index) => `${site} ${JSON.stringify(told[index])}`).join('\n');
      const leaders = sites.filter((_, index) => told[index]?.standing === 'primary');
      const [leader] = leaders;
      if (leaders.length === 1 && leader !== undefined) {
        if (await this.#isFollowed(leader)) return leader;
      } else if (performance.now() > decideAt) {
        await this.#decide(sites.filter(site => !leaders.includes(site)));
        decideAt = performance.now() + PATIENCE_MS;
      }
      await rest(POLL_MS);
    }
    this.fault(`the sites did not settle within ${SETTLE_LIMIT_MS} ms:\n${seen}`);
    return undefined;
  }

  /** Whether all hold a write, and stand where the primary does with its tree. Applications that write themselves rest while `/quiet` is not 0. */
  async #isFollowed(leader: SoakSite): Promise<boolean> {
    const { sites } = this.#all;
    const headers = { 'evertree-acknowledge': String(sites.length - 1), prefer: 'wait=5' };
    const { status } = await leader.ask('PUT', '/data/quiet', performance.now(), headers);
    if (status !== 200) return false;
    const [first, ...others] = await Promise.all(sites.map(site => site.status()));
    if (first === undefined || others.some(told => told === undefined)) return false;
    if (others.some(told => positionText(told!.position) !== positionText(first.position))) return false;
    if (others.some(told => told!.digest !== first.digest)) this.fault(`the digests differ at ${positionText(first.position)}`);
    return true;
  }

  /** People decide who leads: by a promotion, or where nothing may be left behind by another switchover. */
  async #decide(candidates: readonly SoakSite[]): Promise<void> {
    const chosen = this.#chance.pick(candidates);
    if (this.#options.scenario.mayDiverge) return promoted({ say: what => this.#say(what) }, chosen);
    const { status, text } = await chosen.ask('POST', '/admin/switchover', { to: this.#chance.pick(candidates).site });
    this.#say(`nobody leads: switchover, given at ${chosen.site}: ${status} ${text.slice(0, 200)}`);
  }

  /** No process ends by itself, and none prints what is no line of its log, such as an error that nobody caught. */
  #checkProcesses(): void {
    for (const site of this.#all.sites) {
      if (site.endedByItself) this.fault(`${site.site} ended by itself: ${site.tail()}`);
      if (site.printed.length > 0) this.fault(`${site.site} printed: ${site.printed.slice(0, 10).join('\n')}`);
    }
  }

  #say(what: string): void {
    const line = `${((performance.now() - this.#beganAt) / 1000).toFixed(2).padStart(7)} s  ${what}`;
    appendFileSync(join(this.#all.folder, 'steps.log'), `${new Date().toISOString()} ${line}\n`);
    this.#options.step(line);
  }
}
