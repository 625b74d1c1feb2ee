import { EvertreeError, covers, explainFence, fencingIn, formatPosition } from '@evertree/core';
import type { ExactPosition, Reason } from '@evertree/core';
import { refuseAcknowledged } from './decision.ts';
import type { Decision, RefuseDecision, WaitDecision } from './decision.ts';
import type { ProducerLimits } from './limits.ts';
import { Outgoing } from './outgoing.ts';
import type { AcknowledgedEvent, PeerAction, PeerEvent } from './peer-event.ts';
import { stateAfterRefusal } from './status.ts';
import type { PeerState } from './status.ts';
import { exactly, isFurther, violation } from './violation.ts';

/** States that outlive the link: a new one changes them only when its hello led to something better. */
const LASTING: ReadonlySet<PeerState> = new Set(['fenced', 'diverged', 'quarantined']);

/**
 * The primary's view of one secondary: offline → probe → replicate → (snapshot) → replicate. It does no input or
 * output, and time is an argument: the loop around it feeds it events and carries out the actions it answers with (as
 * etcd's raft does with Progress).
 *
 * A secondary gets its frames over a link of its own, or reads them from a log. To one that reads from a log nothing is
 * sent, and its link is not ours to close: a refusal changes its state only.
 */
export class Progress {
  readonly #site: string;
  readonly #limits: ProducerLimits;
  readonly #outgoing: Outgoing;
  /** It reads from a log, and has no link of its own. Then nothing is in flight, and no snapshot goes out. */
  #readsLog = false;
  #state: PeerState = 'offline';
  /** When it came into its state; milliseconds since 1970. */
  #since: number;
  /** The last position that it said it has applied, perhaps in another history; undefined until it said one. */
  #applied: ExactPosition | undefined;
  /** The same, of what is durable there. Never beyond `#applied` where both lie in our history. */
  #durable: ExactPosition | undefined;
  /** What it acknowledged before we knew that its history is ours. Undefined once that is decided. */
  #early: AcknowledgedEvent | undefined;
  /** How often it asked for frames again since it last got further. */
  #resends = 0;
  #resyncs = 0;
  #lastReason: string | null = null;
  #lastError: string | null = null;
  /**
   * Where its history parted from ours: it is to go back there. Until it says that it has, its acknowledgements say
   * nothing; but one that reads from a log shows it by a position of ours behind the fork. Undefined: it need not.
   */
  #returnsTo: ExactPosition | undefined;
  /** As its hello says: it can take history that is not kept here from elsewhere. */
  #catchesUp = false;
  /**
   * Where it stood at the latest when it was told that the history begins behind that. Set until it says where it
   * stands by then, or its link ends; nothing is sent to it meanwhile.
   */
  #offeredAt: ExactPosition | undefined;

