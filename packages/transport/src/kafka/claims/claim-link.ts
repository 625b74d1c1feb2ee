import { ORIGIN, Turn, emptyDigest, formatPosition } from '@evertree/core';
import type { CloseReason, EpochName, ExactPosition, Fencing, Hello, Link, LinkEvents, Message, RoleMessage } from '@evertree/core';
import { Delivery } from '../../wire/delivery.ts';
import { encodeControl } from '../control.ts';
import type { AnnouncedClaim } from '../control.ts';
import type { PublisherSettings } from '../publish/settings.ts';
import { StreamClaims, topicHello } from '../publish/tail.ts';
import { ControlView } from '../subscribe/control-view.ts';
import { FrameRecords } from '../subscribe/frame-records.ts';
import { encodeTrailer } from '../trailer.ts';
import { encodeClaim } from './claim.ts';
import type { Claim } from './claim.ts';
import { ClaimSearch, epochsFor, tableOf } from './claim-search.ts';
import type { SearchedTopic } from './claim-search.ts';
import type { ClaimTopic } from './claim-topic.ts';

/** 16 hex digits tell this link's records in `.control` from others'. */
const FROM_BYTES = 8;
/** Records looked back at for the place of a site that lacks frames: the first step, its growth, and the most. */
const FIRST_STEP_RECORDS = 256n;
const STEP_GROWTH = 8n;
const MOST_RECORDS = 131_072n;

/**
 * What a topic says to a site that is being promoted, as the seam's Link: it says hello in the topic's name, answers
 * `raise` with a claim, and `lend` with the frames before it. One thing is done at a time; any failure of the broker ends
 * the link.
 */
export class ClaimLink implements Link {
  readonly remote: string;
  lastSeen: number;
  readonly sentBytes = 0;
  receivedBytes = 0;
  readonly #settings: PublisherSettings;
  readonly #topic: ClaimTopic;
  readonly #delivery: Delivery;
  readonly #view: ControlView;
  readonly #claims = new StreamClaims();
  readonly #sign: string;
  #ours: Hello | undefined;
  /** Where the claim stands that the topic promised with, and the last frame that counts before it. */
  #promised: { readonly offset: bigint; readonly upTo: ExactPosition } | undefined;
  /** Settles when what is being done is done. */
  #work: Promise<void> = Promise.resolve();

  constructor(settings: PublisherSettings, topic: ClaimTopic) {
    const { clock, report, remote, random, topics, site } = settings;
    this.remote = remote;
    this.lastSeen = clock.now();
    this.#settings = settings;
    this.#topic = topic;
    this.#delivery = new Delivery(this, clock, report);
    this.#view = new ControlView(topics.control, site, report);
    this.#sign = Buffer.from(random.bytes(FROM_BYTES)).toString('hex');
  }

  readonly writable = true;

  attach(events: LinkEvents): void {
    this.#delivery.attach(events);
  }

  send(message: Message): void {
    if (message.type === 'hello') return this.#do(() => this.#greet(message.hello));
    if (message.type !== 'role') throw new Error(`a site that asks for a promise sends no ${message.type}`);
    const said = message.message;
    if (said.kind === 'raise') this.#do(() => this.#claim(said.epoch));
    if (said.kind === 'lend') this.#do(() => this.#lend(said.after));
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  close(reason: CloseReason, explanation: string): void {
    this.#delivery.close({ reason, explanation, byPeer: false });
    this.#topic.broker.abandon();
  }

  #do(work: () => Promise<void>): void {
    this.#work = this.#after(this.#work, work);
  }

  /** Never rejects. */
  async #after(before: Promise<void>, work: () => Promise<void>): Promise<void> {
    await before;
    if (this.#delivery.isOver) return;
    try {
      await work();
      this.lastSeen = this.#settings.clock.now();
    } catch (error) {
      this.#delivery.end({ reason: 'lost', explanation: error instanceof Error ? error.message : String(error), byPeer: false });
      this.#topic.broker.abandon();
    }
  }

  async #greet(ours: Hello): Promise<void> {
    this.#ours = ours;
    await this.#lookAtControl();
    const { low, high } = await this.#topic.ends();
    const last = (await this.#search(low, high)).last;
    const hello = topicHello(this.#settings.farEnd.name, last, this.#fencing(ours));
    const epochs = last === undefined ? [] : epochsFor(this.#searched, last.last);
    // A topic of another stream says so: the promoter turns away from it.
    const stream = hello.stream ?? this.#view.newest?.record.hello.stream ?? null;
    this.#delivery.post({ type: 'hello', hello: { ...hello, stream, epochs } });
  }

  /** The highest epoch that was claimed, and has no frame that is known. */
  #fencing({ stream, position }: Hello): Fencing | undefined {
    const leading = stream === null ? undefined : this.#claims.of(stream).leading;
    const names: EpochName[] = this.#view.claims.filter(claim => claim.stream === stream).map(({ epoch }) => epoch);
    if (leading !== undefined) names.push(leading);
    const highest = names.reduce<EpochName | undefined>((a, b) => (a === undefined || b.number > a.number ? b : a), undefined);
    if (highest === undefined || highest.number <= position.epoch) return undefined;
    return { number: highest.number, id: highest.id, begun: leading === highest && leading.isBegun };
  }

  async #claim(epoch: EpochName): Promise<void> {
    const { site, key, clock } = this.#settings;
    const stream = this.#ours?.stream ?? null;
    if (stream === null) return this.#say({ kind: 'not-promised', epoch, text: `${site} holds no stream that it could lead` });
    const claim: Claim = { epoch, site, stream, time: clock.now() };
    const { high: after } = await this.#topic.ends();
    await this.#announce({ ...claim, after: String(after), offset: null });
    const offset = await this.#topic.write(encodeClaim(claim, Buffer.from(key)));
    await this.#announce({ ...claim, after: String(after), offset: String(offset) });
    await this.#lookAtControl();
    const { low } = await this.#topic.ends();
    const { last } = await this.#search(low, offset);
    const claims = this.#claims.of(claim.stream);
    if (claims.takeClaim(offset, epoch) === 'void') return this.#tellVoid(epoch, claims.leading ?? epoch);
    const position = last?.last ?? ORIGIN;
    this.#promised = { offset, upTo: position };
    const epochs = epochsFor(this.#searched, position);
    this.#say({ kind: 'promised', epoch, position, digest: last?.digest ?? emptyDigest(), epochs, known: [] });
  }

  #announce(claim: AnnouncedClaim): Promise<void> {
    return this.#topic.tell(encodeControl({ kind: 'claim', site: this.#settings.site, value: claim }, this.#sign));
  }

