import type { CommandOutcome, EpochName, Obstacle } from '@evertree/core';
import type { RoleLimits } from './limits.ts';

/**
 * How far a switchover has come at the primary that gives.
 * - `consent`: the target was asked.
 * - `catching-up`: it consented, and lacks too much for a short pause. Writes go on.
 * - `handing-over`: writers are held, and the handover frame is on its way to the disk.
 * - `handed-over`: it is durable. Only the target, or a promotion, ends this.
 * - `withdrawing`: the target was asked not to begin.
 * - `over`.
 */
export type HandoverStep = 'consent' | 'catching-up' | 'handing-over' | 'handed-over' | 'withdrawing' | 'over';

export type HandoverEvent =
  | { readonly type: 'begin' }
  /** The target's answer; it consents if nothing stands in the way. */
  | { readonly type: 'consent'; readonly obstacles: readonly Obstacle[] }
  /** The target lacks little by now. */
  | { readonly type: 'near' }
  /** The store did not take the handover frame, or did not begin an epoch: nothing was appended. */
  | { readonly type: 'refused'; readonly why: string }
  | { readonly type: 'durable' }
  /** The handover frame was appended, and will not become durable in this process. */
  | { readonly type: 'failed'; readonly why: string }
  | { readonly type: 'begun'; readonly epoch: EpochName }
  | { readonly type: 'declined' }
  /** This site has begun the epoch that `begin-epoch` asked for. */
  | { readonly type: 'leading' }
  /** The target has a link again. */
  | { readonly type: 'linked' }
  | { readonly type: 'lost'; readonly why: string }
  | { readonly type: 'cancel' }
  /** The same command was given again. */
  | { readonly type: 'again' }
  /** The time of the last `after` is over. */
  | { readonly type: 'due' }
  /** The history, or a fence, tells the outcome. */
  | { readonly type: 'settled'; readonly outcome: CommandOutcome; readonly why: string };

export type HandoverAction =
  /** Ask the target to consent; or, when the handover is durable, to go on. */
  | { readonly type: 'prepare' }
  /** Ask the target to forget the command, durably. Answer: `begun`, `declined`. */
  | { readonly type: 'withdraw' }
  /** Answer with `near` as soon as the target is near. */
  | { readonly type: 'watch-lag' }
  /** Hold writers and append the handover frame, in one turn. Answer: `durable`, `failed`, `refused`. */
  | { readonly type: 'hand-over' }
  /** Begin the epoch after the one that the target would have begun. Answer: `leading`, `refused`. */
  | { readonly type: 'begin-epoch' }
  /** Tell writers that the target leads. */
  | { readonly type: 'settle'; readonly epoch: EpochName }
  /** Answer with `due` after this time; it takes the place of an earlier `after`. */
  | { readonly type: 'after'; readonly ms: number }
  /** Tell the callers. It may come before the switchover is over (`unknown`), and then once more. */
  | { readonly type: 'answer'; readonly outcome: CommandOutcome; readonly why: string; readonly obstacles: readonly Obstacle[] };

const NOTHING: readonly HandoverAction[] = Object.freeze([]);

/**
 * A switchover at the primary that gives: events in, actions out. It holds nothing that a restart needs: after one, the
 * standing of the store says whether the handover frame is durable, and a machine that is `resumed` goes on from there.
 *
 * Law: before the handover frame is appended this site may give up by itself. Afterwards it begins an epoch of its own
 * only when the target has declined.
 */
export class HandoverMachine {
  readonly to: string;
  readonly #limits: Pick<RoleLimits, 'maxPauseMs' | 'consentMs' | 'answerMs'>;
  #step: HandoverStep;
  /** Asked to give up while the frame was on its way to the disk: the target is asked once it is durable. */
  #takesBack = false;

  /** @param resumed the handover frame is durable already: this process began after it */
  constructor(to: string, limits: Pick<RoleLimits, 'maxPauseMs' | 'consentMs' | 'answerMs'>, resumed = false) {
    this.to = to;
    this.#limits = limits;
    this.#step = resumed ? 'handed-over' : 'consent';
  }

  get step(): HandoverStep {
    return this.#step;
  }

  take(event: HandoverEvent): readonly HandoverAction[] {
    switch (this.#step) {
      case 'consent':
      case 'catching-up':
        return this.#before(event);
      case 'handing-over':
        return this.#appended(event);
      case 'handed-over':
      case 'withdrawing':
        return this.#durable(event);
      case 'over':
        return NOTHING;
    }
  }

