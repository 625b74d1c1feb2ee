import type { CloseReason, Hello, Link, LinkEvents, Message } from '@evertree/core';
import { Delivery } from '../../wire/delivery.ts';
import type { Ending } from '../../wire/delivery.ts';
import { Heartbeat } from '../../wire/heartbeat.ts';
import type { AnnouncedClaim, RoleRecord, SnapshotRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { PartitionReader } from '../broker.ts';
import { encodeTrailer } from '../trailer.ts';
import type { TopicAccess } from './topic-access.ts';
import type { HeardPrimary } from './control-view.ts';
import type { SubscribeAction, SubscribeEvent, SubscribeRequest } from './actions.ts';
import type { PlacedFrame } from './frame-records.ts';
import { SecondaryEnd } from './secondary-end.ts';
import type { SubscriberSettings } from './settings.ts';
import { TopicDriver } from './topic-driver.ts';
import type { LinkBeginning } from './topic-reading.ts';

/** What became of a link: the site closed it, its far end did, or the broker can't be read any more. */
export type LinkOutcome =
  | { readonly kind: 'closed-here' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'broken'; readonly error: unknown };

/**
 * What a secondary sees of its primary through a topic, as the seam's Link. It drives one SecondaryEnd: it feeds the
 * machine events, and carries out the actions that the machine answers with.
 */
export class TopicLink implements Link {
  readonly remote: string;
  /** When the primary was heard last, milliseconds since 1970. */
  lastSeen: number;
  sentBytes = 0;
  readonly #settings: SubscriberSettings;
  readonly #access: TopicAccess;
  readonly #primary: HeardPrimary;
  readonly #end: SecondaryEnd;
  readonly #delivery: Delivery;
  readonly #driver: TopicDriver;
  readonly #heartbeat: Heartbeat;
  readonly #outcome = Promise.withResolvers<LinkOutcome>();
  /** What the primary said in `.control`. */
  #heardBytes = 0;
  /** The site has said hello. */
  #isGreeted = false;
  /** The machine's request, until `#run` takes it up. */
  #request: SubscribeRequest | undefined;
  /** The frame that `hand` is about. */
  #frame: PlacedFrame | undefined;
  #sendTimer: Disposable | undefined;
  #sending: Promise<void> | undefined;
  #commitTimer: Disposable | undefined;
  #shut: Promise<unknown> = Promise.resolve();

  /** @param reader of the primary's partition of the topic; connected, and closed with the link */
  constructor(settings: SubscriberSettings, access: TopicAccess, reader: PartitionReader, beginning: LinkBeginning) {
    const { clock, report, limits, remote } = settings;
    const { primary } = beginning;
    this.remote = remote;
    this.lastSeen = Math.min(primary.saidAt, clock.now());
    this.#settings = settings;
    this.#access = access;
    this.#primary = primary;
    this.#end = new SecondaryEnd(settings, beginning);
    this.#delivery = new Delivery(this, clock, report);
    this.#driver = new TopicDriver(settings, access, reader, this.#delivery, this.#end);
    this.#heartbeat = new Heartbeat(clock, primary.record.hello.heartbeatMs, {
      receivedBytes: () => this.receivedBytes,
      reading: () => this.#end.caughtUp && this.#delivery.flows,
      beat: () => this.#happened({ type: 'beat' }),
      silent: () => this.#happened({ type: 'silent' }),
    });
    this.#heartbeat.sendEvery(limits.heartbeatMs);
    this.#heartbeat.start();
    this.#planCommit();
  }

  get writable(): boolean {
    return this.#end.accepting && !this.#delivery.isOver;
  }

  get receivedBytes(): number {
    return this.#heardBytes + this.#driver.receivedBytes;
  }

  /** Resolves when the link is over, or the broker can't be read any more. */
  get outcome(): Promise<LinkOutcome> {
    return this.#outcome.promise;
  }

  /** Whether the site applied something that came over it. */
  get carried(): boolean {
    return this.#end.carried;
  }

  attach(events: LinkEvents): void {
    this.#delivery.attach(events);
  }

  send(message: Message): void {
    switch (message.type) {
      case 'hello':
        return this.#greet(message);
      case 'acknowledge':
        return this.#happened({ type: 'acknowledged', applied: message.applied, durable: message.durable });
      case 'resend':
        this.#happened({ type: 'resend', after: message.after });
        return this.#driver.wake();
      case 'role': {
        const { from, to, message: said } = message;
        return this.#happened({ type: 'said', role: { from, to, message: said } });
      }
      default:
        throw new Error(`a secondary sends no ${message.type}`);
    }
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#delivery.isOver) return;
    this.#happened({ type: 'closed', reason, explanation });
    this.#delivery.close({ reason, explanation, byPeer: false });
    this.#stop({ kind: 'closed-here' });
  }

  /** The primary spoke in `.control` just now, in so many bytes. */
  heard(primary: HeardPrimary, bytes: number): void {
    if (primary.from === this.#primary.from) {
      this.#heardBytes += bytes;
      this.lastSeen = this.#settings.clock.now();
    }
    this.#happened({ type: 'heard', primary });
    this.#driver.wake();
  }

  /** The writer of a link said something to this site about who leads. It counts only from the primary that is followed. */
  told(role: RoleRecord, from: string): void {
    if (this.#isGreeted && from === this.#primary.from) this.#delivery.post({ type: 'role', ...role });
  }

  /** Another snapshot was announced. */
  announced(snapshot: SnapshotRecord): void {
    this.#happened({ type: 'announced', snapshot });
    this.#driver.wake();
  }

  /** Claims were announced, or come to stand. */
  claimed(claims: readonly AnnouncedClaim[]): void {
    for (const claim of claims) this.#happened({ type: 'claimed', claim });
  }

  /** The broker can't be read any more. */
  lost(reason: 'lost' | 'silent', explanation: string): void {
    this.#finish({ reason, explanation, byPeer: false });
  }

  /** Closes it. Resolves when its connections are closed, after the broker has taken or refused the last records. */
  async shut(): Promise<void> {
    this.close('going-away', 'the secondary stops');
    await this.#shut;
  }

  /** The primary's hello waits for the site's: a refusal has to bear the site's name. */
  #greet({ hello, resume }: Extract<Message, { type: 'hello' }>): void {
    if (this.#delivery.isOver) return;
    this.#isGreeted = true;
    const { heartbeatMs: _, ...primaryHello } = this.#primary.record.hello;
    this.#delivery.post({ type: 'hello', hello: primaryHello satisfies Hello });
    const actions = this.#end.step({ type: 'greeted', hello, resume }, this.#settings.clock.monotonic());
    this.#run(actions).catch((error: unknown) => this.#outcome.resolve({ kind: 'broken', error }));
  }

  /** Something that is no answer to a request. */
  #happened(event: SubscribeEvent): void {
    if (!this.#delivery.isOver) this.#perform(this.#end.step(event, this.#settings.clock.monotonic()));
  }

  /** Answers the machine's requests until the link is over. */
  async #run(first: readonly SubscribeAction[]): Promise<void> {
    this.#perform(first);
    for (let request = this.#request; request !== undefined && !this.#delivery.isOver; request = this.#request) {
      this.#request = undefined;
      const answer = this.#driver.answer(request, this.#end.stream);
      const event = answer instanceof Promise ? await answer : answer;
      if (event === undefined || this.#delivery.isOver) return;
      if (event.type === 'frame') this.#frame = event;
      this.#perform(this.#end.step(event, this.#settings.clock.monotonic()));
    }
  }

  #perform(actions: readonly SubscribeAction[]): void {
    for (const action of actions) this.#carryOut(action);
  }

  #carryOut(action: SubscribeAction): void {
    switch (action.type) {
      case 'seek':
        return this.#driver.seek(action.offset);
      case 'hand':
        return this.#handFrame();
      case 'offer':
        return this.#delivery.post({ ...action, type: 'history-begins' });
      case 'seen':
        this.lastSeen = this.#settings.clock.now();
        return;
      case 'send':
        this.#sending = this.#await(this.#send(action.records), { type: 'sent' }, 'send-failed');
        return;
      case 'send-in':
        this.#sendTimer = this.#settings.clock.after(action.ms, () => this.#happened({ type: 'send-due' }));
        return;
      case 'drained':
        return this.#delivery.drained();
      case 'commit':
        return void this.#await(this.#commit(action.offset), { type: 'committed', offset: action.offset }, 'commit-failed');
      case 'report':
        return this.#settings.report(action.report);
      case 'end':
        return this.#finish(action);
      default:
        this.#request = action;
    }
  }

  #handFrame(): void {
    const placed = this.#frame;
    this.#frame = undefined;
    if (placed === undefined) return;
    const { topic } = this.#settings;
    const { partition } = this.#primary.record;
    const trailer = encodeTrailer({ topic, partition, offset: placed.offset });
    this.#delivery.hand({ type: 'frame', bytes: placed.frame.bytes, trailer, parsed: placed.frame });
  }

  async #send(records: readonly SentRecord[]): Promise<void> {
    await this.#access.tell(records);
    this.sentBytes += records.reduce((bytes, record) => bytes + (record.value?.length ?? 0), 0);
  }

  #commit(offset: bigint): Promise<void> {
    const { topic, groupId, site } = this.#settings;
    return this.#access.broker.commitOffset(`${groupId}.${site}`, topic, this.#primary.record.partition, offset);
  }

  /** Tells the machine the result of a send or a commit. Never rejects. */
  async #await(work: Promise<void>, done: SubscribeEvent, failed: 'send-failed' | 'commit-failed'): Promise<void> {
    try {
      await work;
    } catch (error) {
      const event: SubscribeEvent = { type: failed, why: error instanceof Error ? error.message : String(error) };
      // What could not be sent is among the last records then.
      if (this.#delivery.isOver && failed === 'send-failed') this.#end.step(event, this.#settings.clock.monotonic());
      return this.#happened(event);
    }
    this.#happened(done);
  }

  #planCommit(): void {
    const { clock, commitMs } = this.#settings;
    if (commitMs === undefined) return;
    this.#commitTimer = clock.after(commitMs, () => {
      this.#happened({ type: 'commit-due' });
      this.#planCommit();
    });
  }

  /** Ends the link at the far side. */
  #finish(ending: Ending): void {
    if (this.#delivery.isOver) return;
    this.#delivery.end(ending);
    this.#stop({ kind: 'ended' });
  }

  #stop(outcome: LinkOutcome): void {
    this.#heartbeat.stop();
    this.#sendTimer?.[Symbol.dispose]();
    this.#commitTimer?.[Symbol.dispose]();
    this.#shut = Promise.all([this.#sendLast(), this.#driver.close()]);
    this.#outcome.resolve(outcome);
  }

  async #sendLast(): Promise<void> {
    await this.#sending;
    const records = this.#end.lastRecords();
    if (records.length > 0) await this.#await(this.#send(records), { type: 'sent' }, 'send-failed');
  }
}
