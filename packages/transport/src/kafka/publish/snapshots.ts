import type { ExactPosition, Message, Reason } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import { asBrokerError } from '../broker.ts';
import type { Aside } from './aside.ts';
import type { Once } from './once.ts';
import type { Session } from './session.ts';
import type { Want } from './snapshot-need.ts';
import type { SnapshotWriter } from './snapshot-writer.ts';
import { Watch } from './watch.ts';

export interface SnapshotsOptions {
  readonly session: Session;
  readonly once: Once;
  readonly aside: Aside;
  /** The stream of this primary, as far as it has one. */
  stream(): string | null;
  /** The offset that the next frame gets, as far as is known. */
  next(): bigint;
  /** From which offset on a tree at this revision finds everything that follows it. */
  follow(revision: number): bigint;
  wants(): readonly Want[];
  /** The offset after the last frame of another writer that was seen. */
  foreignTo(): bigint | undefined;
  /** A snapshot is to be made beside the frames. `id`: the answer repeats it. */
  wanted(id: number, reason: Reason): void;
  /** The topic goes on from a snapshot: it stands there. */
  acknowledged(position: ExactPosition): void;
  cut(explanation: string): void;
  failed(error: unknown): void;
}

/** A snapshot that was asked for has begun by then, or is asked for again when it is still due. */
const ASKED_MS = 60_000;
/**
 * After a snapshot there is a rest of so many times as long as it took, and at least until the next look at the watermarks: one that nobody can
 * use may lead to the next, and making them must not become all that this site does.
 */
const REST_FACTOR = 10;

/** The snapshots beside the topic: asks for one when it is due, takes it, tells of it, and lets old ones go. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #watch: Watch;
  /** The request that no snapshot has answered yet. */
  #asked: { readonly id: number; readonly patience: Disposable } | undefined;
  /** The id of the last request. */
  #lastId = 0;
  /** When the one under way began, and when the next one may; on the monotonic clock. */
  #begunAt = 0;
  #restsUntil = -Infinity;
  #stopped = false;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#watch = new Watch({
      session: options.session,
      next: () => options.next(),
      fits: snapshot => snapshot.header.stream === options.stream(),
      wants: () => options.wants(),
      foreignTo: () => options.foreignTo(),
      busy: () => this.#asked !== undefined || options.aside.busy || this.#rests,
      wanted: reason => this.#ask(reason),
      cut: explanation => options.cut(explanation),
      failed: error => options.failed(error),
    });
  }

  get #rests(): boolean {
    return this.#options.session.settings.clock.monotonic() < this.#restsUntil;
  }

  /** What the control topic said up to now has been read. */
  start(): void {
    this.#watch.start();
  }

  /** Somebody wants one: looked at now. */
  look(): void {
    this.#watch.look();
  }

  /** The control topic tells of one. @param time milliseconds since 1970 */
  heard(snapshot: SnapshotRecord, time: number): void {
    this.#watch.announced(snapshot, time);
  }

  /** `request` absent: it takes the place of frames that the topic lacks, and the topic stands there then. */
  begin({ header, reason, request }: Extract<Message, { type: 'snapshot-begin' }>): void {
    const { session, aside } = this.#options;
    if (request !== undefined && request === this.#asked?.id) this.#forgetAsked();
    this.#begunAt = session.settings.clock.monotonic();
    const id = Buffer.from(session.settings.random.bytes(8)).toString('hex');
    aside.beginSnapshot(id, header, reason, request !== undefined, this.#options.follow(header.position.revision));
  }

  /** One is whole, and the control topic tells of it. */
  announced(snapshot: SnapshotRecord, { header, aside }: SnapshotWriter): void {
    const { settings } = this.#options.session;
    const { snapshots } = settings.topics;
    const nowMs = settings.clock.monotonic();
    this.#restsUntil = nowMs + Math.max(settings.limits.watermarksMs, (nowMs - this.#begunAt) * REST_FACTOR);
    const before = this.#watch.newest;
    this.#watch.announced(snapshot, settings.clock.now());
    settings.report({
      level: 'info',
      event: 'topic-snapshot',
      message: `a snapshot of ${snapshot.bytes} bytes is in ${snapshots}`,
      details: { topic: snapshots, position: header.position, bytes: snapshot.bytes },
    });
    // One beside the frames says nothing of where the topic itself stands.
    if (!aside) this.#options.acknowledged(header.position);
    void this.#delete(BigInt(before?.begin ?? snapshot.begin));
  }

  stop(): void {
    this.#stopped = true;
    this.#watch.stop();
    this.#forgetAsked();
  }

  #ask(reason: Reason): void {
    const { clock } = this.#options.session.settings;
    this.#lastId += 1;
    this.#asked = { id: this.#lastId, patience: clock.after(ASKED_MS, () => this.#forgetAsked()) };
    this.#options.wanted(this.#lastId, reason);
  }

  #forgetAsked(): void {
    this.#asked?.patience[Symbol.dispose]();
    this.#asked = undefined;
  }

  /** The newest and the one before it stay: somebody may be reading that. */
  async #delete(before: bigint): Promise<void> {
    const { session, once } = this.#options;
    const { topics } = session.settings;
    try {
      await session.deleteSnapshotsBefore(before);
    } catch (error) {
      if (this.#stopped) return;
      once.tell('delete', {
        level: 'warn',
        event: 'snapshots-kept',
        message: `old snapshots stay in ${topics.snapshots}: ${asBrokerError(error).message}`,
      });
    }
  }
}
