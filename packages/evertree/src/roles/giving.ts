import type { CommandOutcome, EpochName, ExactPosition, Hold, Obstacle, RoleMessage } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import { commandStanding, outcomeOf } from './command-outcome.ts';
import { HandoverMachine, type HandoverAction, type HandoverEvent, type HandoverStep } from './handover-machine.ts';
import { type RoleContext, assertNotSurpassed, describe, drawId } from './role-context.ts';

/** What became of a switchover. */
export interface SwitchoverResult {
  readonly command: string;
  readonly outcome: CommandOutcome;
  /** Why, for people. */
  readonly text: string;
  readonly from: string;
  readonly to: string;
  /** Where the epoch that was handed over ended; if it was not, where this site stands. */
  readonly position: ExactPosition;
  /** How long writers were held; null if they were not. */
  readonly pauseMs: number | null;
  /** Why it was abandoned, if something stood in its way. */
  readonly obstacles: readonly Obstacle[];
}

export interface GivingOptions {
  readonly command: string;
  readonly to: string;
  readonly maxPauseMs: number;
  /** The handover was durable before this process began. */
  readonly resumed: boolean;
}

/** A target's lag is looked at so often while it is waited for. */
const LOOK_MS = 20;

/** A switchover at the primary that gives: carries out what its `HandoverMachine` decides. */
export class Giving {
  readonly command: string;
  readonly to: string;
  readonly #context: RoleContext;
  readonly #machine: HandoverMachine;
  #callers: PromiseWithResolvers<SwitchoverResult>[] = [];
  #timer: Disposable | undefined;
  #look: Disposable | undefined;
  #hold: Hold | undefined;
  /** When writers were held, and for how long they were; monotonic milliseconds. */
  #heldAt: number | undefined;
  #pauseMs: number | null = null;
  #handedOverAt: ExactPosition | undefined;
  /** Whether the target had a link that frames go over, when that was looked at last. */
  #linked: boolean;

  constructor(context: RoleContext, { command, to, maxPauseMs, resumed }: GivingOptions) {
    this.#context = context;
    this.command = command;
    this.to = to;
    this.#machine = new HandoverMachine(to, { ...context.limits, maxPauseMs }, resumed);
    this.#linked = !resumed && this.#isLinked;
    if (resumed) this.#handedOverAt = context.store.position;
  }

  get step(): HandoverStep {
    return this.#machine.step;
  }

  get isOver(): boolean {
    return this.step === 'over';
  }

  /** Resolves with the next answer. */
  result(): Promise<SwitchoverResult> {
    const caller = Promise.withResolvers<SwitchoverResult>();
    this.#callers.push(caller);
    return caller.promise;
  }

  begin(): void {
    this.#take({ type: 'begin' });
    this.#context.changed();
  }

  cancel(): void {
    this.#take({ type: 'cancel' });
  }

  again(): void {
    this.#take({ type: 'again' });
  }

  /** The target says something about this command. */
  hear(message: RoleMessage): void {
    switch (message.kind) {
      case 'consent':
        return this.#take({ type: 'consent', obstacles: message.obstacles });
      case 'begun':
        return this.#begun(message);
      case 'declined':
        return this.#take({ type: 'declined' });
      default:
        return;
    }
  }