  #tellVoid(epoch: EpochName, { number, id }: EpochName): void {
    const { site, topic, report } = this.#settings;
    const text = `epoch ${number} (${id}) stands in the topic ${topic} before the claim of epoch ${epoch.number} (${epoch.id})`;
    report({ level: 'warn', event: 'claim-void', message: `${text}: ${site} has to claim a higher one`, details: { epoch } });
    this.#say({ kind: 'not-promised', epoch, text, highest: { number, id } });
  }

  async #lend(after: ExactPosition): Promise<void> {
    const promised = this.#promised;
    if (promised === undefined) return this.#say({ kind: 'not-lent', text: 'nothing was promised' });
    const from = await this.#placeOf(after, promised.offset);
    if (from === undefined) {
      const text = `the topic ${this.#settings.topic} does not reach back to ${formatPosition(after)}, or not within ${MOST_RECORDS} records`;
      return this.#say({ kind: 'not-lent', text });
    }
    const { topic, partition } = this.#settings;
    const frames = this.#frames();
    const turn = new Turn(this.#settings.clock);
    for await (const records of this.#topic.read(from, promised.offset)) {
      turn.restart();
      for (const record of records) {
        const placed = frames.take(record, this.#ours?.stream ?? null);
        if (placed === undefined || placed.frame.header.last.revision <= after.revision) continue;
        await this.#delivery.flowing();
        if (this.#delivery.isOver) return;
        const trailer = encodeTrailer({ topic, partition, offset: placed.offset });
        this.#delivery.hand({ type: 'frame', bytes: placed.frame.bytes, trailer, parsed: placed.frame });
        await turn.breathe();
      }
    }
  }

  /** An offset from which on the frames that follow a position can be read; undefined if they are not there. */
  async #placeOf(after: ExactPosition, end: bigint): Promise<bigint | undefined> {
    const { low } = await this.#topic.ends();
    for (let step = FIRST_STEP_RECORDS; ; step *= STEP_GROWTH) {
      const from = end - step > low ? end - step : low;
      const frames = this.#frames();
      for await (const records of this.#topic.read(from, end)) {
        const first = records.map(record => frames.take(record, this.#ours?.stream ?? null)).find(placed => placed !== undefined);
        if (first === undefined) continue;
        if (first.frame.header.base.revision <= after.revision) return from;
        break;
      }
      if (from === low || step >= MOST_RECORDS) return undefined;
    }
  }

  /** Makes frames of records; what does not count is passed over, and was reported when it was found first. */
  #frames(): FrameRecords {
    const { stream } = this.#ours!;
    return new FrameRecords(this.#settings.topic, () => undefined, tableOf(this.#searched), this.#claims.of(stream ?? ''));
  }

  async #search(low: bigint, end: bigint): Promise<ClaimSearch> {
    const search = new ClaimSearch(this.#searched, low, end);
    do for await (const records of this.#topic.read(search.from, search.end)) search.take(records);
    while (search.goesOn());
    return search;
  }

  get #searched(): SearchedTopic {
    const ours = this.#ours!;
    const unplaced = this.#view.claims.filter(
      ({ site, stream, offset }) => site !== ours.site && stream === ours.stream && offset === null,
    );
    return { ours, primary: this.#view.newest?.record.hello, claims: this.#claims, unplaced };
  }

  async #lookAtControl(): Promise<void> {
    for await (const records of this.#topic.lookAtControl()) {
      for (const record of records) {
        this.receivedBytes += record.value?.length ?? 0;
        this.#view.take(record, false);
      }
    }
    const reign = this.#view.newest?.record;
    if (reign?.claim !== undefined && reign.hello.stream !== null) {
      this.#claims.of(reign.hello.stream).takeClaim(BigInt(reign.claim.offset), reign.claim);
    }
    for (const { stream, epoch, offset } of this.#view.claims) {
      if (offset !== null) this.#claims.of(stream).takeClaim(BigInt(offset), epoch);
    }
  }

  #say(message: RoleMessage): void {
    this.#delivery.post({ type: 'role', from: this.#settings.farEnd.name, to: this.#settings.site, message });
  }
}
