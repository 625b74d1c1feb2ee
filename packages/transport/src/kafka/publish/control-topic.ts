import type { Message } from '@evertree/core';
import type { Control, SnapshotRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import { PassedOver } from '../passed-over.ts';
import { ControlLoop } from './control-loop.ts';
import type { Once } from './once.ts';
import { Readers } from './readers.ts';
import type { Session } from './session.ts';
import type { Want } from './snapshot-need.ts';

export interface ControlTopicOptions {
  readonly session: Session;
  readonly once: Once;
  /** The signs of this end's links: what they wrote was nobody else. */
  readonly signs: ReadonlySet<string>;
  tell(control: Control): void;
  hand(message: Message): void;
  /** @param time milliseconds since 1970 */
  announced(snapshot: SnapshotRecord, time: number): void;
  /** The past has been read. */
  past(): void;
  /** A secondary says that it wants a snapshot. */
  wanted(): void;
  failed(error: unknown): void;
}

/** How long a fetch waits at the broker. */
const WAIT_MS = 500;

/** Reads the control topic, and hands up what it tells of the secondaries, once it is their turn. */
export class ControlTopic {
  readonly #options: ControlTopicOptions;
  readonly #readers: Readers;
  readonly #loop: ControlLoop;
  #isPast = false;
  #isGreeted = false;

  constructor(options: ControlTopicOptions) {
    this.#options = options;
    const { session } = options;
    const { topics, report, limits } = session.settings;
    this.#readers = new Readers({
      passed: new PassedOver(topics.control, report),
      other: (control, record, from, live) => this.#takeOther(control, record, from, live),
      twice: site => this.#tellTwice(site),
    });
    this.#loop = new ControlLoop({
      session,
      waitMs: Math.min(WAIT_MS, limits.heartbeatMs),
      take: (records, live) => this.#take(records, live),
      past: () => this.#past(),
      failed: error => options.failed(error),
    });
  }

  get wants(): Want[] {
    return this.#readers.wants;
  }

  start(): void {
    this.#loop.start();
  }

  /** The topic's hello has been handed up: what is known of the secondaries may follow. */
  greeted(): void {
    this.#isGreeted = true;
    this.#begin();
  }

  /** Finds who has fallen silent. */
  lapse(): void {
    this.#readers.lapse(this.#loop.asOf);
    this.#handNews();
  }

  /** Takes back what a secondary said. */
  forget(site: string): void {
    this.#readers.forget(site);
    for (const kind of ['site', 'position', 'want'] as const) this.#options.tell({ kind, site, value: null });
  }

  stop(): void {
    this.#loop.stop();
  }

  #take(records: readonly ReceivedRecord[], live: boolean): void {
    this.#readers.take(records, live, this.#options.session.settings.clock.monotonic());
    this.#handNews();
    if (live && this.#readers.wants.length > 0) this.#options.wanted();
  }

  #past(): void {
    this.#isPast = true;
    this.#options.past();
    this.#begin();
  }

  #begin(): void {
    if (!this.#isPast || !this.#isGreeted) return;
    for (const message of this.#readers.known()) this.#options.hand(message);
    this.#handNews();
  }

  #handNews(): void {
    if (!this.#isPast || !this.#isGreeted) return;
    for (const message of this.#readers.news()) this.#options.hand(message);
  }

  #tellTwice(site: string): void {
    const { topics } = this.#options.session.settings;
    this.#options.once.tell(`twice ${site}`, {
      level: 'warn',
      event: 'site-twice',
      message: `two secondaries in ${topics.control} call themselves ${site}, and each hides where the other stands: start one of them with another --site`,
      details: { site },
    });
  }

  #takeOther(control: Control & { kind: 'primary' | 'snapshot' }, record: ReceivedRecord, from: string, live: boolean): void {
    if (control.kind === 'snapshot') {
      this.#options.announced(control.value, Number(record.timestamp));
      return;
    }
    const { hello, closing } = control.value;
    if (!live || closing !== undefined || this.#options.signs.has(from)) return;
    const { topics, site } = this.#options.session.settings;
    this.#options.once.tell(`primary ${from}`, {
      level: 'warn',
      event: 'second-primary',
      message:
        `${hello.site} announces itself in ${topics.control} as a primary, and so does this site, ${site}: ` +
        'a topic belongs to one primary, stop the other',
      details: { site: hello.site, position: hello.position },
    });
  }
}
