import { isBefore } from '@evertree/core';
import type { Clock, ExactPosition, Hello, Reason, Reporter, ResumeHint } from '@evertree/core';
import type { SnapshotRecord, WantRecord } from '../control.ts';
import { isKafkaError } from '../broker.ts';
import type { PartitionReader } from '../broker.ts';
import { decodeTrailer, encodeTrailer } from '../trailer.ts';
import type { ControlView } from './control-view.ts';
import { FrameSource } from './frame-source.ts';
import type { TopicLink } from './link.ts';
import { Locator } from './locator.ts';
import type { Step } from './locator.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { handSnapshot, handUp } from './snapshot-reading.ts';
import { Starvation } from './starvation.ts';
import type { PlacedFrame } from './topic-intake.ts';

export interface ReadingOptions {
  readonly clock: Clock;
  readonly report: Reporter;
  readonly topic: string;
  readonly partition: number;
  readonly link: TopicLink;
  readonly view: ControlView;
  /** Connected; nobody else uses it. */
  readonly reader: Pick<PartitionReader, 'offsets' | 'offsetAt' | 'fetch'>;
  /** Of `<topic>.snapshot`; closed by whom it was opened for. */
  readonly openSnapshots: () => Promise<Pick<PartitionReader, 'offsets' | 'fetch'> & AsyncDisposable>;
  /** Snapshots that turned out not to be whole, or gone; shared between links. */
  readonly spoilt: Set<string>;
  /** What the control topic is to say of this site. */
  readonly tell: {
    state(state: 'replicate' | 'snapshot', reason: Reason | null): void;
    want(want: WantRecord | null): void;
  };
  /** A frame was handed up, or a snapshot: `end` is the offset of its last record, or of the record before what follows it. */
  readonly handed: (last: ExactPosition, end: string) => void;
  /** Only another link helps. */
  readonly lost: (explanation: string) => void;
}

const OUT_OF_RANGE = 'OFFSET_OUT_OF_RANGE';
/** How often a place is looked for again for the sake of one gap, before a snapshot has to bridge it. */
const LOOKS_AGAIN = 2;
/** The longest that handing up frames holds the event loop before others get a turn. */
const SLICE_MS = 5;
/** How many of the primary's heartbeats a topic that holds nothing is given to fill. */
const PATIENCE_HEARTBEATS = 3;

type Next = Step | 'over';

/**
 * Reads a topic for one link: finds the site's place, hands up the frames from there, takes a snapshot where the topic alone does not lead
 * on. It reads only what the link takes.
 */
export class Reading {
  readonly #options: ReadingOptions;
  readonly #source: FrameSource;
  /** Null until the site has said hello, or taken a frame. */
  #stream: string | null = null;
  /** What the site holds once it has taken what was handed up. */
  #at: ExactPosition;
  #time: number | undefined;
  #known: string | undefined;
  #gapAt: number | undefined;
  #gaps = 0;
  #asked: ExactPosition | undefined;
  #want: WantRecord | undefined;
  readonly #starvation = new Starvation();
  #caughtUp = false;
  /** What lies before is history; frames after it tell that the primary lives. */
  #freshFrom: bigint | undefined;
  #news = Promise.withResolvers<void>();
  /** Frames and snapshots pass by until then; the topic's end counts once a fetch began after the primary said that it closes. */
  #closing: { readonly tell: () => void; fetched: boolean } | undefined;

