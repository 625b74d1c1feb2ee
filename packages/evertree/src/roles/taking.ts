import { type EpochName, EvertreeError, type RoleMessage } from '@evertree/core';
import { type CommandStanding, commandStanding } from './command-outcome.ts';
import { examineTarget } from './examination.ts';
import type { PrimaryPart } from './part.ts';
import { type RoleContext, assertNotSurpassed, describe, drawId, reportReign } from './role-context.ts';
import { TakeoverMachine, type TakeoverAction, type TakeoverEvent } from './takeover-machine.ts';

/** A switchover at its target: carries out what its `TakeoverMachine` decides. */
export class Taking {
  readonly #context: RoleContext;
  readonly #machine = new TakeoverMachine();
  readonly #make: () => Promise<PrimaryPart> | undefined;
  /** Made while the target consents, so that it need not be made while writers are held. */
  #prepared: PrimaryPart | undefined;
  /** The epoch that this site began last. */
  #begun: EpochName | undefined;
  /** The epoch whose beginning was reported last. */
  #reported: EpochName | undefined;
  /** Callers of `again`. */
  readonly #waiting = new Set<PromiseWithResolvers<boolean>>();
  /** Resolves when the next decline is recorded, or can't be. */
  #declined = Promise.withResolvers<void>();

  /** @param make makes a primary's part; undefined where there is no primary file */
  constructor(context: RoleContext, make: () => Promise<PrimaryPart> | undefined) {
    this.#context = context;
    this.#make = make;
  }

  get step() {
    return this.#machine.step;
  }

  get command(): string | undefined {
    return this.#machine.command;
  }

  /** Whether a handover frame would begin an epoch here: then each frame that is applied is looked at. */
  get awaitsHandover(): boolean {
    return this.#machine.awaitsHandover;
  }

  get isBeginning(): boolean {
    return this.#machine.step === 'beginning';
  }

  /** What was prepared, for whoever opens it. */
  takePrepared(): PrimaryPart | undefined {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    return prepared;
  }

  standingOf(command: string): CommandStanding {
    const { store } = this.#context;
    return commandStanding(command, store.site, store.epochs, store.journal.identity.declined);
  }

  hear(from: string, message: RoleMessage): void {
    switch (message.kind) {
      case 'prepare': {
        const { command, dryRun } = message;
        return this.#take({ type: 'prepare', from, command, dryRun, standing: this.standingOf(command) });
      }
      case 'withdraw':
        return this.#take({ type: 'withdraw', from, command: message.command, standing: this.standingOf(message.command) });
      default:
        return;
    }
  }

  /** The link of a primary ended. */
  lost(from: string): void {
    this.#take({ type: 'lost', from });
  }

