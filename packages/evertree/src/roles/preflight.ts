import type { Obstacle, RoleMessage, Store } from '@evertree/core';
import type { PeerStatus, Producer } from '@evertree/producer';
import { type ClockSample, type PreflightFindings, clockDifference, judgeClocks, judgeReach, judgeVersions } from './findings.ts';
import { timeSync } from './probe.ts';
import { type RoleContext, describe, drawId } from './role-context.ts';

/** What a switchover would meet: everything that stands in its way, and how long writers would wait. */
export interface SwitchoverForecast {
  readonly possible: boolean;
  readonly from: string;
  /** Undefined if no target could be told. */
  readonly to: string | undefined;
  readonly obstacles: readonly Obstacle[];
  /** What an operator wants to know before, and what does not stand in the way. */
  readonly warnings: readonly Obstacle[];
  /** Undefined if the target did not answer. */
  readonly predictedPauseMs: number | undefined;
}

/** How often the target is asked for its clock: the quickest answer counts. */
const CLOCK_SAMPLES = 4;
/** A target that is waited for is looked at so often. */
const LOOK_MS = 20;

/** The questions of a preflight to its target, while they are not answered. */
export class Preflight {
  readonly #context: RoleContext;
  readonly #open = new Map<string, (message: RoleMessage) => void>();

  constructor(context: RoleContext) {
    this.#context = context;
  }

  /** @returns whether the message answers a question of a preflight */
  hear(message: RoleMessage): boolean {
    if (!('command' in message)) return false;
    const answer = this.#open.get(message.command);
    answer?.(message);
    return answer !== undefined;
  }

  /** @param wanted the target; undefined: the only secondary */
  async run(wanted: string | undefined, maxPauseMs: number): Promise<SwitchoverForecast> {
    const { store, producer, factory } = this.#context;
    if (store.standing === 'fenced' && store.state === 'refusing') return fencedForecast(store);
    const { to, obstacles } = await this.#awaitTarget(producer, wanted);
    const warnings: Obstacle[] = [];
    const { site, standing, state } = store;
    if (standing !== 'primary')
      obstacles.push({ code: 'not-primary', text: `${site} is ${standing}, and only the primary hands over: give the command there` });
    if (state !== 'open') obstacles.push({ code: 'storage', text: store.stateReason?.message ?? `the storage of ${site} is ${state}` });
    if (store.stream === null) {
      obstacles.push({
        code: 'empty',
        text: `nothing was committed at ${site} yet: there is no epoch to hand over; write something first`,
      });
    }
    if (factory.standby === undefined) {
      const text = `${site} has no standby file, so it could not follow afterwards: start it with one (--standby-config)`;
      obstacles.push({ code: 'no-standby-file', text });
    }
    const predictedPauseMs = to === undefined ? undefined : await this.#askTarget(to, { obstacles, warnings });
    if (predictedPauseMs !== undefined && predictedPauseMs > maxPauseMs) {
      const text = `writers would wait for about ${predictedPauseMs} ms, and at most ${maxPauseMs} ms are allowed: wait until ${to?.site} lags less, or allow more with --max-pause`;
      obstacles.push({ code: 'pause-too-long', text });
    }
    return { possible: obstacles.length === 0, from: site, to: to?.site, obstacles, warnings, predictedPauseMs };
  }