  constructor(options: ReadingOptions, hello: Hello, resume: ResumeHint | undefined) {
    const { topic, partition, reader, report, view, link } = options;
    this.#options = options;
    this.#source = new FrameSource({
      reader,
      topic,
      report,
      stream: () => this.#stream ?? view.primary?.record.hello.stream ?? null,
      read: bytes => {
        link.receivedBytes += bytes;
      },
    });
    this.#stream = hello.stream;
    this.#at = hello.position;
    this.#time = resume?.time;
    const place = resume?.trailer && decodeTrailer(resume.trailer);
    if (place !== undefined && place.topic === topic && place.partition === partition) this.#known = place.offset;
  }

  /** Nothing is left to read, and the site takes what comes: only the primary's silence can be the reason. */
  get idle(): boolean {
    return this.#caughtUp && this.#options.link.flows;
  }

  /** What the site waits for, to be told again from time to time. */
  get want(): WantRecord | undefined {
    return this.#want;
  }

  /** Resolves when the link is over. Rejects when the broker can't be read any more. */
  async run(): Promise<void> {
    let next: Next = await this.#locate();
    while (next !== 'over') next = await this.#take(next);
  }

  /** The site saw a gap. */
  resend(after: ExactPosition): void {
    this.#asked = after;
  }

  /** Another snapshot was announced, or the link is over. */
  announced(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** The primary has gone: `tell` is called once everything it wrote is handed up. */
  finish(tell: () => void): void {
    this.#closing ??= { tell, fetched: false };
    this.announced();
  }

  #take(step: Step): Promise<Next> {
    switch (step.kind) {
      case 'follow':
        return this.#follow(undefined);
      case 'await':
        this.#source.seek(step.offset);
        return this.#follow(step.short);
      case 'snapshot':
        return this.#takeSnapshot(step.snapshot, step.reason);
      case 'want':
        return this.#waitForSnapshot(step.reason);
      case 'look':
        throw new Error('a look is part of locating');
    }
  }

  /** Finds the site's place in the topic; the source stands there then. */
  async #locate(missingBefore?: ExactPosition): Promise<Next> {
    const { reader, topic, view, report, link } = this.#options;
    this.#caughtUp = false;
    await this.#source.settle();
    const bounds = await reader.offsets();
    this.#freshFrom ??= bounds.high;
    const byTime = this.#time === undefined ? undefined : ((await reader.offsetAt(this.#time)) ?? bounds.high);
    const locator = new Locator({
      topic,
      bounds,
      stream: this.#stream,
      position: this.#at,
      known: this.#known === undefined ? undefined : BigInt(this.#known),
      byTime,
      snapshot: this.#presentSnapshot(),
      primary: view.primary?.record.hello.position ?? this.#at,
      missingBefore,
    });
    let step = locator.first();
    while (step.kind === 'look') {
      const placed = await this.#source.look(step.offset, bounds.high, () => link.isOver);
      if (link.isOver) return 'over';
      step = locator.judge(placed?.frame.header);
    }
    const { surprise } = locator;
    if (surprise !== undefined) report({ level: 'warn', event: 'topic-changed', message: surprise, details: { topic } });
    return step;
  }

  /** Hands up frames as long as they follow. `short`: why waiting for frames may be in vain. */
  async #follow(short: Reason | undefined): Promise<Next> {
    const { link, clock } = this.#options;
    const deadline = clock.monotonic() + PATIENCE_HEARTBEATS * this.#heartbeatMs;
    let sliceEnds = clock.monotonic() + SLICE_MS;
    let waits = short;
    for (;;) {
      if (!link.flows) await link.flowing();
      if (link.isOver) return 'over';
      if (this.#asked !== undefined) return this.#askedAgain(this.#asked);
      const placed = this.#source.take();
      if (placed === undefined) {
        const next = await this.#fillOrLocate();
        if (next !== undefined) return next;
        const snapshot = this.#presentSnapshot();
        if (this.#caughtUp && this.#starvation.unfed(this.#options.view.primary, snapshot, this.#at, this.#source.next)) {
          return this.#locate(snapshot?.header.position);
        }
        if (waits !== undefined && snapshot !== undefined) return this.#locate();
        if (waits !== undefined && clock.monotonic() > deadline && this.#primaryIsAhead) return { kind: 'want', reason: waits };
        sliceEnds = clock.monotonic() + SLICE_MS;
        continue;
      }
      const { base } = placed.frame.header;
      if (base.revision > this.#at.revision) return this.#again(base);
      waits = undefined;
      this.#handFrame(placed);
      if (clock.monotonic() > sliceEnds) {
        await this.#turn();
        sliceEnds = clock.monotonic() + SLICE_MS;
      }
    }
  }

  /** Fetches more; a step when the topic does not go on there. */
  async #fillOrLocate(): Promise<Next | undefined> {
    const { link, clock } = this.#options;
    const from = this.#source.next;
    const closing = this.#closing;
    try {
      const high = await this.#source.fill();
      const { next } = this.#source;
      this.#caughtUp = next >= high || next === from;
      if (next !== from) this.#starvation.fed();
      if (next !== from && this.#freshFrom !== undefined && next > this.#freshFrom) link.lastSeen = clock.now();
    } catch (error) {
      // Retention has passed by, or the topic was made anew.
      if (isKafkaError(error, OUT_OF_RANGE)) return this.#locate();
      throw error;
    }
    if (closing !== undefined && this.#source.next === from) {
      if (closing.fetched) closing.tell();
      closing.fetched = true;
    }
    return undefined;
  }

  #handFrame({ frame, offset, end }: PlacedFrame): void {
    const { link, topic, partition, handed } = this.#options;
    const { last, stream, lastTime } = frame.header;
    if (this.#want !== undefined) this.#unwant();
    if (!isBefore(last, this.#at)) {
      this.#at = last;
      this.#stream ??= stream;
      this.#known = offset;
      this.#time = lastTime;
    }
    handed(last, end);
    link.hand({ type: 'frame', bytes: frame.bytes, trailer: encodeTrailer({ topic, partition, offset }) });
  }

  #askedAgain(after: ExactPosition): Promise<Next> {
    this.#asked = undefined;
    if (after.revision < this.#at.revision) {
      this.#known = undefined;
      this.#time = undefined;
    }
    this.#at = after;
    return this.#again(undefined);
  }

  /** Frames are missing after what the site holds: looks again, in vain a few times, then for a way around. */
  #again(base: ExactPosition | undefined): Promise<Next> {
    if (this.#gapAt !== this.#at.revision) {
      this.#gapAt = this.#at.revision;
      this.#gaps = 0;
    }
    this.#gaps += 1;
    return this.#locate(this.#gaps > LOOKS_AGAIN ? (base ?? this.#options.view.primary?.record.hello.position) : undefined);
  }

  async #waitForSnapshot(reason: Reason): Promise<Next> {
    const { tell, view, link } = this.#options;
    this.#want = { after: this.#at, reason, tried: view.snapshot?.id ?? null };
    tell.want(this.#want);
    this.#caughtUp = true;
    const tried = view.snapshot?.id;
    while (view.snapshot?.id === tried && !link.isOver) {
      const news = this.#news.promise;
      if (this.#closing !== undefined) this.#closing.tell();
      await news;
    }
    return link.isOver ? 'over' : this.#locate();
  }

  async #takeSnapshot(snapshot: SnapshotRecord, reason: Reason): Promise<Next> {
    const { link, tell, spoilt, lost } = this.#options;
    const intake = new SnapshotIntake(snapshot, `${this.#options.topic}.snapshot`, this.#options.report);
    await using reader = await this.#options.openSnapshots();
    const { low } = await reader.offsets();
    if (low > BigInt(snapshot.begin)) {
      spoilt.add(snapshot.id);
      return this.#locate();
    }
    tell.state('snapshot', reason);
    await handUp(link, { type: 'snapshot-begin', header: snapshot.header, reason });
    try {
      await handSnapshot(link, reader, intake);
    } catch (error) {
      if (!isKafkaError(error, OUT_OF_RANGE) && !isDamaged(error)) throw error;
      // The site has begun it, and the wire has no word for «forget it»: the next link begins anew.
      spoilt.add(snapshot.id);
      lost(error instanceof Error ? error.message : String(error));
    }
    if (link.isOver) return 'over';
    tell.state('replicate', null);
    this.#reached(snapshot);
    this.#source.seek(BigInt(snapshot.follow));
    return { kind: 'follow' };
  }

  #reached({ header, follow }: SnapshotRecord): void {
    this.#at = header.position;
    this.#stream = header.stream;
    this.#time = header.time;
    this.#known = undefined;
    this.#options.handed(header.position, String(BigInt(follow) - 1n));
    this.#unwant();
  }

  #unwant(): void {
    if (this.#want === undefined) return;
    this.#want = undefined;
    this.#options.tell.want(null);
  }

  #presentSnapshot(): SnapshotRecord | undefined {
    const { view, spoilt } = this.#options;
    const { snapshot } = view;
    return snapshot === undefined || spoilt.has(snapshot.id) ? undefined : snapshot;
  }

  get #primaryIsAhead(): boolean {
    const position = this.#options.view.primary?.record.hello.position;
    return position !== undefined && position.revision > this.#at.revision;
  }

  get #heartbeatMs(): number {
    return this.#options.view.primary?.record.hello.heartbeatMs ?? 0;
  }

  #turn(): Promise<void> {
    return new Promise(resolve => this.#options.clock.soon(resolve));
  }
}

function isDamaged(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'DAMAGED' || error.code === 'PROTOCOL_VIOLATION');
}
