import { EvertreeError, readFrameHeader } from '@evertree/core';
import type { CloseReason, ExactPosition, FrameHeader, Message } from '@evertree/core';
import type { Closing } from '../control.ts';
import type { PublishAction, PublishEvent } from './actions.ts';
import { Announcement } from './announcement.ts';
import { ControlTopic } from './control-topic.ts';
import type { Rival } from './control-topic.ts';
import { ForeignRecords } from './foreign-records.ts';
import type { LinkMemory } from './link-memory.ts';
import { Pulse } from './pulse.ts';
import type { PublisherSettings } from './settings.ts';
import { tellTail, topicHello } from './tail.ts';
import { TopicSnapshots } from './topic-snapshots.ts';
import type { OpenedTopics } from './topic-connection.ts';
import { TopicOutbox } from './topic-outbox.ts';

type BrokerAnswer = Extract<PublishEvent, { readonly type: 'stored' | 'read' | 'control' | 'watermarks' }>;

/** How long a closing link may take to send what waits, and its `closing` record. */
const FAREWELL_MS = 800;
const ID_BYTES = 8;
const NOTHING: readonly PublishAction[] = Object.freeze([]);

/**
 * A primary's link to a topic, as a reducer: events in, actions out (as etcd's raft does it). It does no input or
 * output, and time is an argument: `now` is milliseconds on the monotonic clock. When it can't know what the topic
 * holds, it ends the link; the next link reads the topic's end again.
 */
export class PrimaryEnd {
  readonly #settings: PublisherSettings;
  readonly #memory: LinkMemory;
  readonly #opened: OpenedTopics;
  readonly #outbox: TopicOutbox;
  readonly #pulse: Pulse;
  readonly #control: ControlTopic;
  readonly #foreign: ForeignRecords;
  readonly #snapshots: TopicSnapshots;
  /** Undefined until the producer has said hello: nothing can be said of this primary before. */
  #announcement: Announcement | undefined;
  /** The producer has the topic's hello: frames go out, and it may hear of the secondaries. */
  #isOpen = false;
  /** Set once. From then on only what waits already is sent, and nothing is handed up. */
  #ending: Closing | undefined;
  #isOver = false;
  /** A primary of a higher epoch writes here. */
  #isOutranked = false;
  /** While the link closes: the time up to which it waits for the broker. */
  #farewellUntil = Infinity;
  #isFarewellSaid = false;
  #actions: PublishAction[] = [];

  constructor(settings: PublisherSettings, opened: OpenedTopics, memory: LinkMemory, now: number) {
    const { facts, search, control } = opened;
    this.#settings = settings;
    this.#opened = opened;
    this.#memory = memory;
    this.#outbox = new TopicOutbox(settings, facts.messageBytes, memory.drawSign(), search.end);
    this.#pulse = new Pulse(settings.limits.heartbeatMs, now);
    this.#control = new ControlTopic(settings, memory, control, now);
    this.#foreign = new ForeignRecords(settings.topic, memory, ({ last }) => !this.#isSuperseded(last));
    this.#snapshots = new TopicSnapshots(settings, facts, memory);
  }

  get writable(): boolean {
    return this.#outbox.isWritable && this.#ending === undefined;
  }

