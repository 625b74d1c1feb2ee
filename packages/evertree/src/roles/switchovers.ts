import { EvertreeError, type ExactPosition, type RoleMessage } from '@evertree/core';
import { type ToldOutcome, outcomeOf } from './command-outcome.ts';
import { Giving, type SwitchoverResult } from './giving.ts';
import { Preflight, type SwitchoverForecast } from './preflight.ts';
import { type SwitchoverRequest, Requests, answerOf } from './requests.ts';
import { type RoleContext, describe, drawId } from './role-context.ts';
import type { Taking } from './taking.ts';

export interface SwitchoverOptions {
  /** The site that is to lead; it may be left out where there is one secondary only. */
  readonly to?: string;
  /** Only tell what stands in the way, and how long writers would wait. */
  readonly dryRun?: boolean;
  /** How long writers may wait. */
  readonly maxPauseMs?: number;
  /** Take back the switchover that is under way. */
  readonly cancel?: boolean;
  /** The command's id, for whoever wants to ask for its outcome later; it is drawn unless it is given. */
  readonly command?: string;
}

type Reply = (message: RoleMessage) => boolean;

/**
 * The command `switchover`, wherever it is given: at the primary, at its target, after a restart of either, and once
 * more.
 */
export class Switchovers {
  readonly #context: RoleContext;
  readonly #taking: Taking;
  readonly #preflight: Preflight;
  readonly #requests: Requests;
  #giving: Giving | undefined;
  /** What became of the last one: until the next epoch is in the history here, nothing else tells it. */
  #last: SwitchoverResult | undefined;

  constructor(context: RoleContext, taking: Taking) {
    this.#context = context;
    this.#taking = taking;
    this.#preflight = new Preflight(context);
    this.#requests = new Requests(context);
  }

  /** The one that this site gives, until it is over. */
  get giving(): Giving | undefined {
    return this.#giving?.isOver === false ? this.#giving : undefined;
  }

  /** A handover that nothing follows goes on by itself, after a restart, or when the command is given again. */
  resume(): void {
    const { store, limits } = this.#context;
    const end = store.epochs.at(-1)?.end;
    if (store.standing !== 'handing-over' || end === undefined || this.giving !== undefined) return;
    const { to, command } = end;
    this.#giving = new Giving(this.#context, { command, to, maxPauseMs: limits.maxPauseMs, resumed: true });
    const message = `${store.site} has handed over to ${to}, and has not heard of its epoch yet: it takes no writes`;
    store.report({ level: 'warn', event: 'handing-over', message, details: { to, command } });
  }

