import type { Obstacle, TargetFacts } from '@evertree/core';
import type { CommandStanding } from './command-outcome.ts';

/** A site, and the command of its that a message is about. */
interface Asked {
  readonly from: string;
  readonly command: string;
  /** What this site's history and its declined commands say of it. */
  readonly standing: CommandStanding;
}

export type TakeoverEvent =
  /** The primary asks for consent; or, after the handover, to go on. */
  | ({ readonly type: 'prepare'; readonly dryRun: boolean } & Asked)
  /** What `examine` found. */
  | {
      readonly type: 'examined';
      readonly from: string;
      readonly command: string;
      readonly dryRun: boolean;
      readonly obstacles: readonly Obstacle[];
      readonly syncMs: number;
      readonly facts: TargetFacts;
    }
  /** A handover frame to this site was applied; its `begin` goes into the same group of the journal. */
  | { readonly type: 'handed'; readonly command: string }
  /** The store did not begin the epoch. */
  | { readonly type: 'refused' }
  /** The epoch that this site began is stable. */
  | { readonly type: 'stable' }
  | ({ readonly type: 'withdraw' } & Asked)
  /** The command is cancelled here. */
  | { readonly type: 'cancel'; readonly command: string; readonly standing: CommandStanding }
  /** The command is among the declined ones, durably. */
  | { readonly type: 'recorded'; readonly command: string }
  /** It could not be recorded. */
  | { readonly type: 'not-recorded'; readonly command: string }
  /** The link to a site ended. */
  | { readonly type: 'lost'; readonly from: string }
  /** The command was given again here. */
  | { readonly type: 'again'; readonly command: string; readonly standing: CommandStanding };

export type TakeoverAction =
  /** Find out what stands in the way, and time one sync. Unless it is a dry run, make the producer. Answer: `examined`. */
  | { readonly type: 'examine'; readonly from: string; readonly command: string; readonly dryRun: boolean }
  | {
      readonly type: 'consent';
      readonly to: string;
      readonly command: string;
      readonly obstacles: readonly Obstacle[];
      readonly syncMs: number;
      readonly facts: TargetFacts;
    }
  /** Begin this site's epoch now. Answer: `refused`, or later `stable`. */
  | { readonly type: 'begin'; readonly command: string }
  | { readonly type: 'tell-begun'; readonly to: string; readonly command: string }
  /** Record the command as declined. Answer: `recorded`, `not-recorded`. */
  | { readonly type: 'decline'; readonly command: string }
  | { readonly type: 'tell-declined'; readonly to: string; readonly command: string }
  /** What was prepared is not needed. */
  | { readonly type: 'forget' };

const NOTHING: readonly TakeoverAction[] = Object.freeze([]);

/**
 * - `idle`.
 * - `examining`, `consented`: a command was announced; the handover frame of that command, and no other, begins an epoch.
 * - `beginning`: the epoch's first frame is appended. It can't be declined any more.
 */
type TakeoverStep = 'idle' | 'examining' | 'consented' | 'beginning';

/**
 * A switchover at its target: events in, actions out.
 *
 * Law: of one command this site either begins an epoch or declines, and tells either only when it is durable. A consent
 * ends with the link over which it was given, so that a handover frame that comes later on another road begins nothing.
 */
export class TakeoverMachine {
  #step: TakeoverStep = 'idle';
  #command = '';
  #from = '';
  /** Commands whose decline is being recorded, and who waits to hear of it. */
  readonly #declining = new Map<string, string | undefined>();

  get step(): TakeoverStep {
    return this.#step;
  }

  /** The command that it takes part in; undefined while it is idle. */
  get command(): string | undefined {
    return this.#step === 'idle' ? undefined : this.#command;
  }

  /**
   * Whether a handover frame would begin an epoch here. Also while obstacles are looked for: a primary that has handed
   * over before it asked can't be helped by them.
   */
  get awaitsHandover(): boolean {
    return this.#step === 'examining' || this.#step === 'consented';
  }

  /** Whether the command is being recorded as declined. */
  isDeclining(command: string): boolean {
    return this.#declining.has(command);
  }

  take(event: TakeoverEvent): readonly TakeoverAction[] {
    switch (event.type) {
      case 'prepare':
        return this.#prepare(event);
      case 'examined':
        return this.#examined(event);
      case 'handed':
        return this.awaitsHandover && this.#command === event.command ? this.#begin(event.command) : NOTHING;
      case 'again':
        return this.#again(event);
      case 'refused':
        return this.#refused();
      case 'stable':
        return this.#stable();
      case 'withdraw':
        return this.#withdraw(event);
      case 'cancel':
        return this.#cancel(event.command, event.standing);
      case 'recorded': {
        const to = this.#declining.get(event.command);
        this.#declining.delete(event.command);
        return to === undefined ? NOTHING : [{ type: 'tell-declined', to, command: event.command }];
      }
      case 'not-recorded':
        this.#declining.delete(event.command);
        return NOTHING;
      case 'lost':
        return this.#lost(event.from);
    }
  }

