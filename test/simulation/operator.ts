import { isEvertreeError } from '@evertree/core';
import type { CommandOutcome } from '@evertree/core';
import type { SwitchoverOptions } from '../../packages/evertree/src/roles/switchovers.ts';
import type { SimulatedSite } from './site.ts';
import type { TrapWatch } from './traps.ts';

/** What became of a command, as somebody was told. */
interface ToldCommand {
  readonly command: string;
  readonly outcome: CommandOutcome;
  readonly text: string;
}

/** Errors with which a command is refused, and nothing was changed. */
const REFUSALS: ReadonlySet<string> = new Set([
  'NOT_PRIMARY',
  'WRONG_ROLE',
  'STORAGE_FULL',
  'STORAGE_FAILED',
  'CLOSED',
  'FENCED',
  'HISTORY_MISMATCH',
]);

/** The people who give commands, two of them at once at times; and what they were told. */
export class Operators {
  readonly told: ToldCommand[] = [];
  /** By command: how often it was given and not answered yet. */
  readonly #waiting = new Map<string, number>();
  /** By command: the sites where it was given. */
  readonly #givenAt = new Map<string, Set<string>>();
  readonly #mark: (name: string) => void;
  readonly #traps: TrapWatch;
  readonly #abandonedAt = new Set<string>();
  readonly #violated: (law: string, what: string) => void;
  readonly #note: (line: string) => void;
  #drawn = 0;
  #last: SwitchoverOptions | undefined;
  /** The plan hash of the last dry run at each site. */
  readonly #confirmations = new Map<string, string>();

  constructor(note: (line: string) => void, mark: (name: string) => void, traps: TrapWatch, violated: (law: string, what: string) => void) {
    this.#note = note;
    this.#mark = mark;
    this.#traps = traps;
    this.#violated = violated;
  }

  /** Whether a switchover from this site was abandoned. */
  hasAbandoned(site: string): boolean {
    return this.#abandonedAt.has(site);
  }

  switchover(site: SimulatedSite, to: string | undefined): void {
    this.#last = { command: `command${this.#drawn++}`, ...(to === undefined ? {} : { to }) };
    void this.#give(site, this.#last);
  }

  /** The command that was given last, once more, wherever it is asked for. */
  again(site: SimulatedSite): void {
    if (this.#last !== undefined) void this.#give(site, this.#last);
  }

  cancel(site: SimulatedSite): void {
    void this.#give(site, { cancel: true });
  }

  drySwitchover(site: SimulatedSite, to: string): void {
    void this.#give(site, { dryRun: true, to });
  }

  /** @param how `force`: whatever stands in the way; `confirm`: with the hash of the last dry run there */
  promote(site: SimulatedSite, how?: string): void {
    const confirm = how === 'confirm' ? this.#confirmations.get(site.name) : undefined;
    void this.#ask(site, 'promotion', async roles => {
      const result = await roles.promote({ force: how === 'force', ...(confirm === undefined ? {} : { confirm }) });
      if ('epoch' in result)
        this.#note(`${site.name} was promoted: epoch ${result.epoch.number} (${result.epoch.id}), unheard ${result.unheard.join()}`);
      if ('epoch' in result && result.unheard.length > 0) this.#traps.told('promoted-unheard');
      this.#mark('promotion:done');
    });
  }

  dryPromote(site: SimulatedSite): void {
    void this.#ask(site, 'dry promotion', async roles => {
      const result = await roles.promote({ dryRun: true });
      if (!('possible' in result)) return;
      this.#confirmations.set(site.name, result.confirm);
      this.#mark(`dry-promotion:${result.possible ? 'possible' : 'impossible'}`);
      for (const { code } of result.obstacles) this.#mark(`promotion-obstacle:${code}`);
    });
  }

  /**
   * Commands that nobody acts for any more, as everybody was told who gave them: nothing may come of them later. One that
   * was given at two sites may be done by the one while the other, cut off, tells that nothing came of its attempt.
   */
  get abandoned(): string[] {
    const outcomes = new Map(this.told.map(({ command, outcome }) => [command, outcome]));
    const isOver = (command: string) => !this.#waiting.has(command) && this.#givenAt.get(command)?.size === 1;
    return [...outcomes].flatMap(([command, outcome]) => (outcome === 'abandoned' && isOver(command) ? [command] : []));
  }

  async #give(site: SimulatedSite, options: SwitchoverOptions): Promise<void> {
    const given = options.command ?? '';
    this.#givenAt.set(given, (this.#givenAt.get(given) ?? new Set()).add(site.name));
    // Whoever gave it to a process that dies is never answered.
    this.#waiting.set(given, (this.#waiting.get(given) ?? 0) + 1);
    await this.#ask(site, `switchover ${given}`, async roles => {
      const result = await roles.switchover(options);
      if ('possible' in result) return this.#mark(`dry-switchover:${result.possible ? 'possible' : 'impossible'}`);
      const { command, outcome, text } = result;
      if (outcome !== 'unknown') this.#answered(given);
      this.#note(`${site.name} was told that ${command} is ${outcome}: ${text}`);
      this.#mark(`switchover:${outcome}`);
      if (options.cancel === true) this.#traps.told('cancelled');
      if (outcome === 'abandoned') this.#abandonedAt.add(site.name);
      for (const { code } of result.obstacles) this.#mark(`switchover-obstacle:${code}`);
      this.told.push({ command, outcome, text });
    });
  }

  #answered(command: string): void {
    const left = (this.#waiting.get(command) ?? 1) - 1;
    if (left === 0) this.#waiting.delete(command);
    else this.#waiting.set(command, left);
  }

  async #ask(
    site: SimulatedSite,
    what: string,
    ask: (roles: NonNullable<SimulatedSite['running']>['roles']) => Promise<void>,
  ): Promise<void> {
    const { running } = site;
    if (running === undefined || running.process.isStalled) return;
    try {
      await ask(running.roles);
    } catch (error) {
      const code = isEvertreeError(error) ? error.code : 'none';
      this.#note(`${site.name} refused a ${what}: ${String(error)}`);
      if (!REFUSALS.has(code)) this.#violated('command', `a ${what} at ${site.name} ended with ${String(error)}`);
    }
  }
}
