import { isEvertreeError } from '@evertree/core';
import type { Hello, Message, Reason } from '@evertree/core';
import { decodeControl } from '../control.ts';
import type { Control, PositionRecord, SiteRecord, WantRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import type { PassedOver } from '../passed-over.ts';
import type { Want } from './snapshot-need.ts';

/** Secondaries of one topic that are kept in mind; more are not heard. */
const MOST_READERS = 4096;
/** Heartbeats of its own that a secondary may stay silent. */
const SILENT_HEARTBEATS = 3;

/** A secondary that reads the topic, as it tells of itself in the control topic. */
interface Reader {
  site: SiteRecord;
  /** Who wrote it: one link of that secondary. */
  from: string;
  positions: PositionRecord | undefined;
  want: WantRecord | undefined;
  /** It was heard since this link began, and did not close or fall silent. */
  present: boolean;
  /** When it was heard last, milliseconds on the monotonic clock. */
  heard: number;
  /** To be handed up, in order; positions are told once, after them. */
  readonly news: Message[];
  moved: boolean;
  /** Another link under its name that goes on telling positions, and since when. */
  rival: { readonly from: string; readonly since: number } | undefined;
}

export interface ReadersOptions {
  readonly passed: PassedOver;
  /** Takes the records that are about no secondary. */
  other(control: Control & { kind: 'primary' | 'snapshot' }, record: ReceivedRecord, from: string, live: boolean): void;
  /** Two that live call themselves by this name. */
  twice(site: string): void;
}

/** What the control topic tells of the secondaries, made into messages for the producer. */
export class Readers {
  readonly #readers = new Map<string, Reader>();
  readonly #options: ReadersOptions;
  #crowded = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  /** What they want, of those that are there. */
  get wants(): Want[] {
    const wants: Want[] = [];
    for (const [site, { want, present }] of this.#readers) {
      if (want !== undefined && present) wants.push({ site, after: want.after, tried: want.tried ?? undefined });
    }
    return wants;
  }

  /**
   * Takes records in order. @param live whether they were written since this link began. @param now on the monotonic clock
   */
  take(records: readonly ReceivedRecord[], live: boolean, now: number): void {
    const newest = newestPositions(records);
    for (const [index, record] of records.entries()) {
      const key = record.key?.toString() ?? '';
      // Of a secondary's positions only the last counts: reading the others would cost more than everything else here.
      if (key.startsWith('position/') && newest.get(key) !== index) continue;
      this.#takeOne(record, live, now);
    }
  }

  /** What there is to hand up since the last call. */
  *news(): Generator<Message> {
    for (const [site, reader] of this.#readers) {
      yield* reader.news.splice(0);
      if (!reader.moved) continue;
      reader.moved = false;
      if (reader.positions !== undefined) yield { type: 'acknowledge', site, ...reader.positions };
    }
  }

  /** The past has been read: who is known from it is told. Comes before the first `news`. */
  *known(): Generator<Message> {
    for (const { site, positions, present } of this.#readers.values()) {
      if (present) continue;
      const hello = helloOf(site);
      yield { type: 'reader', hello: positions === undefined ? hello : { ...hello, position: positions.durable }, present: false };
    }
  }

  /** Finds who has fallen silent. @param asOf everything said up to then has been read; on the monotonic clock */
  lapse(asOf: number): void {
    for (const [site, reader] of this.#readers) {
      const { heartbeatMs } = reader.site.hello;
      if (!reader.present || asOf - reader.heard < heartbeatMs * SILENT_HEARTBEATS) continue;
      reader.present = false;
      const explanation = `nothing was heard from ${site} for three heartbeats`;
      reader.news.push({ type: 'reader-lost', site, reason: 'silent', explanation });
    }
  }

  forget(site: string): void {
    this.#readers.delete(site);
  }

  #takeOne(record: ReceivedRecord, live: boolean, now: number): void {
    try {
      const { control, from } = decodeControl(record);
      this.#options.passed.end();
      if (control.kind === 'primary' || control.kind === 'snapshot') this.#options.other(control, record, from, live);
      else if (control.value === null) this.#takeBack(control);
      else if (control.kind === 'site') this.#takeSite(control.site, control.value, from, live, now);
      else this.#takeWord(control, from, live, now);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      this.#options.passed.add(record.offset, error.message);
    }
  }

  #takeBack({ kind, site }: Control & { kind: 'site' | 'position' | 'want' }): void {
    const reader = this.#readers.get(site);
    if (kind === 'site') this.#readers.delete(site);
    else if (reader !== undefined && kind === 'want') reader.want = undefined;
  }

  #takeSite(name: string, site: SiteRecord, from: string, live: boolean, now: number): void {
    const before = this.#readers.get(name);
    if (before === undefined && this.#readers.size >= MOST_READERS) return this.#refuse(name);
    const sameLink = before?.from === from;
    const reader: Reader = before ?? {
      site,
      from,
      positions: undefined,
      want: undefined,
      present: false,
      heard: now,
      news: [],
      moved: false,
      rival: undefined,
    };
    const wasIn = sameLink && reader.present ? reader.site.state : undefined;
    this.#readers.set(name, reader);
    Object.assign(reader, { site, from, heard: now });
    if (!sameLink) Object.assign(reader, { positions: undefined, want: undefined, moved: false });
    if (!live) return;
    if (site.closing !== undefined) return close(name, reader);
    if (wasIn !== site.state) greet(name, reader);
  }

  /** A position, or a want: of the link whose hello came last, and a sign of life. */
  #takeWord(control: Control & { kind: 'position' | 'want' }, from: string, live: boolean, now: number): void {
    const reader = this.#readers.get(control.site);
    if (reader === undefined || control.value === null) return;
    if (reader.from !== from) {
      // Compaction keeps the newest of each kind: in the past, where it stood is worth knowing whoever said it.
      if (!live && control.kind === 'position') reader.positions = control.value;
      if (live && control.kind === 'position') this.#doubt(reader, control.site, from, now);
      return;
    }
    reader.heard = now;
    if (live && !reader.present && reader.site.closing === undefined) greet(control.site, reader);
    if (control.kind === 'want') {
      reader.want = control.value;
      return;
    }
    reader.positions = control.value;
    // Also one that says nothing new: it is a sign of life.
    reader.moved ||= live;
  }

  /** The last words of a link before are nothing strange; who goes on for longer is a second site of that name. */
  #doubt(reader: Reader, site: string, from: string, now: number): void {
    const patienceMs = reader.site.hello.heartbeatMs * SILENT_HEARTBEATS;
    if (reader.rival === undefined || (reader.rival.from !== from && now - reader.rival.since > patienceMs))
      reader.rival = { from, since: now };
    else if (now - reader.rival.since > patienceMs) this.#options.twice(site);
  }

  #refuse(site: string): void {
    if (this.#crowded) return;
    this.#crowded = true;
    this.#options.passed.add(site, `${MOST_READERS} secondaries are known here already`);
  }
}

const UNKNOWN_REASON: Reason = { code: 'other', text: 'it did not say why' };

function greet(name: string, reader: Reader): void {
  const { site } = reader;
  reader.present = true;
  reader.moved = reader.positions !== undefined;
  reader.news.push({ type: 'reader', hello: helloOf(site), present: true });
  if (site.state === 'snapshot') reader.news.push({ type: 'reader-resync', site: name, reason: site.reason ?? UNKNOWN_REASON });
}

function close(name: string, reader: Reader): void {
  const { reason = 'lost', explanation = '' } = reader.site.closing ?? {};
  reader.present = false;
  reader.want = undefined;
  reader.news.push({ type: 'reader-lost', site: name, reason, explanation });
}

function helloOf({ hello }: SiteRecord): Hello {
  const { protocols, program, site, role, stream, position, digest, epochs, durable } = hello;
  return { protocols, program, site, role, stream, position, digest, epochs, durable };
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