  /** A frame was applied. Called in its turn: the epoch's first frame goes into the same group of the journal. */
  applied(): void {
    const end = this.#context.store.epochs.at(-1)?.end;
    if (end?.to === this.#context.store.site) this.#take({ type: 'handed', command: end.command });
  }

  /** More of the history is stable. */
  stable(): void {
    const begun = this.#begun;
    if (begun === undefined || this.#context.store.stable.position.epochId !== begun.id) return;
    this.#take({ type: 'stable' });
    for (const waiting of this.#waiting) waiting.resolve(true);
    if (this.#reported === begun) return;
    this.#reported = begun;
    reportReign(this.#context.store, begun, 'by a switchover', 'info');
  }

  /**
   * The command of the handover to this site, which has not declined it, is given again, here. Resolves with true when this site leads, durably;
   * with false when that has not come about after `maxPauseMs`.
   * @throws EvertreeError WRONG_ROLE while the command is being withdrawn; what the store throws
   */
  async again(command: string): Promise<boolean> {
    if (this.#machine.isDeclining(command)) {
      throw new EvertreeError('WRONG_ROLE', `the command ${command} is being withdrawn`, { command });
    }
    const { store, limits } = this.#context;
    const waiting = Promise.withResolvers<boolean>();
    this.#waiting.add(waiting);
    const patience = store.clock.after(limits.maxPauseMs, () => waiting.resolve(false));
    this.#take({ type: 'again', command, standing: this.standingOf(command) });
    try {
      return await waiting.promise;
    } finally {
      patience[Symbol.dispose]();
      this.#waiting.delete(waiting);
    }
  }

  /** The command is cancelled here, at its target. Resolves when it is recorded as declined, or can't be any more. */
  async cancel(command: string): Promise<void> {
    this.#take({ type: 'cancel', command, standing: this.standingOf(command) });
    while (this.#machine.isDeclining(command)) await this.#declined.promise;
    await this.#context.store.flush();
  }

  stop(why: Error): void {
    for (const waiting of this.#waiting) waiting.reject(why);
  }

  #take(event: TakeoverEvent): void {
    const { step } = this;
    for (const action of this.#machine.take(event)) this.#carryOut(action);
    if (step !== this.step) this.#context.changed();
  }

  #carryOut(action: TakeoverAction): void {
    switch (action.type) {
      case 'examine':
        return void this.#examine(action);
      case 'consent': {
        const { to, command, obstacles, syncMs, facts } = action;
        return this.#say(to, { kind: 'consent', command, obstacles, syncMs, facts });
      }
      case 'begin':
        return this.#begin(action.command);
      case 'tell-begun':
        return this.#tellBegun(action.to, action.command);
      case 'decline':
        return void this.#decline(action.command);
      case 'tell-declined':
        return this.#say(action.to, { kind: 'declined', command: action.command });
      case 'forget':
        this.#prepared = undefined;
        return;
    }
  }

  #say(to: string, message: RoleMessage): void {
    this.#context.consumer?.sendRole(to, message);
  }

  async #examine({ from, command, dryRun }: Extract<TakeoverAction, { type: 'examine' }>): Promise<void> {
    const { syncMs, facts, obstacles } = await examineTarget(this.#context, from);
    if (!dryRun && obstacles.length === 0) {
      try {
        this.#prepared = await this.#make();
        await this.#context.store.prepareToLead();
      } catch (error) {
        obstacles.push({ code: 'primary-file', text: `this site can't make what its primary file asks for: ${describe(error)}` });
      }
    }
    this.#take({ type: 'examined', from, command, dryRun, obstacles, syncMs, facts });
  }

  #begin(command: string): void {
    const { store } = this.#context;
    const epoch = { number: store.position.epoch + 1, id: drawId(store) };
    try {
      assertNotSurpassed(store, epoch);
      store.beginEpoch(epoch, 'switchover');
      this.#begun = epoch;
    } catch (error) {
      const message = `${store.site} does not begin epoch ${epoch.number} after the handover: ${describe(error)}`;
      store.report({ level: 'error', event: 'switchover-refused', message, details: { command, error } });
      this.#take({ type: 'refused' });
      this.stop(error instanceof Error ? error : new Error(describe(error)));
    }
  }

  #tellBegun(to: string, command: string): void {
    const { store, advertised } = this.#context;
    const at = store.epochs.findLastIndex(({ end }) => end?.command === command);
    const entry = store.epochs[at + 1];
    if (entry === undefined) return;
    const { number, id, base } = entry;
    const position = { epoch: number, epochId: id, revision: base.revision + 1 };
    const epochs = store.epochs.slice(0, at + 2);
    const begun = { kind: 'begun', command, epoch: { number, id }, position, epochs } as const;
    this.#say(to, advertised === undefined ? begun : { ...begun, advertised });
  }

  async #decline(command: string): Promise<void> {
    const { store } = this.#context;
    try {
      await store.journal.identity.decline(command);
      this.#take({ type: 'recorded', command });
    } catch (error) {
      const message = `the disk of ${store.site} could not record that a switchover was withdrawn: ${describe(error)}`;
      store.report({ level: 'error', event: 'decline-not-recorded', message, details: { command, error } });
      this.#take({ type: 'not-recorded', command });
    } finally {
      this.#declined.resolve();
      this.#declined = Promise.withResolvers();
    }
  }
}
