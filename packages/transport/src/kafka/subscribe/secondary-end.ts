import type { SentRecord } from '../records.ts';
import type { TopicClaims } from '../claims/topic-claims.ts';
import type { NewestTable } from '../newest-table.ts';
import type { HeardPrimary } from './control-view.ts';
import type { SubscribeAction, SubscribeEvent } from './actions.ts';
import { OffsetMarks } from './offset-marks.ts';
import { SiteRecords } from './site-records.ts';
import { TopicReading } from './topic-reading.ts';
import type { LinkBeginning } from './topic-reading.ts';
import type { SubscriberSettings } from './settings.ts';

/** 16 hex digits, drawn for each link; its records in `.control` bear them. */
const FROM_BYTES = 8;
const NOTHING: readonly SubscribeAction[] = Object.freeze([]);
const DRAINED: readonly SubscribeAction[] = Object.freeze<SubscribeAction[]>([{ type: 'drained' }]);

/**
 * The secondary's end of one link through a topic: events in, actions out. It decides what is read, what is told in
 * `.control`, which offset is committed, and when the link ends. It does no input or output, and time is an argument.
 *
 * Requests (actions.ts) are answered one at a time. Every other event may come at any moment. It leads to no
 * request, and what it says is considered at the next answer.
 */
export class SecondaryEnd {
  readonly #settings: SubscriberSettings;
  readonly #beginning: LinkBeginning;
  readonly #records: SiteRecords;
  readonly #marks = new OffsetMarks();
  readonly #reading: TopicReading;
  /** The revision of the site's hello. */
  #beganAt = Infinity;
  /** Whether the site has applied something beyond that revision. */
  #carried = false;

  constructor(settings: SubscriberSettings, beginning: LinkBeginning) {
    this.#settings = settings;
    this.#beginning = beginning;
    this.#records = new SiteRecords(settings, Buffer.from(settings.random.bytes(FROM_BYTES)).toString('hex'));
    this.#reading = new TopicReading(settings.topic, beginning, this.#records, this.#marks);
  }

  /** The stream that is wanted; null: any. */
  get stream(): string | null {
    return this.#reading.stream;
  }

  /** What was superseded, as far as is known; what a frame of the topic says of it is told to it by who reads. */
  get table(): NewestTable {
    return this.#reading.table;
  }

  /** Which reigns stand in the topic, as far as is known; what the topic's records say of it is told to it by who reads. */
  get claims(): TopicClaims {
    return this.#reading.claims;
  }

  /** Whether nothing is left to read: then silence means that the primary is silent. */
  get caughtUp(): boolean {
    return this.#reading.caughtUp;
  }

  /** Whether the broker takes what this site tells. */
  get accepting(): boolean {
    return this.#records.accepting;
  }

  /** Whether the site applied something that came over the link. */
  get carried(): boolean {
    return this.#carried;
  }

  /** @param now on the monotonic clock */
  step(event: SubscribeEvent, now: number): readonly SubscribeAction[] {
    const actions = this.#take(event, now);
    const send = this.#records.next(now);
    if (send === undefined) return actions;
    return actions.length === 0 ? [send] : [send, ...actions];
  }

  /** For a link that is over: the records that were not sent or failed, to be sent once more. */
  lastRecords(): readonly SentRecord[] {
    return this.#records.takeAll();
  }

  #take(event: SubscribeEvent, now: number): readonly SubscribeAction[] {
    switch (event.type) {
      case 'greeted':
        this.#beganAt = event.hello.position.revision;
        this.#records.greet(event.hello, this.#settings.limits.heartbeatMs);
        return this.#reading.begin(event.hello, event.resume);
      case 'acknowledged':
        this.#carried ||= event.applied.revision > this.#beganAt;
        this.#marks.durable(event.durable);
        this.#records.tellPositions({ applied: event.applied, durable: event.durable });
        return NOTHING;
      case 'said':
        this.#records.tellRole(event.role);
        return NOTHING;
      case 'resend':
        this.#reading.resend(event.after);
        return NOTHING;
      case 'heard':
        return this.#heard(event.primary);
      case 'claimed':
        this.#reading.claimed(event.claim);
        return NOTHING;
      case 'announced':
        this.#reading.announced(event.snapshot);
        return NOTHING;
      case 'beat':
        this.#records.beat();
        return NOTHING;
      case 'silent': {
        const explanation = `${this.#beginning.primary.record.hello.site} was not heard for three of its heartbeats`;
        return [{ type: 'end', reason: 'silent', explanation, byPeer: false }];
      }
      case 'closed':
        this.#records.tellSite({ closing: { reason: event.reason, explanation: event.explanation } });
        return NOTHING;
      case 'sent':
        return this.#records.sent() ? DRAINED : NOTHING;
      case 'send-failed':
        this.#records.failed(now);
        return NOTHING;
      case 'send-due':
        this.#records.waited();
        return NOTHING;
      case 'commit-due': {
        const offset = this.#marks.due();
        return offset === undefined ? NOTHING : [{ type: 'commit', offset }];
      }
      case 'committed':
        this.#marks.committed(event.offset);
        return NOTHING;
      case 'commit-failed':
        return this.#marks.failed() ? [this.#reportNoCommit(event.why)] : NOTHING;
      default:
        return this.#reading.step(event, now);
    }
  }

  #heard(primary: HeardPrimary): readonly SubscribeAction[] {
    this.#reading.heard(primary);
    if (primary.from === this.#beginning.primary.from) return NOTHING;
    const { site } = primary.record.hello;
    const explanation = site === this.#beginning.primary.record.hello.site ? `${site} began anew` : `${site} leads now`;
    return [{ type: 'end', reason: 'replaced', explanation, byPeer: true }];
  }

  #reportNoCommit(why: string): SubscribeAction {
    const { groupId, site } = this.#settings;
    const group = `${groupId}.${site}`;
    const message = `the offset for dashboards could not be committed in the group ${group}, which disturbs nothing else: ${why}`;
    return { type: 'report', report: { level: 'debug', event: 'offset-not-committed', message, details: { group } } };
  }
}
