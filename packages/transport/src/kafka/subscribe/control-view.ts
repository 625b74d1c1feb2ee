import { compareEpochs, highestEpoch, isEvertreeError } from '@evertree/core';
import type { Hello, Reporter } from '@evertree/core';
import { decodeControl } from '../control.ts';
import type { PrimaryRecord, SnapshotRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import { PassedOver } from '../passed-over.ts';

/** What a primary said last. */
export interface Announced {
  readonly record: PrimaryRecord;
  readonly from: string;
  /** When it said so, milliseconds since 1970 on its own clock. */
  readonly saidAt: number;
}

/** What a record of `.control` means to a secondary. */
export type News = 'primary' | 'snapshot' | undefined;

/** Of the others' writers that gave way, how many are remembered: one that goes on nevertheless is not heard. */
const SUPERSEDED_MOST = 16;

/** What `.control` tells a secondary: who the primary is, and which snapshot is the newest. The other secondaries' records are not read. */
export class ControlView {
  readonly #passed: PassedOver;
  readonly #report: Reporter;
  readonly #topic: string;
  readonly #superseded: string[] = [];
  #primary: Announced | undefined;
  #snapshot: SnapshotRecord | undefined;
  #rival = '';

  constructor(topic: string, report: Reporter) {
    this.#topic = topic;
    this.#report = report;
    this.#passed = new PassedOver(topic, report);
  }

  get primary(): Announced | undefined {
    return this.#primary;
  }

  get snapshot(): SnapshotRecord | undefined {
    return this.#snapshot;
  }

  /** Takes the next record. `silent`: the primary heard last is not there any more, so another one of its epoch may take its place. */
  take(record: ReceivedRecord, silent: boolean): News {
    const key = record.key?.toString() ?? '';
    if (/^(?:site|position|want)\//.test(key)) return undefined;
    try {
      const { control, from } = decodeControl(record);
      this.#passed.end();
      if (control.kind === 'primary') return this.#hear({ record: control.value, from, saidAt: Number(record.timestamp) }, silent);
      if (control.kind !== 'snapshot') return undefined;
      this.#snapshot = control.value;
      return 'snapshot';
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      this.#passed.add(record.offset, error.message);
      return undefined;
    }
  }

  #hear(heard: Announced, silent: boolean): News {
    const present = this.#primary;
    if (present !== undefined && heard.from !== present.from) {
      if (!this.#givesWay(present, heard, silent)) return this.#ignore(present, heard);
      this.#superseded.push(present.from);
      if (this.#superseded.length > SUPERSEDED_MOST) this.#superseded.shift();
    }
    this.#primary = heard;
    return 'primary';
  }

  /** The higher epoch has the place; in one epoch, the same site's newer link, or anybody once the present one is gone. */
  #givesWay(present: Announced, heard: Announced, silent: boolean): boolean {
    const order = compareEpochs(epochOf(heard.record.hello), epochOf(present.record.hello));
    if (order !== 0) return order > 0;
    if (silent || present.record.closing !== undefined) return true;
    return heard.record.hello.site === present.record.hello.site && !this.#superseded.includes(heard.from);
  }

  #ignore(present: Announced, heard: Announced): undefined {
    if (this.#rival === heard.from) return;
    this.#rival = heard.from;
    const { site } = heard.record.hello;
    this.#report({
      level: 'warn',
      event: 'second-primary',
      message:
        `${site} announces itself in ${this.#topic} as a primary, and so does ${present.record.hello.site}, which is followed: ` +
        'a topic belongs to one primary, stop the other',
      details: { site, followed: present.record.hello.site },
    });
  }
}

function epochOf(hello: Hello) {
  return highestEpoch(hello.epochs, hello.position);
}