  /** A target that was lost a moment ago, or not heard yet since this site began to lead, may be about to make its link. */
  async #awaitTarget(producer: Producer | undefined, wanted: string | undefined): Promise<FoundTarget> {
    const { store, limits } = this.#context;
    const { clock } = store;
    const until = clock.monotonic() + limits.consentMs;
    for (;;) {
      const found = findTarget(producer, wanted);
      const { absent } = found;
      const isAwaited = absent !== undefined && absent.state === 'offline' && clock.now() - absent.since < limits.consentMs;
      if (!isAwaited || clock.monotonic() >= until) return found;
      await new Promise<void>(resolve => void clock.after(LOOK_MS, resolve));
    }
  }

  /** Adds what the target tells to our findings. @returns the pause that is to be expected */
  async #askTarget({ site: to, lagMs }: PeerStatus, { obstacles, warnings }: PreflightFindings): Promise<number | undefined> {
    const { store, producer, program, limits } = this.#context;
    const { roundTripMs, samples } = await this.#askClock(to);
    if (roundTripMs === undefined) {
      obstacles.push({ code: 'target-silent', text: `${to} does not answer; see the log and the link of ${to}` });
      return undefined;
    }
    const difference = clockDifference(samples);
    if (difference !== undefined) warnings.push(...judgeClocks(to, store.site, difference, limits.clocksDifferMs));
    const consent = await this.#ask(to, command => ({ kind: 'prepare', command, from: store.site, to, dryRun: true }));
    if (consent?.kind !== 'consent') {
      obstacles.push({ code: 'target-silent', text: `${to} did not tell what stands in its way; see its log` });
      return undefined;
    }
    obstacles.push(...consent.obstacles);
    if (consent.facts !== undefined) {
      const versions = judgeVersions(to, consent.facts, store.site, program);
      obstacles.push(...versions.obstacles);
      warnings.push(...versions.warnings, ...judgeReach(to, consent.facts, store.site, secondariesOf(producer)));
    }
    try {
      return Math.ceil(roundTripMs + (await timeSync(store)) + consent.syncMs + (lagMs ?? 0));
    } catch (error) {
      obstacles.push({ code: 'storage', text: `the disk of ${store.site} can't be written to: ${describe(error)}` });
      return undefined;
    }
  }

  /** @returns how long the target took to answer at first; undefined if it does not answer */
  async #askClock(to: string): Promise<{ readonly roundTripMs: number | undefined; readonly samples: readonly ClockSample[] }> {
    const { clock } = this.#context.store;
    const samples: ClockSample[] = [];
    let roundTripMs: number | undefined;
    for (let count = 0; count < CLOCK_SAMPLES; count++) {
      const askedAt = clock.now();
      const begun = clock.monotonic();
      const told = await this.#ask(to, command => ({ kind: 'ask', command }));
      if (told === undefined) break;
      const tookMs = clock.monotonic() - begun;
      roundTripMs ??= tookMs;
      if (told.kind === 'told' && told.time !== undefined) samples.push({ askedAt, tookMs, time: told.time });
    }
    return { roundTripMs, samples };
  }

  /** The answer to a question; undefined if none comes in time, or the target has no link. */
  #ask(to: string, question: (command: string) => RoleMessage): Promise<RoleMessage | undefined> {
    const { store, producer, limits } = this.#context;
    const command = drawId(store);
    const { promise, resolve } = Promise.withResolvers<RoleMessage | undefined>();
    const patience = store.clock.after(limits.consentMs, () => resolve(undefined));
    this.#open.set(command, resolve);
    if (producer?.sendRole(to, question(command)) !== true) resolve(undefined);
    return promise.finally(() => {
      patience[Symbol.dispose]();
      this.#open.delete(command);
    });
  }
}

/** A fenced site feeds nobody, so that nothing else can be told. */
function fencedForecast({ site, stateReason }: Store): SwitchoverForecast {
  const obstacles = [{ code: 'not-primary', text: stateReason?.message ?? `${site} is fenced` }];
  return { possible: false, from: site, to: undefined, obstacles, warnings: [], predictedPauseMs: undefined };
}

/** `absent`: the target, where it can't be asked now. */
interface FoundTarget {
  readonly to: PeerStatus | undefined;
  readonly absent?: PeerStatus;
  readonly obstacles: Obstacle[];
}

/** Those that were ever met. */
function secondariesOf(producer: Producer | undefined): readonly PeerStatus[] {
  return producer?.peers.filter(({ relay, position, state }) => !relay && (position !== null || state !== 'offline')) ?? [];
}

function findTarget(producer: Producer | undefined, wanted: string | undefined): FoundTarget {
  const secondaries = secondariesOf(producer);
  const candidates = wanted === undefined ? secondaries : secondaries.filter(({ site }) => site === wanted);
  const [to, ...others] = candidates;
  if (to === undefined) {
    const names = secondaries.map(({ site }) => site).join(', ');
    const text =
      wanted === undefined
        ? 'no secondary was ever linked to this primary: start one first'
        : `${wanted} is no secondary of this primary: name one that is${names === '' ? '' : ` (${names})`}`;
    return { to: undefined, obstacles: [{ code: 'target-unknown', text }] };
  }
  if (others.length > 0) {
    const text = `there are several secondaries; name one of them: ${candidates.map(({ site }) => site).join(', ')}`;
    return { to: undefined, obstacles: [{ code: 'target-ambiguous', text }] };
  }
  if (to.state === 'replicate') return { to, obstacles: [] };
  const text = `${to.site} is not replicating but ${to.state}${to.lastError === null ? '' : `: ${to.lastError}`}; wait until "evertree status" shows it as replicate`;
  return { to: undefined, absent: to, obstacles: [{ code: 'target-not-replicating', text }] };
}