  /** @throws EvertreeError NOT_PRIMARY where neither this site, nor one that it is linked to, leads */
  async run(options: SwitchoverOptions): Promise<SwitchoverResult | SwitchoverForecast> {
    const { store, limits } = this.#context;
    const { command, to, dryRun = false, cancel = false, maxPauseMs = limits.maxPauseMs } = options;
    const told = command === undefined ? undefined : outcomeOf(this.#taking.standingOf(command));
    if (command !== undefined && told !== undefined && told.outcome !== 'unknown') return this.#toldOf(command, told);
    if (dryRun && store.standing !== 'secondary') return this.#preflight.run(to, maxPauseMs);
    this.resume();
    if (this.giving !== undefined) return this.#join(this.giving, options);
    if (command !== undefined && told === undefined && store.standing === 'fenced') {
      return this.#toldOf(command, { outcome: 'unknown', why: 'another epoch has begun, and this site does not follow it yet' });
    }
    if (store.standing !== 'secondary') {
      if (cancel) throw new EvertreeError('WRONG_ROLE', `no switchover is under way at ${store.site}`);
      return this.#give(command ?? drawId(store), to, maxPauseMs);
    }
    const end = store.epochs.at(-1)?.end;
    if (end?.to === store.site && !dryRun && (cancel || !this.#hasDeclined(end.command))) return this.#takeOver(end.command, cancel);
    return this.#passOn({ command: command ?? drawId(store), to: to ?? store.site, dryRun, cancel, maxPauseMs });
  }

  /** @returns whether the message was about a switchover */
  hear(from: string, message: RoleMessage, reply: Reply): boolean {
    if (this.#preflight.hear(message)) return true;
    switch (message.kind) {
      case 'consent':
      case 'begun':
      case 'declined':
        if (this.giving?.command === message.command && this.giving.to === from) this.giving.hear(message);
        return true;
      case 'ask': {
        const { outcome, why } = outcomeOf(this.#taking.standingOf(message.command)) ?? { outcome: 'unknown', why: 'it is under way' };
        reply({ kind: 'told', command: message.command, outcome, text: why, time: this.#context.store.clock.now() });
        return true;
      }
      case 'request':
        void this.#answerRequest(message, reply);
        return true;
      case 'answered':
        this.#requests.hear(message);
        return true;
      default:
        return false;
    }
  }

  /** The link to the primary ended. */
  primaryLost(): void {
    this.#requests.lost();
  }

  stop(why: string): void {
    this.giving?.stop(why);
    this.#requests.lost();
  }

  #toldOf(command: string, { outcome, why }: ToldOutcome): SwitchoverResult {
    const { epochs, position, site } = this.#context.store;
    const at = epochs.findLastIndex(({ end }) => end?.command === command);
    const from = epochs[at]?.site ?? site;
    const to = epochs[at]?.end?.to ?? site;
    return { command, outcome, text: why, from, to, position: epochs[at + 1]?.base ?? position, pauseMs: null, obstacles: [] };
  }

  /** Then another site goes on behind the handover. */
  #hasDeclined(command: string): boolean {
    return this.#taking.standingOf(command) === 'declined';
  }

  /** One is under way: whoever gives the command once more hears what becomes of that one. */
  async #join(giving: Giving, { command, to: wanted, cancel = false }: SwitchoverOptions): Promise<SwitchoverResult> {
    const { store } = this.#context;
    if (wanted !== undefined && wanted !== giving.to && !cancel) {
      const text = `a switchover to ${giving.to} is under way (${giving.step})`;
      const obstacles = [{ code: 'under-way', text }];
      // The caller's own command came to nothing; the outcome of the other one is not known yet.
      return {
        command: command ?? drawId(store),
        outcome: 'abandoned',
        text,
        from: store.site,
        to: wanted,
        position: store.position,
        pauseMs: null,
        obstacles,
      };
    }
    const result = giving.result();
    if (cancel) giving.cancel();
    else giving.again();
    return result;
  }

  /** The handover to this site is the last of its history: the command is given again, or cancelled, at its target. */
  async #takeOver(command: string, cancel: boolean): Promise<SwitchoverResult> {
    if (cancel) await this.#taking.cancel(command);
    else if (!(await this.#taking.again(command))) {
      const why = `the epoch of ${this.#context.store.site} is not durable yet; see its disk, and give the command again`;
      return this.#toldOf(command, { outcome: 'unknown', why });
    }
    const told = outcomeOf(this.#taking.standingOf(command));
    return this.#toldOf(command, told ?? { outcome: 'unknown', why: 'it is under way' });
  }

  async #give(command: string, wanted: string | undefined, maxPauseMs: number): Promise<SwitchoverResult> {
    const { store } = this.#context;
    if (store.standing !== 'primary') throw this.#notPrimary();
    if (wanted === store.site) return alreadyPrimary(command, wanted, store.position);
    const forecast = await this.#preflight.run(wanted, maxPauseMs);
    const { to = wanted ?? '', obstacles } = forecast;
    // The same command, given elsewhere, may have been carried out meanwhile.
    const told = outcomeOf(this.#taking.standingOf(command));
    if (told !== undefined && told.outcome !== 'unknown') return this.#toldOf(command, told);
    if (this.#last?.command === command && this.#last.outcome !== 'unknown') return this.#last;
    // Another caller was faster.
    if (this.giving !== undefined) return this.#join(this.giving, { command, ...(wanted === undefined ? {} : { to: wanted }) });
    if (!forecast.possible) {
      const text = obstacles.map(each => each.text).join('; ');
      return { command, outcome: 'abandoned', text, from: store.site, to, position: store.position, pauseMs: null, obstacles };
    }
    for (const { code, text } of forecast.warnings) {
      store.report({ level: 'warn', event: 'switchover-warning', message: text, details: { code, command, to } });
    }
    const giving = new Giving(this.#context, { command, to, maxPauseMs, resumed: false });
    this.#giving = giving;
    const result = giving.result();
    giving.begin();
    return (this.#last = await result);
  }

  /** A person asked here, at a secondary: its primary is told, and answers. */
  async #passOn(request: SwitchoverRequest): Promise<SwitchoverResult | SwitchoverForecast> {
    const { store, followed } = this.#context;
    const { command, to, dryRun } = request;
    if (followed === undefined) throw this.#notPrimary();
    const from = followed.site;
    if (to === from && !dryRun) return alreadyPrimary(command, to, store.position);
    const answered = await this.#requests.ask(from, request);
    if (dryRun) {
      const obstacles = answered?.obstacles ?? [{ code: 'primary-silent', text: `${from} does not answer` }];
      const warnings = answered?.warnings ?? [];
      return { possible: obstacles.length === 0, from, to, obstacles, warnings, predictedPauseMs: answered?.pauseMs ?? undefined };
    }
    if (answered !== undefined) {
      const { outcome, text, position, pauseMs, obstacles } = answered;
      return { command, outcome, text, from, to, position, pauseMs, obstacles };
    }
    const told = outcomeOf(this.#taking.standingOf(command));
    return this.#toldOf(command, told ?? { outcome: 'unknown', why: `${from} did not answer, and nothing follows its handover yet` });
  }

  /** The primary answers what a secondary passed on. */
  async #answerRequest({ kind: _kind, ...options }: Extract<RoleMessage, { kind: 'request' }>, reply: Reply): Promise<void> {
    const { store } = this.#context;
    const { command } = options;
    try {
      reply(answerOf(command, await this.run(options), store.position));
    } catch (error) {
      const text = describe(error);
      const obstacles = [{ code: 'refused', text }];
      reply({ kind: 'answered', command, outcome: 'abandoned', text, obstacles, position: store.position, pauseMs: null });
    }
  }

  #notPrimary(): EvertreeError {
    const { store, consumer } = this.#context;
    const { site, standing, epochs } = store;
    const last = epochs.at(-1);
    const known = consumer?.state.primary?.site ?? last?.end?.to ?? last?.site;
    // A site that was fenced has not always heard yet by whom.
    const primary = known === site ? undefined : known;
    const name = primary === undefined ? '' : `, ${primary}`;
    const message = `${site} is ${standing}, and a switchover is asked of the primary${name}; if that is gone, promote ${site}`;
    return new EvertreeError('NOT_PRIMARY', message, { site, primary });
  }
}

/** Whether it is asked at that site or elsewhere, the answer is one. */
function alreadyPrimary(command: string, site: string, position: ExactPosition): SwitchoverResult {
  const text = `${site} is the primary already`;
  return { command, outcome: 'done', text, from: site, to: site, position, pauseMs: null, obstacles: [] };
}
