import { tmpdir } from 'node:os';
import {
  Archive,
  type DrawnState,
  type DrillPhase,
  type DrillReport,
  drawSeed,
  drawState,
  FlipPlant,
  Identities,
  type OpenTargetOptions,
  type Opening,
  type PlantedFlip,
  type Restored,
  type Target,
  writeDrill,
} from '@evertree/archive';
import { type Clock, EvertreeError, type ExactPosition, isEvertreeError } from '@evertree/core';
import { parseWhen } from '@evertree/history';
import { optional } from '../optional.ts';
import { assertOutside } from './places.ts';
import { openPlace } from './target-opening.ts';
import { nodeClock, nodeRandom } from '../site/machine.ts';
import { runCheck } from './check-command.ts';
import { restoreFrom } from './restoring.ts';
import { Scratch } from './scratch.ts';

interface DrillWish {
  /** A command, run in a shell while the restored site answers: EVERTREE_URL and EVERTREE_DATA lead to it. */
  readonly check?: string;
  /** The state to restore; drawn if it is not given. */
  readonly to?: string;
  /** Draws the same state, the same object and the same bit again. */
  readonly seed?: number;
  /** Where the site is restored to; the directory for temporary files if it is not given. */
  readonly scratch?: string;
  /** The restored directory stays. */
  readonly keep?: boolean;
  /** Where what the check prints goes; `stdout` if nothing else is said. */
  readonly output?: 'stdout' | 'stderr';
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
  /** Told when the restore is over, before the check prints anything. */
  readonly restored?: () => void;
  /** Ends it early; nothing is written to the target then. */
  readonly signal?: AbortSignal;
}

/** A drill of an archive, and how its service is found. */
export interface DrillOptions extends DrillWish, Pick<OpenTargetOptions, 'endpoint' | 'region' | 'profile' | 'pathStyle'> {
  /** What files of age identities hold, for an archive that is encrypted. */
  readonly identities?: readonly string[];
}

/** The same, of a target that is open. */
export interface OpenDrillOptions extends DrillWish {
  readonly identities?: Opening;
  readonly clock?: Clock;
}

/** What a drill did. */
export interface Drilled {
  readonly archive: string;
  readonly passed: boolean;
  /** The phase that failed, and why. */
  readonly failed: DrillPhase | null;
  readonly problem: string | null;
  readonly seed: number;
  readonly line: string | null;
  readonly position: ExactPosition | null;
  /** Commit time there, milliseconds since 1970. */
  readonly time: number | null;
  /** What the live site recorded there; null inside a frame. */
  readonly digest: string | null;
  /** What the restored site has. */
  readonly found: string | null;
  /** Frames after which the restore compared the digest. */
  readonly comparisons: number;
  readonly bytes: number;
  /** In milliseconds; null for those that did not take place. */
  readonly phases: Readonly<Record<DrillPhase, number | null>>;
  readonly check: { readonly status: number | null } | null;
  readonly flip: PlantedFlip | null;
  /** The restored directory, if it was kept. */
  readonly scratch: string | null;
  /** The key of its report; null if it could not be written. */
  readonly report: string | null;
  readonly remarks: readonly string[];
  readonly milliseconds: number;
}

/** As in `on-demand.ts`. */
export async function drill(target: string, options: DrillOptions = {}): Promise<Drilled> {
  const { identities, ...rest } = options;
  await using opened = await openPlace(target, options);
  return await drillTarget(opened, {
    ...rest,
    ...optional('identities', identities === undefined ? undefined : Identities.parse(identities)),
  });
}

/** As `drill`. */
export async function drillTarget(target: Target, options: OpenDrillOptions = {}): Promise<Drilled> {
  const { clock = nodeClock } = options;
  const place = options.scratch ?? tmpdir();
  assertOutside(`the scratch directory ${place}`, place, target.name);
  await using scratch = await Scratch.make(place);
  return await new Drill(target, scratch, { ...options, clock }).run();
}

/** One drill. */
class Drill {
  readonly #target: Target;
  readonly #scratch: Scratch;
  readonly #options: OpenDrillOptions & { readonly clock: Clock };
  readonly #seed: number;
  readonly #plant: FlipPlant;
  readonly #began: number;
  readonly #phases: Record<DrillPhase, number | null> = { open: null, restore: null, start: null, check: null, flip: null };
  /** The phase that is under way. */
  #phase: DrillPhase = 'open';
  #archive: string | undefined;
  #state: (Omit<DrawnState, 'seed' | 'digest'> & { readonly digest: string | null }) | undefined;
  #restored: Restored | undefined;
  #found: string | null = null;
  readonly #remarks: string[] = [];
  #check: Drilled['check'] = null;
  #flip: PlantedFlip | undefined;

  constructor(target: Target, scratch: Scratch, options: OpenDrillOptions & { readonly clock: Clock }) {
    this.#target = target;
    this.#scratch = scratch;
    this.#options = options;
    this.#seed = options.seed ?? drawSeed(nodeRandom.fraction());
    this.#plant = new FlipPlant(this.#seed);
    this.#began = options.clock.monotonic();
  }

  async run(): Promise<Drilled> {
    let problem: string | null = null;
    try {
      await this.#timed('open', () => this.#open());
      await this.#timed('restore', () => this.#restore());
      this.#options.restored?.();
      await this.#lookAt();
      await this.#timed('flip', () => this.#readFlip());
    } catch (error) {
      this.#assertGoesOn();
      const isUnusable = this.#archive === undefined || (this.#state === undefined && isEvertreeError(error) && UNUSABLE.has(error.code));
      if (!isEvertreeError(error) || isUnusable) throw error;
      problem = error.message;
    }
    return await this.#result(problem);
  }