  /** When `time` is the next event, on the monotonic clock; Infinity when the link is over. */
  get wakeAt(): number {
    if (this.#isOver) return Infinity;
    if (this.#ending !== undefined) return Math.min(this.#outbox.wakeAt, this.#farewellUntil);
    return Math.min(this.#outbox.wakeAt, this.#pulse.lookAt, this.#control.fetchAt, this.#snapshots.lookAt);
  }

  /** @throws EvertreeError PROTOCOL_VIOLATION for a message that no primary sends */
  step(event: PublishEvent, now: number): readonly PublishAction[] {
    if (!this.#isOver) this.#step(event, now);
    if (this.#actions.length === 0) return NOTHING;
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #step(event: PublishEvent, now: number): void {
    switch (event.type) {
      case 'sent':
        return this.#send(event.message, now);
      case 'closed':
        return this.#close(event, now);
      case 'failed':
        return this.#abort('lost', event.error.message);
      case 'time':
        return this.#wake(now);
      case 'not-deleted':
        return this.#snapshots.tellKept(event.error.message);
      default:
        this.#pulse.answered();
        return this.#answered(event, now);
    }
  }

  #answered(event: BrokerAnswer, now: number): void {
    if (event.type === 'stored') return event.lane === 'frames' ? this.#storedFrames(event.offset, now) : this.#storedBeside(event, now);
    // A link that closes waits for what it has sent, and for nothing else.
    if (this.#ending !== undefined) return;
    if (event.type === 'read') return this.#read(event, now);
    if (event.type === 'control') return this.#sawControl(event, now);
    this.#sawWatermarks(event, now);
  }

  // What the producer sends

  #send(message: Message, now: number): void {
    if (this.#ending !== undefined) return;
    const { bufferedBytes } = this.#settings.limits;
    const { waitingBytes } = this.#outbox;
    if (waitingBytes > bufferedBytes) {
      return this.#abort('too-large', `${waitingBytes} bytes wait for ${this.#settings.remote}; the limit is ${bufferedBytes}`);
    }
    this.#carry(message, now);
  }

  #carry(message: Message, now: number): void {
    switch (message.type) {
      case 'hello':
        this.#announcement = new Announcement(message.hello);
        return this.#findEnd(now);
      case 'frame': {
        const header = message.parsed?.header ?? readFrameHeader(message.bytes);
        if (this.#announcement?.sent(header, message.bytes) === false) return;
        this.#snapshots.count(message.bytes);
        return this.#outbox.addFrame(header, message.bytes, now);
      }
      case 'snapshot-begin':
        return this.#beginSnapshot(message, now);
      case 'snapshot-chunk':
        return this.#outbox.addChunk(message.bytes, now);
      case 'snapshot-end':
        return this.#outbox.endSnapshot(message.chunks, now);
      case 'forget':
        this.#control.forget(message.site);
        for (const kind of ['site', 'position', 'want', 'role'] as const) this.#outbox.tell({ kind, site: message.site, value: null }, now);
        return;
      case 'role':
        return this.#outbox.tell(
          { kind: 'role', site: message.to, value: { from: message.from, to: message.to, message: message.message } },
          now,
        );
      default:
        throw new EvertreeError('PROTOCOL_VIOLATION', `a primary sends no ${message.type} to a topic`);
    }
  }

  #beginSnapshot({ header, reason, request }: Message & { type: 'snapshot-begin' }, now: number): void {
    this.#snapshots.begun(request, now);
    const id = Buffer.from(this.#settings.random.bytes(ID_BYTES)).toString('hex');
    this.#outbox.beginSnapshot({ id, header, reason, answersRequest: request !== undefined }, now);
  }

  /** Sends what waits, writes a `closing` record, and ends; within FAREWELL_MS. */
  #close({ reason, explanation }: Closing, now: number): void {
    if (this.#ending !== undefined) return;
    this.#ending = { reason, explanation };
    this.#farewellUntil = now + FAREWELL_MS;
    this.#sayFarewell(now);
  }

  // Where the topic ends, and what it says to the producer

  #findEnd(now: number): void {
    const { search } = this.#opened;
    const stream = this.#announcement!.hello.stream;
    // A primary without a commit has no stream: any frame belongs to another one.
    const last = search.of(stream).last ?? (stream === null ? search.any : undefined);
    // A promotion left behind what the topic ends with: this primary goes on from the end of its own history there.
    if (last !== undefined && this.#isSuperseded(last.last) && search.limit(({ last: end }) => !this.#isSuperseded(end))) {
      return this.#do({ type: 'read', task: 'tail', from: search.from, to: search.end });
    }
    if (last === undefined && search.stepBack()) this.#do({ type: 'read', task: 'tail', from: search.from, to: search.end });
    else this.#open(last ?? search.any, now);
  }

  #open(found: FrameHeader | undefined, now: number): void {
    const ours = this.#announcement!.hello;
    const hello = topicHello(this.#settings.farEnd.name, found);
    tellTail(this.#opened.search.of(ours.stream), this.#settings, this.#memory);
    this.#isOpen = true;
    this.#outbox.open(hello.position.revision);
    this.#announcement!.met(hello);
    this.#tellPrimary(now);
    this.#hand({ type: 'hello', hello });
    this.#handNews(this.#control.start(now), now);
  }

  #read(event: BrokerAnswer & { type: 'read' }, now: number): void {
    const { task, records, done } = event;
    for (const { value } of records) this.#snapshots.count(value);
    switch (task) {
      case 'tail':
        this.#opened.search.take(records);
        if (done) this.#findEnd(now);
        return;
      case 'between':
        if (this.#foreign.take(event, records, done)) this.#foundForeign();
        return;
      case 'beginning':
        this.#snapshots.sawBeginning(records);
        return this.#judgeSnapshots(now);
    }
  }

  // What the broker has taken

  #storedFrames(offset: bigint, now: number): void {
    const { expected, last } = this.#outbox.storedFrames(offset);
    if (offset < expected) return this.#abortAsCut(`its next record got the offset ${offset}, and ${expected} were there`);
    if (offset > expected) this.#lookBetween(expected, offset);
    if (last !== undefined) this.#acknowledge(last);
    this.#drain(now);
  }

  #storedBeside({ offset, time }: BrokerAnswer & { type: 'stored' }, now: number): void {
    const announced = this.#outbox.storedBeside(offset, now);
    if (announced !== undefined && this.#ending === undefined) {
      const { record, snapshot } = announced;
      if (!snapshot.begun.answersRequest) this.#acknowledge(record.header.position);
      this.#do({ type: 'delete-snapshots', before: this.#snapshots.finished(record, now, time) });
    }
    this.#drain(now);
  }

  #acknowledge(position: ExactPosition): void {
    const message: Message = { type: 'acknowledge', site: this.#settings.farEnd.name, applied: position, durable: position };
    if (this.#ending === undefined) this.#do({ type: 'hand', message, accepted: true });
  }

  // What others write

  #lookBetween(from: bigint, to: bigint): void {
    if (this.#ending !== undefined) return;
    if (ForeignRecords.areFew(from, to)) return this.#do({ type: 'read', task: 'between', from, to });
    this.#foreign.tell(from, to, true);
    this.#foundForeign();
  }

  #foundForeign(): void {
    this.#abort('lost', `another writer put frames into the topic ${this.#settings.topic}; its end is read again`);
  }

  #sawControl({ records, next }: BrokerAnswer & { type: 'control' }, now: number): void {
    const { messages, snapshots, rivals, wants } = this.#control.fetched(records, next, now);
    for (const { record, time } of snapshots) if (!this.#isSuperseded(record.header.position)) this.#snapshots.announced(record, time);
    this.#handNews(messages, now);
    for (const rival of rivals) if (!this.#isOver) this.#meet(rival);
    if (wants && !this.#isOver) this.#lookAtWatermarks();
  }

  /** A primary of a higher epoch ends this one's reign: nothing more is written here. */
  #meet({ hello, from, isLive }: Rival): void {
    const fence = this.#announcement?.outrankedBy(hello, this.#settings.topics.control);
    this.#isOutranked = fence !== undefined;
    if (fence !== undefined) return this.#abort('fenced', fence);
    if (isLive && hello.epochs.at(-1)?.end === undefined) this.#control.tellSecondPrimary({ hello, from, isLive });
  }

  #handNews(messages: readonly Message[], now: number): void {
    for (const message of messages) this.#hand(message);
    if (this.#control.isHistoryTold) this.#snapshots.start(now);
  }

  // Whether a snapshot is due

  #lookAtWatermarks(): void {
    if (this.#snapshots.look(this.#outbox.next)) this.#do({ type: 'ask-watermarks' });
  }

  #sawWatermarks({ found, time }: BrokerAnswer & { type: 'watermarks' }, now: number): void {
    const expected = this.#snapshots.saw(found, time);
    if (expected !== undefined) return this.#abortAsCut(`it ends at ${found.high}, and ${expected} records were there`);
    const low = this.#snapshots.unknownBeginning(this.#stream);
    if (low === undefined) this.#judgeSnapshots(now);
    else this.#do({ type: 'read', task: 'beginning', from: low, to: low + 1n });
  }

  #judgeSnapshots(now: number): void {
    const surroundings = { stream: this.#stream, wants: this.#control.wants };
    const request = this.#snapshots.judge(surroundings, this.#outbox.hasSnapshot, now);
    if (request !== undefined) this.#hand({ type: 'snapshot-wanted', ...request });
  }

  // What time brings

  #wake(now: number): void {
    if (this.#outbox.lateAt <= now) {
      return this.#abort('silent', `${this.#settings.remote} took longer than ${this.#settings.sendMs} ms for an answer`);
    }
    if (this.#ending !== undefined) return this.#sayFarewell(now);
    if (this.#pulse.lookAt <= now) this.#look(now);
    if (this.#isOver) return;
    if (this.#control.fetchAt <= now) this.#do({ type: 'fetch-control', ...this.#control.fetch(now) });
    if (this.#snapshots.lookAt <= now) this.#lookAtWatermarks();
    this.#produce(now);
  }

  #produce(now: number): void {
    this.#actions.push(...this.#outbox.cut(now));
  }

  #look(now: number): void {
    const found = this.#pulse.look(now);
    if (found === 'silent') return this.#abort('silent', `nothing was heard from ${this.#settings.remote} for three heartbeats`);
    if (this.#isOpen) this.#handNews(this.#control.lapse(), now);
    if (found === 'beat') this.#tellPrimary(now);
  }

  #tellPrimary(now: number, closing?: Closing): void {
    const record = this.#announcement?.record(this.#settings, closing);
    if (record !== undefined) this.#outbox.tell({ kind: 'primary', value: record }, now);
  }

  /** Sends the frames that wait, then the `closing` record, then ends the link. */
  #sayFarewell(now: number): void {
    if (now >= this.#farewellUntil) {
      const { remote, report } = this.#settings;
      const message = `${remote} was left without a closing record: it did not answer within ${FAREWELL_MS} ms`;
      report({ level: 'debug', event: 'no-farewell', message });
      return this.#finish();
    }
    if (this.#outbox.areFramesIdle && !this.#isFarewellSaid) {
      this.#isFarewellSaid = true;
      this.#tellPrimary(now, this.#ending);
    }
    if (this.#isFarewellSaid && this.#outbox.isBesideIdle) this.#finish();
    else this.#produce(now);
  }

  #abortAsCut(why: string): void {
    this.#abort('lost', `the topic ${this.#settings.topic} was cut short or made anew: ${why}`);
  }

  /** Ends without a `closing` record: the broker does not answer. */
  #abort(reason: CloseReason, explanation: string): void {
    this.#ending ??= { reason, explanation };
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#do({ type: 'end', ...(this.#ending ?? { reason: 'lost', explanation: '' }), byPeer: this.#isOutranked });
  }

  #drain(now: number): void {
    if (this.#ending !== undefined && !this.#isOver) return this.#sayFarewell(now);
    if (!this.#isOver && this.#outbox.drained()) this.#do({ type: 'drained' });
  }

  #hand(message: Message): void {
    this.#do({ type: 'hand', message });
  }

  #do(action: PublishAction): void {
    this.#actions.push(action);
  }

  #isSuperseded(position: ExactPosition): boolean {
    return this.#announcement?.isSuperseded(position) === true;
  }

  get #stream(): string | null {
    return this.#announcement?.hello.stream ?? null;
  }
}
