import type { CloseReason, Hello, Message, Reason, ResumeHint } from '@evertree/core';
import { Heartbeat } from '../../wire/heartbeat.ts';
import type { PositionRecord } from '../control.ts';
import type { KafkaLimits, SubscribeOptions } from '../options.ts';
import type { PartitionReader } from '../broker.ts';
import type { Announced, ControlView } from './control-view.ts';
import type { ControlWriter } from './control-writer.ts';
import { TopicLink } from './link.ts';
import { OffsetKeeper } from './offsets.ts';
import { Reading } from './reading.ts';
import { Teller } from './teller.ts';

export interface TopicSessionOptions {
  readonly options: SubscribeOptions;
  readonly limits: KafkaLimits;
  readonly remote: string;
  readonly view: ControlView;
  /** The primary whose hello begins the link. */
  readonly primary: Announced;
  /** Of the topic; connected, and closed with the session. */
  readonly reader: PartitionReader;
  readonly openSnapshots: () => Promise<PartitionReader>;
  readonly spoilt: Set<string>;
  readonly writer: ControlWriter;
  readonly commit: (offset: bigint) => Promise<void>;
  /** The link is over; `here`: the site closed it. */
  readonly over: (here: boolean) => void;
  /** The topic can't be read any more. */
  readonly broken: (error: unknown) => void;
}

const FROM_BYTES = 8;
/** A link that lasted so long has lived, even if it carried nothing new. */
const LIVED_MS = 10_000;

/** One link through the topic, from the primary's hello to the end: what is read, what is told in `.control`, and whether the primary lives. */
export class TopicSession {
  readonly link: TopicLink;
  readonly #options: TopicSessionOptions;
  readonly #teller: Teller;
  readonly #heartbeat: Heartbeat;
  readonly #offsets: OffsetKeeper | undefined;
  #hello: (Hello & { readonly heartbeatMs: number }) | undefined;
  #reading: Reading | undefined;
  #positions: PositionRecord | undefined;
  readonly #beganAt: number;
  #carried = false;
  /** Something was told since the last beat. */
  #told = false;
  #state: { readonly state: 'replicate' | 'snapshot'; readonly reason: Reason | null } = { state: 'replicate', reason: null };
  #over: Promise<void> | undefined;

