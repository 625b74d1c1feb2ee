import { EvertreeError, readFrameHeader } from '@evertree/core';
import type { CloseReason, ExactPosition, FrameHeader, Message } from '@evertree/core';
import type { Closing } from '../control.ts';
import type { PublishAction, PublishEvent } from './actions.ts';
import { Announcement } from './announcement.ts';
import { ControlTopic } from './control-topic.ts';
import type { Rival } from './control-topic.ts';
import { LinkEnd } from './link-end.ts';
import type { LinkMemory } from './link-memory.ts';
import { Pulse } from './pulse.ts';
import type { PublisherSettings } from './settings.ts';
import { topicHello } from './tail.ts';
import { TopicOrder } from './topic-order.ts';
import type { OrderBreak } from './topic-order.ts';
import { TopicSnapshots } from './topic-snapshots.ts';
import type { Surroundings } from './topic-snapshots.ts';
import type { OpenedTopics } from './topic-connection.ts';
import { TopicOutbox } from './topic-outbox.ts';

type BrokerAnswer = Extract<PublishEvent, { readonly type: 'stored' | 'read' | 'watched' | 'control' | 'watermarks' }>;

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
  readonly #snapshots: TopicSnapshots;
  /** Undefined until the producer has said hello: nothing can be said of this primary before. */
  #announcement: Announcement | undefined;
  /** Set with `#announcement`. */
  #order: TopicOrder | undefined;
  /** The producer has the topic's hello: frames go out, and it may hear of the secondaries. */
  #isOpen = false;
  readonly #end: LinkEnd;
  #actions: PublishAction[] = [];

  constructor(settings: PublisherSettings, opened: OpenedTopics, memory: LinkMemory, now: number) {
    const { facts, search, control } = opened;
    this.#settings = settings;
    this.#opened = opened;
    this.#memory = memory;
    this.#outbox = new TopicOutbox(settings, facts.messageBytes, memory.drawSign(), search.end);
    this.#pulse = new Pulse(settings.limits.heartbeatMs, now);
    this.#control = new ControlTopic(settings, memory, control, now);
    this.#snapshots = new TopicSnapshots(settings, facts, memory);
    this.#end = new LinkEnd(settings);
  }

  get writable(): boolean {
    return this.#outbox.isWritable && !this.#end.isEnding;
  }

  /** When `time` is the next event, on the monotonic clock; Infinity when the link is over. */
  get wakeAt(): number {
    if (this.#end.isOver) return Infinity;
    if (this.#end.isEnding) return Math.min(this.#outbox.wakeAt, this.#end.until);
    return Math.min(this.#outbox.wakeAt, this.#pulse.lookAt, this.#control.fetchAt, this.#snapshots.lookAt);
  }

  /**
   * Where to wait for what others write, while this end writes nothing; undefined while it need not be looked for: the
   * answers to our batches tell then, and after a handover `.control` does.
   */
  get watchFrom(): bigint | undefined {
    const isQuiet = this.#isOpen && !this.#end.isEnding && !this.#end.isOver && this.#outbox.areFramesIdle;
    return isQuiet && this.#announcement?.isEnded === false ? this.#outbox.next : undefined;
  }

  /** @throws EvertreeError PROTOCOL_VIOLATION for a message that no primary sends */
  step(event: PublishEvent, now: number): readonly PublishAction[] {
    if (!this.#end.isOver) this.#step(event, now);
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
    if (this.#end.isEnding) return;
    if (event.type === 'read') return this.#read(event, now);
    if (event.type === 'watched') return this.#break(this.#order!.watch(event.records));
    if (event.type === 'control') return this.#sawControl(event, now);
    this.#sawWatermarks(event, now);
  }

  // What the producer sends

  #send(message: Message, now: number): void {
    if (this.#end.isEnding) return;
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
        this.#order = new TopicOrder(this.#settings, this.#memory, this.#opened.search, this.#announcement);
        return this.#findEnd(now);
      case 'frame':
        return this.#sendFrame(message, now);
      case 'snapshot-begin':
        return this.#beginSnapshot(message, now);
      case 'snapshot-chunk':
        return this.#outbox.addChunk(message.bytes, now);
      case 'snapshot-end':
        return this.#outbox.endSnapshot(message.chunks, now);
      case 'forget':
        this.#control.forget(message.site);
        return this.#outbox.forget(message.site, now);
      case 'role':
        return this.#outbox.say(message, now);
      default:
        throw new EvertreeError('PROTOCOL_VIOLATION', `a primary sends no ${message.type} to a topic`);
    }
  }

  #sendFrame({ bytes, parsed }: Message & { type: 'frame' }, now: number): void {
    const header = parsed?.header ?? readFrameHeader(bytes);
    const announcement = this.#announcement!;
    if (!announcement.sent(header, bytes)) return;
    const { isOutnumbered, standing } = this.#order!.reign;
    if (isOutnumbered) {
      if (standing !== 'outnumbered') this.#abort('lost', 'a higher epoch has begun here, in which the topic is written on');
      return;
    }
    this.#snapshots.count(bytes);
    this.#outbox.addFrame(header, bytes, announcement.reign, now);
  }

  #beginSnapshot({ header, reason, request }: Message & { type: 'snapshot-begin' }, now: number): void {
    this.#snapshots.begun(request, now);
    const id = Buffer.from(this.#settings.random.bytes(ID_BYTES)).toString('hex');
    this.#outbox.beginSnapshot({ id, header, reason, answersRequest: request !== undefined }, now);
  }

  /** Sends what waits, writes a `closing` record, and ends; in bounded time. */
  #close(closing: Closing, now: number): void {
    if (this.#end.isEnding) return;
    this.#end.close(closing, now);
    this.#sayFarewell(now);
  }

  // Where the topic ends, and what it says to the producer

  #findEnd(now: number): void {
    const { search } = this.#opened;
    const found = this.#order!.findEnd();
    if (found === 'read') this.#do({ type: 'read', task: 'tail', from: search.from, to: search.end });
    else this.#open(found, now);
  }

  #open(found: FrameHeader | undefined, now: number): void {
    const { reign } = this.#order!;
    const hello = topicHello(this.#settings.farEnd.name, found, reign.fence);
    this.#order!.tellEnd();
    this.#isOpen = true;
    this.#outbox.open(hello.position.revision);
    const told = hello.fencedBy === undefined ? reign.begin() : undefined;
    this.#announcement!.met(hello, reign.isOutnumbered);
    this.#tellPrimary(now);
    this.#hand({ type: 'hello', hello });
    this.#hand(told);
    this.#handNews(this.#control.start(now), now);
    this.#hand(reign.recall(undefined, this.#control.isHistoryTold));
  }

  #read(event: BrokerAnswer & { type: 'read' }, now: number): void {
    const { task, records, done } = event;
    // What the topic begins with comes with the rest of its batch, and was counted when it was written, or read at the end.
    if (task !== 'beginning') for (const { value } of records) this.#snapshots.count(value);
    switch (task) {
      case 'tail':
        this.#opened.search.take(records);
        if (done) this.#findEnd(now);
        return;
      case 'between':
        return this.#readBetween(event);
      case 'beginning':
        this.#actions.push(...this.#snapshots.sawBeginning(records, this.#surroundings, now));
    }
  }

  // What the broker has taken

  #storedFrames(offset: bigint, now: number): void {
    const { expected, last, first } = this.#outbox.storedFrames(offset);
    if (offset < expected) return this.#abortAsCut(`its next record got the offset ${offset}, and ${expected} were there`);
    if (offset > expected) this.#lookBetween(expected, offset);
    if (first !== undefined) this.#order!.reign.stored(first);
    if (last !== undefined && this.#order!.settles(last)) this.#acknowledge(last);
    this.#drain(now);
  }

  #storedBeside({ offset, time }: BrokerAnswer & { type: 'stored' }, now: number): void {
    const announced = this.#outbox.storedBeside(offset, now);
    if (announced !== undefined && !this.#end.isEnding) {
      const { record, snapshot } = announced;
      if (!snapshot.begun.answersRequest) this.#acknowledge(record.header.position);
      this.#do({ type: 'delete-snapshots', before: this.#snapshots.finished(record, now, time) });
    }
    this.#drain(now);
  }

  #acknowledge(position: ExactPosition): void {
    const message: Message = { type: 'acknowledge', site: this.#settings.farEnd.name, applied: position, durable: position };
    if (!this.#end.isEnding) this.#do({ type: 'hand', message, accepted: true });
  }

  // What others write

  #lookBetween(from: bigint, to: bigint): void {
    if (this.#end.isEnding) return;
    if (this.#order!.between(from, to)) this.#do({ type: 'read', task: 'between', from, to });
    else this.#break(this.#order!.foreignFrames);
  }

  #readBetween(event: BrokerAnswer & { type: 'read' }): void {
    const { ends, settled } = this.#order!.read(event, event.records, event.done);
    this.#break(ends);
    if (settled !== undefined) this.#acknowledge(settled);
  }

  #sawControl({ records, next }: BrokerAnswer & { type: 'control' }, now: number): void {
    const { reign } = this.#order!;
    const news = this.#control.fetched(records, next, now, claim => reign.isEndedBy(claim));
    for (const { record, time } of news.snapshots) {
      if (!this.#announcement!.isSuperseded(record.header.position)) this.#snapshots.announced(record, time);
    }
    this.#handNews(news.messages, now);
    for (const rival of news.rivals) if (!this.#end.isOver) this.#meet(rival);
    if (!this.#end.isOver) this.#break(this.#order!.brokenBy(news));
    if (this.#end.isOver) return;
    this.#hand(reign.recall(news.ownReign, this.#control.isHistoryTold));
    if (news.wants) this.#lookAtWatermarks();
  }

  /** A primary of a higher epoch ends this one's reign: nothing more is written here. */
  #meet({ hello, from, isLive }: Rival): void {
    const ends = this.#order!.brokenByPrimary(hello);
    if (ends !== undefined) return this.#break(ends);
    if (isLive && hello.epochs.at(-1)?.end === undefined) this.#control.tellSecondPrimary({ hello, from, isLive });
  }

  #handNews(messages: readonly Message[], now: number): void {
    this.#outbox.heard(messages, now);
    for (const message of messages) this.#hand(message);
    if (this.#control.isHistoryTold) this.#snapshots.start(now);
  }

  // Whether a snapshot is due

  #lookAtWatermarks(): void {
    this.#actions.push(...this.#snapshots.look(this.#outbox.next));
  }

  #sawWatermarks({ found, time }: BrokerAnswer & { type: 'watermarks' }, now: number): void {
    const expected = this.#snapshots.saw(found, time);
    if (expected !== undefined) return this.#abortAsCut(`it ends at ${found.high}, and ${expected} records were there`);
    this.#actions.push(...this.#snapshots.proceed(this.#surroundings, now));
  }

  get #surroundings(): Surroundings {
    return { stream: this.#announcement?.hello.stream ?? null, wants: this.#control.wants, isBusy: this.#outbox.hasSnapshot };
  }

  // What time brings

  #wake(now: number): void {
    if (this.#outbox.lateAt <= now) {
      return this.#abort('silent', `${this.#settings.remote} took longer than ${this.#settings.sendMs} ms for an answer`);
    }
    if (this.#end.isEnding) return this.#sayFarewell(now);
    if (this.#pulse.lookAt <= now) this.#look(now);
    if (this.#end.isOver) return;
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
    const record = this.#announcement?.record(this.#settings, this.#order?.reign.placed, closing);
    if (record !== undefined) this.#outbox.tell({ kind: 'primary', value: record }, now);
  }

  #sayFarewell(now: number): void {
    const end = this.#end.step(this.#outbox, now, closing => this.#tellPrimary(now, closing));
    if (end === undefined) this.#produce(now);
    else this.#do(end);
  }

  #break(by: OrderBreak | undefined): void {
    if (by !== undefined) this.#abort(by.reason, by.explanation, by.byPeer);
  }

  #abortAsCut(why: string): void {
    this.#abort('lost', `the topic ${this.#settings.topic} was cut short or made anew: ${why}`);
  }

  #abort(reason: CloseReason, explanation: string, byPeer = false): void {
    this.#do(this.#end.abort(reason, explanation, byPeer));
  }

  #drain(now: number): void {
    if (this.#end.isEnding && !this.#end.isOver) return this.#sayFarewell(now);
    if (!this.#end.isOver && this.#outbox.drained()) this.#do({ type: 'drained' });
  }

  #hand(message: Message | undefined): void {
    if (message !== undefined) this.#do({ type: 'hand', message });
  }

  #do(action: PublishAction): void {
    this.#actions.push(action);
  }
}