  async #open(): Promise<void> {
    const { identities, to, clock } = this.#options;
    const archive = await Archive.open(this.#target, { identities });
    this.#archive = archive.id;
    this.#remarks.push(...archive.problems.map(({ text }) => text));
    if (archive.isEncrypted && identities === undefined) {
      const message = `${this.#target.name} is encrypted: give the identity of one of its recipients with --identity`;
      throw new EvertreeError('IDENTITY_NEEDED', message, { target: this.#target.name });
    }
    if (to === undefined) {
      this.#state = await drawState(archive, identities, this.#seed);
      return;
    }
    const { line, position, time, digest } = await archive.plan(parseWhen(to, clock.now()), { now: clock.now() });
    this.#state = { line, position, time, digest: digest ?? null };
  }

  async #restore(): Promise<void> {
    const { identities, clock, progress } = this.#options;
    const { line, position } = this.#state!;
    const restored = await restoreFrom(this.#plant.watch(this.#target), {
      data: this.#scratch.data,
      to: position,
      line,
      identities,
      clock,
      progress: (done, total) => {
        this.#assertGoesOn();
        progress?.(done, total);
      },
    });
    if ('plan' in restored) this.#restored = restored;
  }

  /** Opens the site, compares its digest, and lets the user's check look at it. */
  async #lookAt(): Promise<void> {
    await using site = await this.#timed('start', async () => {
      // Loaded on demand: whoever uses the library for something else needs no HTTP.
      const { FencedSite } = await import('./fenced-site.ts');
      const opened = await FencedSite.open(this.#scratch.data);
      this.#found = opened.digest;
      return opened;
    });
    this.#compare();
    const { check, output = 'stdout', signal } = this.#options;
    if (check === undefined) return;
    const status = await this.#timed('check', () =>
      runCheck(check, { env: { EVERTREE_URL: site.url, EVERTREE_DATA: this.#scratch.data }, output, signal }),
    );
    this.#check = { status };
    this.#assertGoesOn();
    if (status !== 0) throw new EvertreeError('TEST_FAILED', `the check ended with ${status ?? 'a signal'}: ${check}`, { status });
  }

  #compare(): void {
    const { digest, position } = this.#state!;
    const expected = digest ?? this.#restored!.digest;
    if (this.#found === expected) return;
    const message = `the restored site has the digest ${this.#found}, where the live site recorded ${expected}`;
    throw new EvertreeError('DIGEST_MISMATCH', message, { expected, found: this.#found, position });
  }

  async #readFlip(): Promise<void> {
    const { line, position } = this.#state!;
    this.#flip = await this.#plant.read(this.#target, { line, position, identities: this.#options.identities });
    if (this.#flip === undefined || this.#flip.found) return;
    const { object, offset, bit } = this.#flip;
    throw new EvertreeError('TEST_FAILED', `bit ${bit} of byte ${offset} was flipped in a copy of ${object}, and reading it found nothing`);
  }

  async #timed<T>(phase: DrillPhase, work: () => Promise<T>): Promise<T> {
    this.#assertGoesOn();
    this.#phase = phase;
    const began = this.#options.clock.monotonic();
    try {
      return await work();
    } finally {
      this.#phases[phase] = Math.round(this.#options.clock.monotonic() - began);
    }
  }

  #assertGoesOn(): void {
    if (this.#options.signal?.aborted === true)
      throw new EvertreeError('CLOSED', 'the drill was ended early: nothing was written to the target');
  }

  async #result(problem: string | null): Promise<Drilled> {
    const state = this.#state;
    const drilled: Omit<Drilled, 'report'> = {
      archive: this.#archive!,
      passed: problem === null,
      failed: problem === null ? null : this.#phase,
      problem,
      seed: this.#seed,
      line: state?.line ?? null,
      position: state?.position ?? null,
      time: state?.time ?? null,
      digest: state?.digest ?? null,
      found: this.#found,
      comparisons: this.#restored?.comparisons ?? 0,
      bytes: this.#restored?.plan.bytes ?? 0,
      phases: this.#phases,
      check: this.#check,
      flip: this.#flip ?? null,
      scratch: this.#options.keep === true ? this.#scratch.keep() : null,
      remarks: this.#remarks,
      milliseconds: Math.round(this.#options.clock.monotonic() - this.#began),
    };
    return { ...drilled, report: await writeReport(this.#target, drilled, this.#remarks) };
  }
}

/** Another drill of the same archive would throw the same, until a person does something. */
const UNUSABLE: ReadonlySet<string> = new Set([
  'NOT_FOUND',
  'IDENTITY_NEEDED',
  'CONFIGURATION_INVALID',
  'FORBIDDEN',
  'UNAUTHENTICATED',
  'UNREACHABLE',
]);

/** Writes the result to the target, where sites read it. @returns the key of the report */
async function writeReport(target: Target, drilled: Omit<Drilled, 'report'>, remarks: string[]): Promise<string | null> {
  try {
    return await writeDrill(target, nodeRandom, reportOf(drilled));
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    remarks.push(`the result could not be written to ${target.name}, so no site knows of it: ${error.message}`);
    return null;
  }
}

function reportOf(drilled: Omit<Drilled, 'report'>): Omit<DrillReport, 'time'> {
  const { archive, passed, failed, seed, line, position, digest, found, phases, check, milliseconds } = drilled;
  const flip = drilled.flip && {
    object: drilled.flip.object,
    offset: drilled.flip.offset,
    bit: drilled.flip.bit,
    found: drilled.flip.found,
  };
  return { archive, passed, failed, seed, line, position, stateTime: drilled.time, digest, found, phases, check, flip, milliseconds };
}