  #prepare({ from, command, dryRun, standing }: Extract<TakeoverEvent, { type: 'prepare' }>): readonly TakeoverAction[] {
    if (this.#isBeginning(command)) {
      this.#from = from;
      return NOTHING;
    }
    if (this.#declining.has(command)) return NOTHING;
    switch (standing) {
      case 'begun-here':
        return [{ type: 'tell-begun', to: from, command }];
      case 'declined':
        return [{ type: 'tell-declined', to: from, command }];
      case 'ended-elsewhere':
      case 'handed-there':
      case 'begun-there':
        // Another site's epoch follows, or may: hellos tell of it, and a word of this site could only mislead.
        return NOTHING;
      case 'handed-here':
        this.#from = from;
        return this.#begin(command);
      case 'open':
        // The probe of a dry run changes nothing of what is under way.
        if (dryRun) return [{ type: 'examine', from, command, dryRun }];
        if (this.#step === 'beginning') return NOTHING;
        this.#step = 'examining';
        this.#command = command;
        this.#from = from;
        return [{ type: 'examine', from, command, dryRun }];
    }
  }

  #again({ command, standing }: Extract<TakeoverEvent, { type: 'again' }>): readonly TakeoverAction[] {
    if (this.#step === 'beginning' || this.#declining.has(command) || standing !== 'handed-here') return NOTHING;
    return this.#begin(command);
  }

  #examined({ from, command, dryRun, obstacles, syncMs, facts }: Extract<TakeoverEvent, { type: 'examined' }>): readonly TakeoverAction[] {
    const consent = { type: 'consent', to: from, command, obstacles, syncMs, facts } as const;
    if (dryRun) return [consent];
    // It was withdrawn, or its link ended, meanwhile.
    if (this.#step !== 'examining' || this.#command !== command) return NOTHING;
    if (obstacles.length > 0) return [consent, ...this.#forget()];
    this.#step = 'consented';
    return [consent];
  }

  #begin(command: string): readonly TakeoverAction[] {
    this.#step = 'beginning';
    this.#command = command;
    return [{ type: 'begin', command }];
  }

  #refused(): readonly TakeoverAction[] {
    if (this.#step !== 'beginning') return NOTHING;
    const command = this.#command;
    const from = this.#from;
    return [...this.#forget(), ...this.#decline(command, from === '' ? undefined : from)];
  }

  #stable(): readonly TakeoverAction[] {
    if (this.#step !== 'beginning') return NOTHING;
    const to = this.#from;
    const command = this.#command;
    this.#clear();
    return to === '' ? NOTHING : [{ type: 'tell-begun', to, command }];
  }

  #withdraw({ from, command, standing }: Extract<TakeoverEvent, { type: 'withdraw' }>): readonly TakeoverAction[] {
    if (this.#isBeginning(command)) {
      // `stable` answers.
      this.#from = from;
      return NOTHING;
    }
    if (standing === 'begun-here') return [{ type: 'tell-begun', to: from, command }];
    if (standing === 'declined') return [{ type: 'tell-declined', to: from, command }];
    if (standing !== 'open' && standing !== 'handed-here') return NOTHING;
    const forgets = this.#command === command ? this.#forget() : NOTHING;
    return [...forgets, ...this.#decline(command, from)];
  }

  /** What was begun, or ended elsewhere, is not declined: the history tells. */
  #cancel(command: string, standing: CommandStanding): readonly TakeoverAction[] {
    if (this.#isBeginning(command) || (standing !== 'open' && standing !== 'handed-here')) return NOTHING;
    const forgets = this.#command === command ? this.#forget() : NOTHING;
    return [...forgets, ...this.#decline(command, undefined)];
  }

  #decline(command: string, to: string | undefined): readonly TakeoverAction[] {
    const isUnderWay = this.#declining.has(command);
    this.#declining.set(command, to ?? this.#declining.get(command));
    return isUnderWay ? NOTHING : [{ type: 'decline', command }];
  }

  #lost(from: string): readonly TakeoverAction[] {
    const isTheirs = this.#from === from && this.awaitsHandover;
    return isTheirs ? this.#forget() : NOTHING;
  }

  #forget(): readonly TakeoverAction[] {
    if (this.#step === 'idle') return NOTHING;
    this.#clear();
    return [{ type: 'forget' }];
  }

  #clear(): void {
    this.#step = 'idle';
    this.#command = '';
    this.#from = '';
  }

  #isBeginning(command: string): boolean {
    return this.#step === 'beginning' && this.#command === command;
  }
}