  /** The state of some peer changed. */
  peersChanged(): void {
    const linked = this.#isLinked;
    if (linked === this.#linked) return;
    this.#linked = linked;
    const lastError = this.#peer?.lastError ?? 'it is not linked';
    this.#take(linked ? { type: 'linked' } : { type: 'lost', why: lastError });
  }

  /** The history, or what the store heard of other epochs, changed. */
  storeChanged(): void {
    if (this.isOver) return;
    const { store } = this.#context;
    const standing = commandStanding(this.command, store.site, store.epochs, store.journal.identity.declined);
    const told = outcomeOf(standing);
    if (told !== undefined && told.outcome !== 'unknown') return this.#take({ type: 'settled', outcome: told.outcome, why: told.why });
    if (standing === 'open' && this.#handedOverAt !== undefined) {
      return this.#take({
        type: 'settled',
        outcome: 'abandoned',
        why: 'its handover is in no history that goes on: another site was promoted',
      });
    }
    const isBefore = this.step === 'consent' || this.step === 'catching-up';
    if (isBefore && store.standing !== 'primary') {
      const why = store.stateReason?.message ?? `this site is ${store.standing}`;
      this.#take({ type: 'settled', outcome: 'abandoned', why });
    }
  }

  /** This process ends, or the site stops managing its parts. */
  stop(why: string): void {
    this.#stopTimers();
    this.#answer('unknown', why, []);
  }

  get #peer() {
    return this.#context.producer?.peers.find(({ site }) => site === this.to);
  }

  get #isLinked(): boolean {
    return this.#peer?.state === 'replicate';
  }

  #take(event: HandoverEvent): void {
    const { step } = this;
    for (const action of this.#machine.take(event)) this.#carryOut(action);
    if (step !== this.step) {
      if (this.isOver) this.#stopTimers();
      this.#context.changed();
    }
  }

  #carryOut(action: HandoverAction): void {
    switch (action.type) {
      case 'prepare': {
        const { store } = this.#context;
        return this.#say({ kind: 'prepare', command: this.command, from: store.site, to: this.to, dryRun: false });
      }
      case 'withdraw':
        return this.#say({ kind: 'withdraw', command: this.command });
      case 'watch-lag':
        return this.#watchLag();
      case 'hand-over':
        return this.#handOver();
      case 'begin-epoch':
        return this.#beginEpoch();
      case 'settle':
        // Who leads was told by `begun`, before its event was taken.
        return;
      case 'after':
        this.#timer?.[Symbol.dispose]();
        this.#timer = this.#context.store.clock.after(action.ms, () => this.#take({ type: 'due' }));
        return;
      case 'answer':
        return this.#answer(action.outcome, action.why, action.obstacles);
    }
  }

  /** A message that does not get away is said again with the next link. */
  #say(message: RoleMessage): void {
    this.#context.producer?.sendRole(this.to, message);
  }

  #watchLag(): void {
    if (this.step !== 'catching-up') return;
    const lagMs = this.#peer?.lagMs;
    if (typeof lagMs === 'number' && lagMs <= this.#context.limits.nearMs) return this.#take({ type: 'near' });
    this.#look = this.#context.store.clock.after(LOOK_MS, () => this.#watchLag());
  }

  #handOver(): void {
    const { store } = this.#context;
    try {
      this.#hold = store.hold(this.command);
    } catch (error) {
      return this.#take({ type: 'refused', why: describe(error) });
    }
    this.#heldAt = store.clock.monotonic();
    void this.#awaitDurable(store.handOver(this.to, this.command));
  }

  async #awaitDurable(handedOver: Promise<ExactPosition>): Promise<void> {
    try {
      this.#handedOverAt = await handedOver;
      this.#take({ type: 'durable' });
    } catch (error) {
      this.#notHandedOver(error);
    }
  }

  #notHandedOver(error: unknown): void {
    const { store } = this.#context;
    const isAppended = store.epochs.at(-1)?.end?.command === this.command;
    if (isAppended && isEvertreeError(error, 'FENCED')) return this.#take({ type: 'durable' });
    if (isAppended) return this.#take({ type: 'failed', why: describe(error) });
    this.#release();
    this.#take({ type: 'refused', why: describe(error) });
  }

  /**
   * The epoch that the target would have begun has the next number: it is never used by anybody else (rule 13). Where a
   * hello told of one above that, another site leads or is about to: this one does not go on beside it.
   */
  #beginEpoch(): void {
    const { store } = this.#context;
    const epoch = { number: store.position.epoch + 2, id: drawId(store) };
    try {
      assertNotSurpassed(store, epoch);
      store.beginEpoch(epoch, 'switchover withdrawn');
    } catch (error) {
      return this.#take({ type: 'refused', why: describe(error) });
    }
    this.#take({ type: 'leading' });
  }

  #begun({ epoch, position, advertised }: Extract<RoleMessage, { kind: 'begun' }>): void {
    if (this.step !== 'handed-over' && this.step !== 'withdrawing') return;
    const { store } = this.#context;
    this.#measurePause();
    // The handover is durable: this site takes no writes whether the fence is recorded or not.
    void this.#fence(epoch);
    // Its epoch began on the handover: it holds all of ours durably.
    store.acknowledge(this.to, store.position);
    store.settle({ kind: 'elsewhere', site: this.to, address: advertised, epoch, position });
    this.#take({ type: 'begun', epoch });
  }

  async #fence(epoch: EpochName): Promise<void> {
    const { store } = this.#context;
    try {
      await store.fence(epoch, true);
    } catch (error) {
      const message = `the disk of ${store.site} could not record epoch ${epoch.number} of ${this.to}: ${describe(error)}`;
      store.report({ level: 'warn', event: 'fence-not-recorded', message, details: { epoch, error } });
    }
  }

  #release(): void {
    this.#measurePause();
    this.#hold?.release();
    this.#hold = undefined;
  }

  #measurePause(): void {
    if (this.#heldAt === undefined) return;
    this.#pauseMs = Math.round((this.#context.store.clock.monotonic() - this.#heldAt) * 1_000) / 1_000;
    this.#heldAt = undefined;
  }

  #answer(outcome: CommandOutcome, text: string, obstacles: readonly Obstacle[]): void {
    if (this.isOver) this.#release();
    const { store } = this.#context;
    const { command, to } = this;
    const position = this.#handedOverAt ?? store.position;
    const result = { command, outcome, text, from: store.site, to, position, pauseMs: this.#pauseMs, obstacles };
    const callers = this.#callers;
    this.#callers = [];
    for (const caller of callers) caller.resolve(result);
    store.report({
      level: outcome === 'done' ? 'info' : 'warn',
      event: 'switchover',
      message: `the switchover from ${store.site} to ${to} is ${outcome}: ${text}`,
      details: { ...result },
    });
  }

  #stopTimers(): void {
    this.#timer?.[Symbol.dispose]();
    this.#look?.[Symbol.dispose]();
  }
}
