import { EvertreeError, isBefore, readFrameHeader } from '@evertree/core';
import type { CloseReason, ExactPosition, Hello, Link, LinkEvents, Message } from '@evertree/core';
import { handToHandler } from '../../wire/handler.ts';
import { Heartbeat } from '../../wire/heartbeat.ts';
import { asBrokerError } from '../broker.ts';
import { PART_BYTES, RECORD_OVERHEAD_BYTES } from '../parts.ts';
import { Announcement } from './announcement.ts';
import { Aside } from './aside.ts';
import { ControlTopic } from './control-topic.ts';
import { Delivery } from './delivery.ts';
import { type ForeignFrames, foreignFrames } from './foreign.ts';
import { FrameOutlet } from './frame-outlet.ts';
import type { Once } from './once.ts';
import { relayHello } from './relay-hello.ts';
import { within } from './session.ts';
import type { Session } from './session.ts';
import { Snapshots } from './snapshots.ts';

export interface LinkOptions {
  readonly session: Session;
  readonly once: Once;
  /** Tells this link's records from others': 16 hex digits. */
  readonly sign: string;
  /** Those of this end's earlier links, and this one's. */
  readonly signs: ReadonlySet<string>;
  /** Shared by all links. */
  readonly foreign: ForeignFrames;
  /** The topic has taken something. */
  readonly accepted: () => void;
  /** The link is gone, and the upper end has been told. */
  readonly gone: (reason: CloseReason) => void;
}

interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
}

/** What a link that closes may take to let go what waits, and to say so. */
const FAREWELL_MS = 800;

/**
 * A topic as the seam's Link: the far end is a log, which holds what its tail says. Whatever is in doubt ends the link, and the next one
 * reads the tail again.
 */
export class PublishLink implements Link {
  readonly remote: string;
  readonly #options: LinkOptions;
  readonly #session: Session;
  readonly #delivery: Delivery;
  readonly #aside: Aside;
  readonly #control: ControlTopic;
  readonly #snapshots: Snapshots;
  readonly #heartbeat: Heartbeat;
  /** The largest batch that the topic and the configuration take. */
  readonly #mostBytes: number;
  /** Sent before the topic's hello was known. */
  #early: Message[] = [];
  #earlyBytes = 0;
  #outlet: FrameOutlet | undefined;
  #announcement: Announcement | undefined;
  #announced = false;
  #writable = true;
  #beats = 0;
  /** Set once: nothing is sent or handed up from then on. */
  #ending: Ending | undefined;
  #finished = false;

