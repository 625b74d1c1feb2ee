import { PROTOCOL_VERSIONS, isEvertreeError } from '@evertree/core';
import type { Hello, Message, Reporter } from '@evertree/core';
import { UNKNOWN_REASON, decodeControl } from '../control.ts';
import type { Control, PositionRecord, RoleRecord, SiteRecord, WantRecord } from '../control.ts';
import { PassedOver } from '../passed-over.ts';
import type { ReceivedRecord } from '../records.ts';
import type { ReportOnce } from './report-once.ts';
import type { Want } from './snapshot-need.ts';

/** Secondaries of one topic that are remembered; more are not heard. */
const MOST_SECONDARIES = 4096;
/** A secondary that is silent for so many of its heartbeats counts as gone. */
const SILENT_HEARTBEATS = 3;

/** A secondary that reads the topic, as it tells of itself in the control topic. */
interface Secondary {
  site: SiteRecord;
  /** The link of that secondary that said hello last. Only records of this link count. */
  from: string;
  /**
   * Undefined until a record tells them. Records from before this link began count until that link has told its own.
   */
  positions: PositionRecord | undefined;
  want: WantRecord | undefined;
  /** It was heard since this link began, and did not close or fall silent. */
  present: boolean;
  /** When it was heard last, milliseconds on the monotonic clock. */
  heard: number;
  /** To be handed up, in order; positions are told once, after them. */
  readonly news: Message[];
  /** `positions` are to be handed up. */
  moved: boolean;
  /** What it says about who leads; handed up last: what it said before ends with what these lead to. */
  readonly roles: Message[];
  /** Another link under its name that keeps writing positions, and since when it does. */
  rival: { readonly from: string; readonly since: number } | undefined;
  /** The link before, and what it had said of the site: its hello may have been the later one. */
  replaced: { readonly from: string; readonly site: SiteRecord } | undefined;
}

/** A record of the control topic that is about no secondary. */
export interface OtherRecord {
  readonly control: Control & { readonly kind: 'primary' | 'snapshot' };
  readonly from: string;
  /** When it was written, milliseconds since 1970. */
  readonly time: number;
}

/** What the control topic tells of the secondaries, made into messages for the producer. Pure but for its reports. */
export class Secondaries {
  readonly #known = new Map<string, Secondary>();
  /** This site's own name: it may have been a secondary here before. */
  readonly #own: string;
  readonly #topic: string;
  readonly #once: ReportOnce;
  readonly #passed: PassedOver;

  /** @param topic the control topic's name; @param own this site's name */
  constructor(topic: string, own: string, once: ReportOnce, report: Reporter) {
    this.#topic = topic;
    this.#own = own;
    this.#once = once;
    this.#passed = new PassedOver(topic, report);
  }

  /** The snapshots that secondaries wait for which are present and speak this protocol. */
  get wants(): Want[] {
    const wants: Want[] = [];
    for (const [site, { site: said, want, present }] of this.#known) {
      const isServed = present && said.hello.protocols.some(version => PROTOCOL_VERSIONS.includes(version));
      if (want !== undefined && isServed) wants.push({ site, after: want.after, tried: want.tried ?? undefined });
    }
    return wants;
  }

  /**
   * Takes records in order.
   * @param live whether they were written since this link began
   * @param now on the monotonic clock
   * @returns the records that are about no secondary
   */
  take(records: readonly ReceivedRecord[], live: boolean, now: number): OtherRecord[] {
    const others: OtherRecord[] = [];
    const newest = newestPositions(records);
    for (const [index, record] of records.entries()) {
      const key = record.key?.toString() ?? '';
      // Of a secondary's positions only the last counts: decoding the others would take most of the time spent here.
      if (key.startsWith('position/') && newest.get(key) !== index) continue;
      if (key.startsWith('role/') && (!live || key !== `role/${this.#own}`)) continue;
      const other = this.#takeOne(record, live, now);
      if (other !== undefined) others.push(other);
    }
    return others;
  }

  /** What there is to hand up since the last call. */
  *news(): Generator<Message> {
    for (const [site, secondary] of this.#known) {
      yield* secondary.news.splice(0);
      if (!secondary.moved) continue;
      secondary.moved = false;
      if (secondary.positions !== undefined) yield { type: 'acknowledge', site, ...secondary.positions };
    }
    for (const { roles } of this.#known.values()) yield* roles.splice(0);
  }

  /** The past has been read: tells of the secondaries known from it only. Comes before the first `news`. */
  *known(): Generator<Message> {
    for (const { site, positions, present } of this.#known.values()) {
      if (present) continue;
      const hello = helloOf(site);
      yield { type: 'reader', hello: positions === undefined ? hello : { ...hello, position: positions.durable }, present: false };
    }
  }

  /**
   * Finds the secondaries that have fallen silent.
   * @param asOf all records written before this time have been read; on the monotonic clock
   */
  lapse(asOf: number): void {
    for (const [site, secondary] of this.#known) {
      const { heartbeatMs } = secondary.site.hello;
      if (!secondary.present || asOf - secondary.heard < heartbeatMs * SILENT_HEARTBEATS) continue;
      secondary.present = false;
      const explanation = `nothing was heard from ${site} for three heartbeats`;
      secondary.news.push({ type: 'reader-lost', site, reason: 'silent', explanation });
    }
  }

  forget(site: string): void {
    this.#known.delete(site);
  }

  #takeOne(record: ReceivedRecord, live: boolean, now: number): OtherRecord | undefined {
    try {
      const { control, from } = decodeControl(record);
      this.#passed.end();
      if (control.kind === 'primary' || control.kind === 'snapshot') return { control, from, time: Number(record.timestamp) };
      if (control.kind === 'claim') return undefined;
      if (control.kind === 'role') this.#takeRole(control.value, from);
      else if (control.site === this.#own) return undefined;
      else if (control.value === null) this.#takeBack(control);
      else if (control.kind === 'site') this.#takeSite(control.site, control.value, from, live, now);
      else this.#takeWord(control, from, live, now);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      this.#passed.add(record.offset, error.message);
    }
    return undefined;
  }

  #takeBack({ kind, site }: Control & { kind: 'site' | 'position' | 'want' }): void {
    const secondary = this.#known.get(site);
    if (kind === 'site') this.#known.delete(site);
    else if (secondary !== undefined && kind === 'want') secondary.want = undefined;
  }