  constructor(options: TopicSessionOptions) {
    const { clock, random, report, groupId, site, commitMs } = options.options;
    const { record, saidAt } = options.primary;
    const { heartbeatMs: primaryHeartbeatMs, ...hello } = record.hello;
    this.#options = options;
    this.#beganAt = clock.monotonic();
    this.link = new TopicLink({
      remote: options.remote,
      clock,
      report,
      hello,
      lastSeen: Math.min(saidAt, clock.now()),
      sent: message => this.#sent(message),
      closedHere: (reason, explanation) => this.#end({ reason, explanation }),
    });
    this.#teller = new Teller({
      clock,
      random,
      from: Buffer.from(random.bytes(FROM_BYTES)).toString('hex'),
      pauseMs: options.limits.acknowledgeMs,
      retryMs: options.limits.retryMs,
      write: records => options.writer.write(records),
      accepting: accepting => this.link.accept(accepting),
      sent: bytes => {
        this.link.sentBytes += bytes;
      },
    });
    this.#heartbeat = new Heartbeat(clock, primaryHeartbeatMs, {
      receivedBytes: () => this.link.receivedBytes,
      reading: () => this.#reading?.idle ?? false,
      beat: () => this.#beat(),
      silent: () => this.#close('silent', `${hello.site} was not heard for three of its heartbeats`, false),
    });
    this.#heartbeat.sendEvery(options.limits.heartbeatMs);
    if (commitMs !== undefined) {
      this.#offsets = new OffsetKeeper({ clock, report, group: `${groupId}.${site}`, everyMs: commitMs, commit: options.commit });
    }
    this.#heartbeat.start();
  }

  /** It brought the site forward, or lasted. */
  get lived(): boolean {
    return this.#carried || this.#options.options.clock.monotonic() - this.#beganAt > LIVED_MS;
  }

  get from(): string {
    return this.#options.primary.from;
  }

  /** The primary was heard just now. */
  heard({ record, from }: Announced, bytes: number): void {
    if (from !== this.from) {
      this.#close('replaced', `${record.hello.site} began anew`, true);
      return;
    }
    this.link.receivedBytes += bytes;
    this.link.lastSeen = this.#options.options.clock.now();
    if (record.closing !== undefined) this.finish(record.closing);
  }

  /** Another snapshot was announced. */
  announced(): void {
    this.#reading?.announced();
  }

  /** The primary is gone, and says why: what it wrote before is still handed up. */
  finish({ reason, explanation }: { readonly reason: CloseReason; readonly explanation: string }): void {
    this.#reading?.finish(() => this.#close(reason, explanation, true));
  }

  /** The broker can't be read any more. */
  lost(reason: 'lost' | 'silent', explanation: string): void {
    this.#close(reason, explanation, false);
  }

  /** Resolves when nothing is left of it, which may take as long as the broker takes for its last word. */
  async close(): Promise<void> {
    this.link.close('going-away', 'the secondary stops');
    await this.#over;
  }

  #sent(message: Message): void {
    switch (message.type) {
      case 'hello':
        return this.#greet(message.hello, message.resume);
      case 'acknowledge':
        return this.#acknowledge({ applied: message.applied, durable: message.durable });
      case 'resend':
        return this.#reading?.resend(message.after);
      default:
        throw new Error(`a secondary sends no ${message.type}`);
    }
  }

  #greet(hello: Hello, resume: ResumeHint | undefined): void {
    const { options, limits, view, reader, openSnapshots, spoilt, primary } = this.#options;
    this.#hello = { ...hello, heartbeatMs: limits.heartbeatMs };
    this.#tellState();
    this.#positions = { applied: hello.position, durable: hello.position };
    const { clock, report, topic } = options;
    const reading = new Reading(
      {
        clock,
        report,
        topic,
        partition: primary.record.partition,
        link: this.link,
        view,
        reader,
        openSnapshots,
        spoilt,
        tell: {
          state: (state, reason) => {
            this.#state = { state, reason };
            this.#tellState();
          },
          want: value => this.#teller.put({ kind: 'want', site: hello.site, value }),
        },
        handed: (last, end) => this.#offsets?.handed(last, end),
        lost: explanation => this.lost('lost', explanation),
      },
      hello,
      resume,
    );
    this.#reading = reading;
    const { closing } = (view.primary?.from === this.from ? view.primary : primary).record;
    if (closing !== undefined) this.finish(closing);
    reading.run().catch((error: unknown) => {
      if (!this.link.isOver) this.#options.broken(error);
    });
  }

  #acknowledge(positions: PositionRecord): void {
    this.#positions = positions;
    this.#carried ||= positions.applied.revision > (this.#hello?.position.revision ?? 0);
    this.#offsets?.durable(positions.durable);
    this.#tellPositions();
  }

  #beat(): void {
    const told = this.#told;
    this.#told = false;
    if (told) return;
    this.#tellPositions();
    this.#told = false;
    const want = this.#reading?.want;
    if (want !== undefined && this.#hello !== undefined) this.#teller.put({ kind: 'want', site: this.#hello.site, value: want });
  }

  #tellPositions(): void {
    if (this.#hello === undefined || this.#positions === undefined) return;
    this.#told = true;
    this.#teller.put({ kind: 'position', site: this.#hello.site, value: this.#positions });
  }

  #tellState(closing?: { readonly reason: CloseReason; readonly explanation: string }): void {
    const hello = this.#hello;
    if (hello === undefined) return;
    this.#teller.put({ kind: 'site', site: hello.site, value: { hello, ...this.#state, ...(closing === undefined ? {} : { closing }) } });
  }

  /** Ends the link at the far side. */
  #close(reason: CloseReason, explanation: string, byPeer: boolean): void {
    if (this.link.isOver) return;
    this.link.end(reason, explanation, byPeer);
    this.#end(undefined);
  }

  /** @param closing what the site says when it was it that closed */
  #end(closing: { readonly reason: CloseReason; readonly explanation: string } | undefined): void {
    this.#heartbeat.stop();
    this.#offsets?.stop();
    this.#reading?.announced();
    if (closing !== undefined) this.#tellState(closing);
    this.#over = Promise.all([this.#teller.finish(), this.#options.reader.close()]).then(() => undefined);
    this.#options.over(closing !== undefined);
  }
}