  /**
   * @param site its name, for reasons
   * @param durable what is known of it from before this process
   * @param now milliseconds since 1970
   */
  constructor(site: string, limits: ProducerLimits, durable: ExactPosition | undefined, now: number) {
    this.#site = site;
    this.#limits = limits;
    this.#outgoing = new Outgoing(limits);
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

  /** Whether it is waited for to go back; then `resend` says that it has, and is to be decided upon. */
  get awaitsReturn(): boolean {
    return this.#returnsTo !== undefined && !this.#readsLog;
  }

  /** Where it stood when it was told that the history begins further on; undefined while no answer to that is due. */
  get offeredAt(): ExactPosition | undefined {
    return this.#offeredAt;
  }

  get resyncs(): { readonly count: number; readonly lastReason: string | null } {
    return { count: this.#resyncs, lastReason: this.#lastReason };
  }

  /** It has a link, or was heard in a log and not lost since, and nothing lasting stands against it. */
  get takesPart(): boolean {
    return this.#state !== 'offline' && !LASTING.has(this.#state);
  }

  /** Commit time of the oldest change set that the peer does not hold durably, milliseconds since 1970. */
  get oldestTime(): number | undefined {
    return this.#outgoing.oldestTime;
  }

  /** Whether another frame may be sent now. */
  get hasRoom(): boolean {
    return this.#outgoing.hasRoom;
  }

  step(event: PeerEvent, now: number): PeerAction[] {
    switch (event.type) {
      case 'linked':
        return this.#linked(event.catchesUp, now);
      case 'heard':
        return this.#heard(event.position, event.present, now);
      case 'decided':
        return this.#decided(event.decision, event.position, now);
      case 'sent':
        this.#outgoing.sent(event);
        return [];
      case 'exhausted':
        this.#outgoing.hasNothingUnsent();
        return [];
      case 'grown':
        this.#outgoing.hasUnsent(now);
        return [];
      case 'recalled':
        this.#outgoing.hasUnsent(event.time);
        return [];
      case 'snapshot-begun':
        this.#outgoing.beginSnapshot(event.position);
        return [];
      case 'snapshot-sent':
        this.#outgoing.endSnapshot();
        return [];
      case 'resyncing':
        this.#countResync(event.reason, now);
        return [];
      case 'compacted':
        return this.#compacted(event.base, now);
      case 'acknowledged':
        return this.#acknowledged(event, now);
      case 'resend':
        return this.#resend(event);
      case 'lost':
        return this.#lost(event, now);
      case 'unreachable':
        this.#lastError = event.explanation;
        return [];
    }
  }

  #linked(catchesUp: boolean, now: number): PeerAction[] {
    this.#unlink();
    this.#catchesUp = catchesUp;
    this.#readsLog = false;
    if (!LASTING.has(this.#state)) this.#become('probe', now);
    return [];
  }

  #heard(position: ExactPosition, present: boolean, now: number): PeerAction[] {
    this.#unlink();
    this.#readsLog = true;
    this.#applied = position;
    this.#durable = position;
    this.#outgoing.hasNothingUnsent();
    if (present && !LASTING.has(this.#state)) this.#become('probe', now);
    return [];
  }

  #decided(decision: Decision, position: ExactPosition, now: number): PeerAction[] {
    // The answer to an offer says what is applied there: only acknowledgements say what is durable.
    const saysDurable = this.#offeredAt === undefined && (!this.#readsLog || decision.kind === 'refuse' || decision.kind === 'wait');
    if (saysDurable) this.#applied = this.#durable = position;
    const durable = this.#durable ?? position;
    this.#returnsTo = undefined;
    this.#offeredAt = undefined;
    if (decision.kind === 'refuse') return this.#refused(decision, now);
    if (decision.kind === 'wait') return this.#waitFor(decision, position, now);
    this.#lastError = null;
    if (this.#readsLog) return this.#follow(position, now);
    const { kind } = decision;
    if (kind === 'offer') return [{ type: 'keep', position: durable }, ...this.#offer(decision.base, decision.reason, position, now)];
    if (kind === 'snapshot') return [{ type: 'keep', position: durable }, ...this.#resync(decision.reason, now)];
    return [{ type: 'record', durable }, ...this.#replicate(decision.after, now), ...this.#takeEarly(now)];
  }

  #refused(refused: RefuseDecision, now: number): PeerAction[] {
    const { reason, error, fence } = refused;
    this.#early = undefined;
    this.#lastError = error.message;
    this.#become(refused.state, now);
    const actions: PeerAction[] = fence === undefined ? [] : [{ type: 'fence', fence }];
    const explanation = fence?.epoch === undefined ? error.message : explainFence(fence.epoch, error.message);
    if (!this.#readsLog) actions.push({ type: 'close', reason, explanation });
    return actions;
  }

  /** What follows the fork is kept for it: a lease on a position of another history asks for that. */
  #waitFor({ error, fork }: WaitDecision, position: ExactPosition, now: number): PeerAction[] {
    this.#early = undefined;
    this.#lastError = error.message;
    this.#returnsTo = fork;
    this.#become('diverged', now);
    return [{ type: 'keep', position }];
  }

  #replicate(after: ExactPosition, now: number): PeerAction[] {
    this.#outgoing.beginFrames(after);
    this.#become('replicate', now);
    return [{ type: 'read', after }];
  }

  /** It reads from a log, and its history is ours. It may have said meanwhile that it takes a snapshot from the log. */
  #follow(position: ExactPosition, now: number): PeerAction[] {
    if (this.#state !== 'snapshot') this.#become('replicate', now);
    return [{ type: 'record', durable: this.#durable ?? position }, ...this.#takeEarly(now)];
  }

  #compacted(base: ExactPosition, now: number): PeerAction[] {
    const text = `${this.#site}'s position ${this.#applied === undefined ? '(unknown)' : formatPosition(this.#applied)} lies before what the primary's journal keeps by now (from ${formatPosition(base)})`;
    const reason: Reason = { code: 'retention-passed', text };
    const { sentTo } = this.#outgoing;
    return this.#catchesUp && sentTo !== undefined ? this.#offer(base, reason, sentTo, now) : this.#resync(reason, now);
  }

  /** @param at where it stands at the latest once it has all that was sent */
  #offer(base: ExactPosition, reason: Reason, at: ExactPosition, now: number): PeerAction[] {
    this.#outgoing.stop();
    this.#offeredAt = at;
    this.#lastError = `${reason.text}. It is waited for: it takes what lies before that from elsewhere, if it can`;
    this.#become('probe', now);
    return [{ type: 'tell-beginning', base, reason }];
  }

  #resync(reason: Reason, now: number): PeerAction[] {
    this.#outgoing.stop();
    this.#countResync(reason, now);
    return [{ type: 'send-snapshot', reason }];
  }

  #countResync(reason: Reason, now: number): void {
    this.#resyncs += 1;
    this.#lastReason = reason.text;
    this.#become('snapshot', now);
  }

  #acknowledged(event: AcknowledgedEvent, now: number): PeerAction[] {
    const { applied, durable, ours } = event;
    if (this.awaitsReturn) return [];
    if (this.#isUndecided) {
      this.#early = event;
      return [];
    }
    // Until the snapshot has arrived it acknowledges positions of the history that the snapshot replaces.
    if (this.#state === 'snapshot' && !this.#readsLog && !covers(ours, applied)) return [];
    if (!covers(ours, applied) || !covers(ours, durable) || durable.revision > applied.revision) return this.#denied(event, now);
    // Both lie in our history from here on, where revisions compare.
    // One that reads from a log says nothing when a snapshot took the place of its history.
    if (this.#returnsTo !== undefined && durable.revision > this.#returnsTo.revision) {
      this.#returnsTo = undefined;
      this.#lastError = null;
      this.#become('replicate', now);
    }
    if (LASTING.has(this.#state)) {
      this.#applied = applied;
      this.#durable = durable;
      return [];
    }
    this.#outgoing.acknowledge(applied.revision, durable.revision);
    if (this.#state === 'snapshot' && !this.#readsLog) return this.#acknowledgedSnapshot(applied, durable, now);
    if (this.#state === 'offline') {
      this.#lastError = null;
      this.#become('replicate', now);
    }
    return this.#advance(event);
  }

  /**
   * Whether it is not known yet if its history is ours. One that reads from a log may acknowledge without a new hello
   * after it was away; its history was found to be ours before.
   */
  get #isUndecided(): boolean {
    if (this.#readsLog) return this.#state === 'probe';
    return this.#outgoing.sentTo === undefined && this.#state !== 'snapshot' && this.#offeredAt === undefined;
  }

  #advance({ applied, durable, ours }: AcknowledgedEvent): PeerAction[] {
    if (isFurther(applied, this.#applied, ours)) {
      this.#applied = applied;
      this.#resends = 0;
    }
    if (!isFurther(durable, this.#durable, ours)) return [];
    this.#durable = durable;
    return [{ type: 'record', durable }];
  }

  #denied({ applied, durable, ours }: AcknowledgedEvent, now: number): PeerAction[] {
    const told = `it acknowledges ${exactly(applied)} as applied and ${exactly(durable)} as durable`;
    const explanation = `${told}, and this primary stands at ${exactly(ours.last)}`;
    if (!this.#readsLog) return violation(explanation);
    const refused = refuseAcknowledged(ours, this.#site, applied, this.#state === 'replicate');
    if (refused !== undefined) return this.#refused(refused, now);
    this.#lastError = `${explanation}: their histories part`;
    this.#become('diverged', now);
    return [];
  }

  #takeEarly(now: number): PeerAction[] {
    const early = this.#early;
    this.#early = undefined;
    return early === undefined ? [] : this.#acknowledged(early, now);
  }

  #acknowledgedSnapshot(applied: ExactPosition, durable: ExactPosition, now: number): PeerAction[] {
    const { snapshot } = this.#outgoing;
    if (snapshot === undefined || applied.revision < snapshot.position.revision) return [];
    const isHeld = snapshot.sent && durable.revision >= snapshot.position.revision;
    const held = `the snapshot of ${formatPosition(snapshot.position)}`;
    if (!isHeld) return violation(`it acknowledges ${formatPosition(applied)} before it holds ${held} durably`);
    this.#applied = applied;
    this.#durable = durable;
    return [{ type: 'record', durable }, ...this.#replicate(applied, now)];
  }

  #resend({ after, ours }: Extract<PeerEvent, { type: 'resend' }>): PeerAction[] {
    const { sentTo } = this.#outgoing;
    if (sentTo === undefined) return [];
    if (!covers(ours, after) || after.revision > sentTo.revision) {
      return violation(`it wants frames after ${exactly(after)}, beyond what it was sent`);
    }
    this.#resends += 1;
    if (this.#resends > this.#limits.resends) {
      return violation(`it wants frames after ${formatPosition(after)} for the ${this.#resends}th time without getting any further`);
    }
    this.#outgoing.beginFrames(after);
    return [{ type: 'read', after }];
  }

  #lost(event: Extract<PeerEvent, { type: 'lost' }>, now: number): PeerAction[] {
    this.#unlink();
    const state = event.byPeer ? stateAfterRefusal(event.reason) : 'offline';
    // A fence that its hello led to says more, and is recorded.
    if ((state === 'offline' && LASTING.has(this.#state)) || (state === 'fenced' && this.#state === 'fenced')) return [];
    this.#lastError = `${event.reason}: ${event.explanation}`;
    this.#become(state, now);
    if (state !== 'fenced') return [];
    const error = new EvertreeError('FENCED', `a secondary closed the link as fenced: ${event.explanation}`);
    return [{ type: 'fence', fence: { epoch: fencingIn(event.explanation), error } }];
  }

  #unlink(): void {
    this.#outgoing.unlink();
    this.#early = undefined;
    this.#resends = 0;
    this.#returnsTo = undefined;
    this.#offeredAt = undefined;
  }

  #become(state: PeerState, now: number): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = now;
  }
}
