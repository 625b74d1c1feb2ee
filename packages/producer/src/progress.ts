import { EvertreeError, formatPosition } from '@evertree/core';
import type { CloseReason, ExactPosition, Reason } from '@evertree/core';
import type { Decision, Refusal } from './decision.ts';
import { Inflight } from './inflight.ts';
import type { ProducerLimits } from './limits.ts';
import type { Acknowledgement, PeerAction, PeerEvent } from './peer-event.ts';
import type { PeerState } from './status.ts';

/** States that outlive the link: a new one changes them only when its hello led to something better. */
export const LASTING: ReadonlySet<PeerState> = new Set(['fenced', 'diverged', 'quarantined']);

/**
 * The primary's view of one secondary: offline → probe → replicate → (snapshot) → replicate. It does no input or output, and time is
 * an argument: the loop around it feeds it events and carries out the actions it answers with (as etcd's raft does with Progress).
 */
export class Progress {
  readonly #limits: ProducerLimits;
  readonly #inflight = new Inflight();
  #state: PeerState = 'offline';
  #since: number;
  #applied: ExactPosition | undefined;
  #durable: ExactPosition | undefined;
  #sent: ExactPosition | undefined;
  #snapshot: { readonly position: ExactPosition; sent: boolean } | undefined;
  /** Commit time of what comes after `sent`, or a little before it; undefined when nothing does, as far as we know. */
  #unsentTime: number | undefined;
  /** What it acknowledged before we knew that its history is ours. */
  #early: Acknowledgement | undefined;
  #resends = 0;
  #snapshots = 0;
  #lastReason: string | null = null;
  #lastError: string | null = null;

  /** @param durable what is known of it from before this process; @param now milliseconds since 1970 */
  constructor(limits: ProducerLimits, durable: ExactPosition | undefined, now: number) {
    this.#limits = limits;
    this.#durable = durable;
    this.#applied = durable;
    this.#since = now;
  }

  get state(): PeerState {
    return this.#state;
  }

  get since(): number {
    return this.#since;
  }

  get applied(): ExactPosition | undefined {
    return this.#applied;
  }