  constructor(options: LinkOptions) {
    const { session } = options;
    const { facts, settings } = session;
    this.remote = settings.remote;
    this.#options = options;
    this.#session = session;
    this.#mostBytes = Math.min(settings.requestBytes, facts.messageBytes) - RECORD_OVERHEAD_BYTES;
    this.#delivery = new Delivery(settings.clock, (events, message) => handToHandler(events, message, this, settings.report));
    this.#aside = this.#makeAside();
    this.#snapshots = this.#makeSnapshots();
    this.#control = this.#makeControl();
    this.#heartbeat = new Heartbeat(settings.clock, settings.limits.heartbeatMs, {
      receivedBytes: () => session.answers,
      reading: () => true,
      beat: () => this.#beat(),
      silent: () => this.#abort('silent', `nothing was heard from ${this.remote} for three heartbeats`),
    });
    this.#heartbeat.start();
  }

  get writable(): boolean {
    return this.#writable && this.#ending === undefined;
  }

  get sentBytes(): number {
    return this.#aside.sentBytes + (this.#outlet?.sentBytes ?? 0);
  }

  get receivedBytes(): number {
    return this.#session.receivedBytes;
  }

  get lastSeen(): number {
    return this.#session.lastSeen;
  }

  attach(events: LinkEvents): void {
    this.#delivery.attach(events);
  }

  send(message: Message): void {
    if (this.#ending !== undefined) return;
    const { bufferedBytes, writableBytes } = this.#session.settings.limits;
    const waitingBytes = this.#waitingBytes;
    if (waitingBytes > bufferedBytes) {
      this.#abort('too-large', `${waitingBytes} bytes wait for ${this.remote}; the limit is ${bufferedBytes}`);
      return;
    }
    this.#carry(message);
    if (this.#waitingBytes >= writableBytes) this.#writable = false;
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#ending !== undefined) return;
    this.#end({ reason, explanation });
    void this.#farewell({ reason, explanation });
  }

  get #waitingBytes(): number {
    return this.#aside.waitingBytes + (this.#outlet?.waitingBytes ?? this.#earlyBytes);
  }

  #carry(message: Message): void {
    switch (message.type) {
      case 'hello':
        return void this.#greet(message.hello);
      case 'frame':
        return this.#sendFrame(message);
      case 'snapshot-begin':
        return this.#snapshots.begin(message);
      case 'snapshot-chunk':
        return this.#aside.addChunk(message.bytes);
      case 'snapshot-end':
        return this.#aside.endSnapshot(message.chunks);
      case 'forget':
        return this.#control.forget(message.site);
      default:
        throw new EvertreeError('PROTOCOL_VIOLATION', `a primary sends no ${message.type} to a topic`);
    }
  }

  /** Says hello for the topic, and begins to tell of its readers. */
  async #greet(ours: Hello): Promise<void> {
    this.#announcement = new Announcement(ours);
    try {
      const hello = await relayHello(this.#session, ours.stream, this.#options.once);
      if (this.#ending !== undefined) return;
      this.#outlet = this.#makeOutlet(this.#session.search.end, hello.position.revision);
      // Who is about to be refused says nothing to the readers of another stream, or of a newer primary.
      this.#announced = hello.stream === null || (hello.stream === ours.stream && !isBefore(ours.position, hello.position));
      this.#beat();
      this.#delivery.hand({ type: 'hello', hello });
      for (const message of this.#early.splice(0)) this.#carry(message);
      this.#control.start();
      this.#control.greeted();
    } catch (error) {
      this.#failed(error);
    }
  }

  #sendFrame(message: Message & { type: 'frame' }): void {
    const { bytes } = message;
    if (this.#outlet === undefined) {
      this.#early.push(message);
      this.#earlyBytes += bytes.length;
      return;
    }
    const header = readFrameHeader(bytes);
    this.#announcement?.sent(header, bytes);
    this.#outlet.send(header, bytes);
  }

  #acknowledge(position: ExactPosition): void {
    const { farEnd } = this.#session.settings;
    this.#options.accepted();
    this.#delivery.hand({ type: 'acknowledge', site: farEnd.name, applied: position, durable: position });
  }

  #makeOutlet(next: bigint, revision: number): FrameOutlet {
    const { clock, topic, key, batchBytes, lingerMs, sendMs } = this.#session.settings;
    const partBytes = Math.min(PART_BYTES, this.#mostBytes);
    const options = { clock, topic, key, partBytes, batchBytes: Math.min(batchBytes, this.#mostBytes), lingerMs, sendMs };
    const host = {
      send: this.#session.sendFrames.bind(this.#session),
      acknowledged: (last: ExactPosition) => this.#acknowledge(last),
      foreign: (from: bigint, to: bigint) => void this.#lookBetween(from, to),
      cut: (explanation: string) => this.#cut(explanation),
      failed: (error: unknown) => this.#failed(error),
      drained: () => this.#drain(),
    };
    return new FrameOutlet({ ...options, ...host }, next, revision);
  }

  #makeAside(): Aside {
    const { clock, topics, sendMs } = this.#session.settings;
    return new Aside({
      clock,
      topics,
      sendMs,
      from: this.#options.sign,
      partBytes: Math.min(PART_BYTES, this.#mostBytes),
      batchBytes: this.#mostBytes,
      send: this.#session.sendAside.bind(this.#session),
      announced: (snapshot, writer) => this.#snapshots.announced(snapshot, writer),
      failed: error => this.#failed(error),
      drained: () => this.#drain(),
    });
  }

  #makeSnapshots(): Snapshots {
    const { session, once } = this.#options;
    return new Snapshots({
      session,
      once,
      aside: this.#aside,
      stream: () => this.#announcement?.hello.stream ?? null,
      next: () => this.#outlet?.next ?? 0n,
      follow: revision => this.#outlet?.follow(revision) ?? session.search.end,
      wants: () => this.#control.wants,
      foreignTo: () => this.#options.foreign.to,
      wanted: (id, reason) => this.#delivery.hand({ type: 'snapshot-wanted', id, reason }),
      acknowledged: position => this.#acknowledge(position),
      cut: explanation => this.#cut(explanation),
      failed: error => this.#failed(error),
    });
  }

  #makeControl(): ControlTopic {
    const { once, signs } = this.#options;
    return new ControlTopic({
      session: this.#session,
      once,
      signs,
      tell: control => this.#aside.tell(control),
      hand: message => this.#delivery.hand(message),
      announced: (snapshot, time) => this.#snapshots.heard(snapshot, time),
      past: () => this.#snapshots.start(),
      wanted: () => this.#snapshots.look(),
      failed: error => this.#failed(error),
    });
  }

  /** Twice in a heartbeat; every other time it is said in the control topic. */
  #beat(): void {
    this.#beats += 1;
    this.#control.lapse();
    if (this.#beats % 2 === 1) this.#tellPrimary();
  }

  #tellPrimary(closing?: Ending): void {
    const { limits, partition } = this.#session.settings;
    if (this.#announcement === undefined || !this.#announced) return;
    const hello = { ...this.#announcement.hello, heartbeatMs: limits.heartbeatMs };
    this.#aside.tell({ kind: 'primary', value: { hello, partition, ...(closing === undefined ? {} : { closing }) } });
  }

  async #lookBetween(from: bigint, to: bigint): Promise<void> {
    try {
      const doubtful = await foreignFrames(this.#session, from, to, this.#options.once);
      if (!doubtful) return;
      this.#options.foreign.saw(to);
      this.#abort('lost', `another writer put frames into the topic ${this.#session.settings.topic}; its end is read again`);
    } catch (error) {
      this.#failed(error);
    }
  }

  #drain(): void {
    const { writableBytes } = this.#session.settings.limits;
    if (this.#writable || this.#waitingBytes > writableBytes / 2) return;
    this.#writable = true;
    this.#delivery.drained();
  }

  #cut(why: string): void {
    this.#abort('lost', `the topic ${this.#session.settings.topic} is not what it was: ${why}`);
  }

  /** `error` undefined: the broker took too long. */
  #failed(error: unknown): void {
    const { sendMs } = this.#session.settings;
    if (error === undefined) this.#abort('silent', `${this.remote} took longer than ${sendMs} ms for an answer`);
    else this.#abort('lost', asBrokerError(error).message);
  }

  /** Ends without another word: who would hear it does not answer. */
  #abort(reason: CloseReason, explanation: string): void {
    this.#end({ reason, explanation });
    this.#finish();
  }

  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#delivery.drop();
    this.#heartbeat.stop();
    this.#snapshots.stop();
    this.#control.stop();
  }

  /** Lets go what waits, says that it closes, and ends; bounded. */
  async #farewell(ending: Ending): Promise<void> {
    const { clock, report } = this.#session.settings;
    try {
      await within(clock, FAREWELL_MS, 'saying farewell', this.#lastWords(ending));
    } catch (error) {
      report({ level: 'debug', event: 'no-farewell', message: `${this.remote} was left without a word`, details: { error } });
    }
    this.#finish();
  }

  async #lastWords(ending: Ending): Promise<void> {
    await this.#outlet?.idle();
    this.#tellPrimary(ending);
    await this.#aside.idle();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    const { reason, explanation } = this.#ending ?? { reason: 'lost', explanation: '' };
    this.#outlet?.stop();
    this.#aside.stop();
    this.#session.abandon();
    this.#delivery.close(reason, explanation);
    // Who waits for the transport's end has heard of the link's by then.
    this.#session.settings.clock.soon(() => this.#options.gone(reason));
  }
}