  #takeSite(name: string, site: SiteRecord, from: string, live: boolean, now: number): void {
    const before = this.#known.get(name);
    if (before === undefined && this.#known.size >= MOST_SECONDARIES) return this.#tellCrowded();
    const sameLink = before?.from === from;
    const secondary: Secondary = before ?? {
      site,
      from,
      positions: undefined,
      want: undefined,
      present: false,
      heard: now,
      news: [],
      moved: false,
      roles: [],
      rival: undefined,
      replaced: undefined,
    };
    const wasIn = sameLink && secondary.present ? secondary.site.state : undefined;
    this.#known.set(name, secondary);
    if (!sameLink && before !== undefined) secondary.replaced = { from: before.from, site: before.site };
    Object.assign(secondary, { site, from, heard: now });
    if (!sameLink) Object.assign(secondary, { positions: undefined, want: undefined, moved: false });
    if (!live) return;
    if (site.closing !== undefined) return close(name, secondary);
    if (wasIn !== site.state) greet(name, secondary);
  }

  /** Takes what a secondary says about who leads. It counts only from the link that said hello last, as on any wire. */
  #takeRole(said: RoleRecord | null, from: string): void {
    const secondary = said === null ? undefined : this.#known.get(said.from);
    if (said !== null && secondary?.present === true && secondary.from === from) secondary.roles.push({ type: 'role', ...said });
  }

  /** Takes a position or a want. It counts, also as a sign of life, only from the link that said hello last. */
  #takeWord(control: Control & { kind: 'position' | 'want' }, from: string, live: boolean, now: number): void {
    const secondary = this.#known.get(control.site);
    if (secondary === undefined || control.value === null) return;
    if (secondary.from !== from) {
      // Compaction keeps the newest record of each key: in the past, a position counts whichever link told it.
      if (!live && control.kind === 'position') secondary.positions = control.value;
      if (!live || control.kind !== 'position' || !this.#outlives(secondary, control.site, from, now)) return;
      returnTo(secondary, from);
    }
    secondary.heard = now;
    if (live && !secondary.present && secondary.site.closing === undefined) greet(control.site, secondary);
    if (control.kind === 'want') {
      secondary.want = control.value;
      return;
    }
    secondary.positions = control.value;
    // Also one that says nothing new: it is a sign of life.
    secondary.moved ||= live;
  }

  /**
   * A position came from another link than that which said hello last. Late records of the link before are expected; a
   * writer that goes on for longer is a second site of that name.
   * @returns whether the link that said hello last is silent instead: its hello came late, from before it died
   */
  #outlives(secondary: Secondary, site: string, from: string, now: number): boolean {
    const patienceMs = secondary.site.hello.heartbeatMs * SILENT_HEARTBEATS;
    const isOver = secondary.rival !== undefined && now - secondary.rival.since > patienceMs;
    if (secondary.rival === undefined || (secondary.rival.from !== from && isOver)) secondary.rival = { from, since: now };
    else if (isOver && now - secondary.heard > patienceMs) return true;
    else if (isOver) this.#tellTwice(site);
    return false;
  }

  #tellTwice(site: string): void {
    this.#once.tell(`twice ${site}`, {
      level: 'warn',
      event: 'site-twice',
      message: `two secondaries in ${this.#topic} call themselves ${site}, and each overwrites the position of the other: start one of them with another --site`,
      details: { site },
    });
  }

  #tellCrowded(): void {
    const message = `${MOST_SECONDARIES} secondaries are known in ${this.#topic} already; others are not heard`;
    this.#once.tell('crowded', { level: 'warn', event: 'secondaries-not-heard', message, details: { topic: this.#topic } });
  }
}

function greet(name: string, secondary: Secondary): void {
  const { site } = secondary;
  secondary.present = true;
  secondary.moved = secondary.positions !== undefined;
  secondary.news.push({ type: 'reader', hello: helloOf(site), present: true });
  if (site.state === 'snapshot') secondary.news.push({ type: 'reader-resync', site: name, reason: site.reason ?? UNKNOWN_REASON });
}

/** The link counts again. Without its own hello, that of the link which is silent stands for it: they are of one site. */
function returnTo(secondary: Secondary, from: string): void {
  const { closing: _, ...last } = secondary.site;
  const site = secondary.replaced?.from === from ? secondary.replaced.site : last;
  Object.assign(secondary, { from, site, present: false, rival: undefined, replaced: undefined });
}

function close(name: string, secondary: Secondary): void {
  const { reason = 'lost', explanation = '' } = secondary.site.closing ?? {};
  secondary.present = false;
  secondary.want = undefined;
  secondary.news.push({ type: 'reader-lost', site: name, reason, explanation });
}

function helloOf({ hello }: SiteRecord): Hello {
  const { heartbeatMs: _, ...said } = hello;
  return said;
}

/** For each key of positions, the index of its last record. */
function newestPositions(records: readonly ReceivedRecord[]): Map<string, number> {
  const newest = new Map<string, number>();
  for (const [index, { key }] of records.entries()) {
    const text = key?.toString() ?? '';
    if (text.startsWith('position/')) newest.set(text, index);
  }
  return newest;
}