  get durable(): ExactPosition | undefined {
    return this.#durable;
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  get resyncs(): { readonly count: number; readonly lastReason: string | null } {
    return { count: this.#snapshots, lastReason: this.#lastReason };
  }

  /** Commit time of the oldest change set that the peer does not hold durably, milliseconds since 1970. */
  get oldestTime(): number | undefined {
    return this.#inflight.oldestTime ?? this.#unsentTime;
  }

  /** Whether another frame may be sent now. */
  get hasRoom(): boolean {
    return this.#inflight.bytes < this.#limits.windowBytes && this.#inflight.frames < this.#limits.windowFrames;
  }

  step(event: PeerEvent, now: number): PeerAction[] {
    switch (event.type) {
      case 'linked':
        return this.#linked(now);
      case 'decided':
        return this.#decided(event.decision, event.position, now);
      case 'sent':
        this.#sent = event.last;
        this.#inflight.add(event.last, event.bytes, event.firstTime);
        this.#unsentTime = event.lastTime;
        return [];
      case 'exhausted':
        this.#unsentTime = undefined;
        return [];
      case 'grown':
        this.#unsentTime = Math.min(this.#unsentTime ?? now, now);
        return [];
      case 'snapshot-begun':
        this.#snapshot = { position: event.position, sent: false };
        return [];
      case 'snapshot-sent':
        if (this.#snapshot !== undefined) this.#snapshot.sent = true;
        return [];
      case 'compacted':
        return this.#resync(
          {
            code: 'retention-passed',
            text: `its position ${this.#place()} lies before what the journal keeps by now (from ${formatPosition(event.base)})`,
          },
          now,
        );
      case 'acknowledged':
        return this.#acknowledged(event, now);
      case 'resend':
        return this.#resend(event.after);
      case 'lost':
        return this.#lost(event, now);
    }
  }

  /** A far end could not be reached. */
  unreachable(explanation: string): void {
    this.#lastError = explanation;
  }

  #linked(now: number): PeerAction[] {
    this.#unlink();
    if (!LASTING.has(this.#state)) this.#become('probe', now);
    return [];
  }

  #decided(decision: Decision, position: ExactPosition, now: number): PeerAction[] {
    switch (decision.kind) {
      case 'replicate':
        this.#lastError = null;
        this.#applied = position;
        this.#durable = position;
        return [{ type: 'record', durable: position }, ...this.#replicate(decision.after, now), ...this.#takeEarly(now)];
      case 'snapshot':
        this.#lastError = null;
        this.#applied = position;
        this.#durable = position;
        return [{ type: 'keep', position }, ...this.#resync(decision.reason, now)];
      case 'refuse':
        return this.#refused(decision, position, now);
    }
  }

  #refused(refusal: Refusal, position: ExactPosition, now: number): PeerAction[] {
    this.#lastError = refusal.error.message;
    this.#applied = position;
    this.#durable = position;
    this.#become(refusal.state, now);
    const close: PeerAction = { type: 'close', reason: refusal.reason, explanation: refusal.error.message };
    return refusal.fence ? [{ type: 'fence', error: refusal.error }, close] : [close];
  }

  #replicate(after: ExactPosition, now: number): PeerAction[] {
    this.#sent = after;
    this.#snapshot = undefined;
    this.#become('replicate', now);
    return [{ type: 'read', after }];
  }

  #resync(reason: Reason, now: number): PeerAction[] {
    this.#inflight.clear();
    this.#sent = undefined;
    this.#snapshot = undefined;
    this.#snapshots += 1;
    this.#lastReason = reason.text;
    this.#become('snapshot', now);
    return [{ type: 'send-snapshot', reason }];
  }

  #acknowledged(event: Acknowledgement, now: number): PeerAction[] {
    const { applied, durable, stable } = event;
    if (this.#sent === undefined && this.#state !== 'snapshot') {
      this.#early = event;
      return [];
    }
    if (applied.revision > stable.revision || durable.revision > applied.revision) {
      return violation(
        `it acknowledges ${formatPosition(applied)} as applied and ${formatPosition(durable)} as durable, and this primary stands at ${formatPosition(stable)}`,
      );
    }
    if (!this.#inflight.acknowledge(applied, durable)) {
      return violation(`it acknowledges ${formatPosition(applied)} of epoch ${applied.epochId}, which this primary did not send`);
    }
    if (this.#state === 'snapshot') return this.#acknowledgedSnapshot(applied, durable, now);
    if (isFurther(applied, this.#applied)) {
      this.#applied = applied;
      this.#resends = 0;
    }
    if (!isFurther(durable, this.#durable)) return [];
    this.#durable = durable;
    return [{ type: 'record', durable }];
  }

  #takeEarly(now: number): PeerAction[] {
    const early = this.#early;
    this.#early = undefined;
    return early === undefined ? [] : this.#acknowledged(early, now);
  }

  /** What it acknowledges of its old place, while the snapshot is on its way, says nothing of the new one. */
  #acknowledgedSnapshot(applied: ExactPosition, durable: ExactPosition, now: number): PeerAction[] {
    const snapshot = this.#snapshot;
    if (snapshot === undefined || applied.revision < snapshot.position.revision) return [];
    if (!snapshot.sent || durable.revision < snapshot.position.revision || applied.epochId !== snapshot.position.epochId) {
      return violation(
        `it acknowledges ${formatPosition(applied)} before it holds the snapshot of ${formatPosition(snapshot.position)} durably`,
      );
    }
    this.#applied = applied;
    this.#durable = durable;
    return [{ type: 'record', durable }, ...this.#replicate(applied, now)];
  }

  #resend(after: ExactPosition): PeerAction[] {
    if (this.#state !== 'replicate') return [];
    if (this.#sent === undefined || after.revision > this.#sent.revision) {
      return violation(`it wants frames after ${formatPosition(after)}, beyond what it was sent`);
    }
    this.#resends += 1;
    if (this.#resends > this.#limits.resends) {
      return violation(`it wants frames after ${formatPosition(after)} for the ${this.#resends}th time without getting any further`);
    }
    // All of it is sent anew, so what was in flight before no longer says what is on its way.
    this.#inflight.clear();
    this.#sent = after;
    return [{ type: 'read', after }];
  }

  #lost(event: Extract<PeerEvent, { type: 'lost' }>, now: number): PeerAction[] {
    this.#unlink();
    if (!event.byPeer) {
      if (!LASTING.has(this.#state)) {
        this.#lastError = `${event.reason}: ${event.explanation}`;
        this.#become('offline', now);
      }
      return [];
    }
    this.#lastError = `${event.reason}: ${event.explanation}`;
    const refused = stateAfterRefusal(event.reason);
    if (refused !== 'offline' || !LASTING.has(this.#state)) this.#become(refused, now);
    if (event.reason !== 'fenced') return [];
    return [{ type: 'fence', error: new EvertreeError('FENCED', `a secondary closed the link as fenced: ${event.explanation}`) }];
  }

  #unlink(): void {
    this.#unsentTime = this.oldestTime;
    this.#inflight.clear();
    this.#sent = undefined;
    this.#snapshot = undefined;
    this.#early = undefined;
    this.#resends = 0;
  }

  #become(state: PeerState, now: number): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = now;
  }

  #place(): string {
    return this.#applied === undefined ? '(unknown)' : formatPosition(this.#applied);
  }
}

/** What a far end that closed for this reason is from then on. */
export function stateAfterRefusal(reason: CloseReason): PeerState {
  switch (reason) {
    case 'fenced':
      return 'fenced';
    case 'stream-mismatch':
    case 'history-mismatch':
      return 'diverged';
    case 'quarantined':
      return 'quarantined';
    default:
      return 'offline';
  }
}

function isFurther(position: ExactPosition, than: ExactPosition | undefined): boolean {
  return than === undefined || position.revision > than.revision;
}

function violation(explanation: string): PeerAction[] {
  return [{ type: 'close', reason: 'protocol-violation', explanation }];
}
