import { compareEpochs, highestEpoch, isEvertreeError } from '@evertree/core';
import type { Hello, Reporter } from '@evertree/core';
import { decodeControl } from '../control.ts';
import type { AnnouncedClaim, PrimaryRecord, RoleRecord, SnapshotRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import { NewestTable } from '../newest-table.ts';
import { PassedOver } from '../passed-over.ts';

/** What a primary said in `.control`. */
export interface HeardPrimary {
  readonly record: PrimaryRecord;
  /** The 16 hex digits that the writer drew for its link; they tell its records from others. */
  readonly from: string;
  /** When it said so, milliseconds since 1970 on its own clock. */
  readonly saidAt: number;
}

/** What a site said to this one about who leads, and the link that it said it on. */
export interface SaidRole {
  readonly role: RoleRecord;
  readonly from: string;
}

/** What a record of `.control` means to a secondary. */
export type News = 'primary' | 'snapshot' | 'claim' | undefined;

/** How many replaced writers are remembered, so that one that still writes is not followed again. */
const SUPERSEDED_MOST = 16;
/** Sites whose claims are remembered; the topic itself has them all. */
const CLAIMS_MOST = 256;

/**
 * What `.control` tells a secondary: who the primary is, and which snapshot is the newest. The records of other
 * secondaries are not decoded.
 */
export class ControlView {
  readonly #passed: PassedOver;
  readonly #report: Reporter;
  readonly #topic: string;
  /** This site's own name. What it said as a primary stands for its own reign: nobody below that is followed. */
  readonly #own: string;
  /** The `from` of the replaced writers, oldest first. */
  readonly #superseded: string[] = [];
  /** The last record of the primary that counts; it may be this site itself. */
  #primary: HeardPrimary | undefined;
  /** The newest snapshot that was announced. */
  #snapshot: SnapshotRecord | undefined;
  /** By the site that claims; its last one. */
  readonly #claims = new Map<string, AnnouncedClaim>();
  /** The other primary that was reported last. */
  #rival = '';

  constructor(topic: string, own: string, report: Reporter) {
    this.#topic = topic;
    this.#own = own;
    this.#report = report;
    this.#passed = new PassedOver(topic, report);
  }

  /** The primary to follow; undefined while there is none, or this site is it. */
  get primary(): HeardPrimary | undefined {
    return this.#isOwn(this.#primary) ? undefined : this.#primary;
  }

  /** The primary of the highest epoch that was heard, which may be this site itself. */
  get newest(): HeardPrimary | undefined {
    return this.#primary;
  }

  get snapshot(): SnapshotRecord | undefined {
    return this.#snapshot;
  }

  /** The last claim of each site. */
  get claims(): readonly AnnouncedClaim[] {
    return [...this.#claims.values()];
  }

  /**
   * Takes the next record.
   * @param silent whether the primary that is followed has fallen silent: another one of its epoch may then take its
   *   place
   */
  take(record: ReceivedRecord, silent: boolean): News {
    const key = record.key?.toString() ?? '';
    if (/^(?:site|position|want|role)\//.test(key)) return undefined;
    try {
      const { control, from } = decodeControl(record);
      this.#passed.end();
      if (control.kind === 'primary') return this.#hear({ record: control.value, from, saidAt: Number(record.timestamp) }, silent);
      if (control.kind === 'claim') return this.#takeClaim(control.site, control.value);
      if (control.kind !== 'snapshot') return undefined;
      // A late announcement of a superseded primary takes no newer one's place.
      const table = new NewestTable(this.#primary?.record.hello.epochs);
      if (this.#snapshot !== undefined && table.isSuperseded(control.value.header.position)) return undefined;
      this.#snapshot = control.value;
      return 'snapshot';
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      this.#passed.add(record.offset, error.message);
      return undefined;
    }
  }

  /** What a record says to this site about who leads; undefined if it says nothing of the kind. */
  roleIn(record: ReceivedRecord): SaidRole | undefined {
    if (record.key?.toString() !== `role/${this.#own}`) return undefined;
    try {
      const { control, from } = decodeControl(record);
      return control.kind === 'role' && control.value !== null ? { role: control.value, from } : undefined;
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      this.#passed.add(record.offset, error.message);
      return undefined;
    }
  }

  #takeClaim(site: string, claim: AnnouncedClaim | null): News {
    if (claim === null) this.#claims.delete(site);
    else if (this.#claims.size < CLAIMS_MOST || this.#claims.has(site)) this.#claims.set(site, claim);
    return 'claim';
  }

  #hear(heard: HeardPrimary, silent: boolean): News {
    const present = this.#primary;
    if (present !== undefined && heard.from !== present.from) {
      if (!this.#givesWay(present, heard, silent)) return this.#ignore(present, heard);
      this.#superseded.push(present.from);
      if (this.#superseded.length > SUPERSEDED_MOST) this.#superseded.shift();
    }
    this.#primary = heard;
    return 'primary';
  }

  /**
   * The primary of the higher epoch is followed. Within one epoch a newer link of the same site is, or any other
   * primary once the present one is silent.
   */
  #givesWay(present: HeardPrimary, heard: HeardPrimary, silent: boolean): boolean {
    const order = compareEpochs(epochOf(heard.record.hello), epochOf(present.record.hello));
    if (order !== 0) return order > 0;
    if (silent || present.record.closing !== undefined || this.#isOwn(present)) return true;
    return heard.record.hello.site === present.record.hello.site && !this.#superseded.includes(heard.from);
  }

  #isOwn(heard: HeardPrimary | undefined): boolean {
    return heard?.record.hello.site === this.#own;
  }

  #ignore(present: HeardPrimary, heard: HeardPrimary): undefined {
    if (this.#rival === heard.from || this.#isOwn(heard) || isLeaving(heard.record)) return;
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

/** It leads no more, and says so: it closes, or has handed over. */
function isLeaving({ hello, closing }: PrimaryRecord): boolean {
  return closing !== undefined || hello.epochs.at(-1)?.end !== undefined;
}

function epochOf(hello: Hello) {
  return highestEpoch(hello.epochs, hello.position);
}