  /** Nothing is appended: this site may give up by itself. */
  #before(event: HandoverEvent): readonly HandoverAction[] {
    switch (event.type) {
      case 'begin':
        return [{ type: 'prepare' }, { type: 'after', ms: this.#limits.consentMs }];
      case 'consent':
        if (this.#step !== 'consent') return NOTHING;
        if (event.obstacles.length > 0) return this.#end('abandoned', `${this.to} does not consent`, event.obstacles);
        this.#step = 'catching-up';
        return [{ type: 'after', ms: this.#limits.maxPauseMs }, { type: 'watch-lag' }];
      case 'near':
        if (this.#step !== 'catching-up') return NOTHING;
        this.#step = 'handing-over';
        return [{ type: 'hand-over' }, { type: 'after', ms: this.#limits.maxPauseMs }];
      case 'declined':
        return this.#end('abandoned', `${this.to} has declined this command`);
      case 'lost':
        return this.#giveUp(`the link to ${this.to} ended: ${event.why}`);
      case 'cancel':
        return this.#giveUp('it was cancelled');
      case 'due':
        return this.#giveUp(
          this.#step === 'consent'
            ? `${this.to} did not answer within ${this.#limits.consentMs} ms`
            : `${this.to} did not catch up within ${this.#limits.maxPauseMs} ms`,
        );
      case 'settled':
        return this.#end(event.outcome, event.why);
      default:
        return NOTHING;
    }
  }

  /** The frame can't be taken out of the journal any more, and is not durable yet. */
  #appended(event: HandoverEvent): readonly HandoverAction[] {
    switch (event.type) {
      case 'refused':
        return this.#giveUp(event.why);
      case 'durable':
        if (this.#takesBack) return this.#withdraw();
        this.#step = 'handed-over';
        return NOTHING;
      case 'failed':
        return this.#end('unknown', `${event.why}; start this site again, and give the command again`);
      case 'cancel':
        this.#takesBack = true;
        return NOTHING;
      case 'due': {
        if (!this.#takesBack) {
          this.#takesBack = true;
          return [{ type: 'after', ms: this.#limits.answerMs }];
        }
        return [this.#answer('unknown', 'the disk of this site has not taken the handover yet')];
      }
      case 'settled':
        return this.#end(event.outcome, event.why);
      default:
        return NOTHING;
    }
  }

  /** Only the target, or another site's higher epoch, ends it now. */
  #durable(event: HandoverEvent): readonly HandoverAction[] {
    const isWithdrawn = this.#step === 'withdrawing';
    switch (event.type) {
      case 'begun':
        return [{ type: 'settle', epoch: event.epoch }, ...this.#end('done', `${this.to} has begun epoch ${event.epoch.number}`)];
      case 'declined':
        return [{ type: 'begin-epoch' }];
      case 'leading':
        return this.#end('abandoned', `${this.to} has declined: this site goes on as the primary`);
      case 'refused':
        return this.#end('abandoned', `${this.to} has declined, and this site does not go on as the primary: ${event.why}. Promote a site`);
      case 'linked':
        return [{ type: isWithdrawn ? 'withdraw' : 'prepare' }];
      case 'again':
        return isWithdrawn ? this.#withdraw() : [{ type: 'prepare' }, { type: 'after', ms: this.#limits.maxPauseMs }];
      case 'cancel':
        return this.#withdraw();
      case 'due':
        return isWithdrawn ? [this.#answer('unknown', `${this.to} has not told yet whether it begins`)] : this.#withdraw();
      case 'settled':
        return this.#end(event.outcome, event.why);
      default:
        return NOTHING;
    }
  }

  #withdraw(): readonly HandoverAction[] {
    this.#step = 'withdrawing';
    return [{ type: 'withdraw' }, { type: 'after', ms: this.#limits.answerMs }];
  }

  #giveUp(why: string): readonly HandoverAction[] {
    return [{ type: 'withdraw' }, ...this.#end('abandoned', why)];
  }

  #end(outcome: CommandOutcome, why: string, obstacles: readonly Obstacle[] = []): readonly HandoverAction[] {
    this.#step = 'over';
    return [this.#answer(outcome, why, obstacles)];
  }

  #answer(outcome: CommandOutcome, why: string, obstacles: readonly Obstacle[] = []): HandoverAction {
    return { type: 'answer', outcome, why, obstacles };
  }
}
