import {
  type ArchivedObject,
  type ArchiveLine,
  type HeadState,
  type KeepRules,
  type Manifest,
  movingHead,
  Pin,
  prune,
  readHeadState,
  type Target,
} from '@evertree/archive';
import { isEvertreeError } from '@evertree/core';
import { setImmediate } from 'node:timers/promises';
import { CondemnedPaths } from '../../packages/archive/src/format/condemned.ts';
import { parseHead } from '../../packages/archive/src/format/head-codec.ts';
import { parseManifest } from '../../packages/archive/src/format/manifest-codec.ts';
import { manifestKey, tailKey } from '../../packages/archive/src/format/object-keys.ts';
import type { Chance } from '../simulation/chance.ts';
import { at, chainAt, image, initialized, lineOf, putEntry, stretch, STREAM } from './archive-entries.ts';
import { ManualClock } from './host.ts';
import { MemoryTarget } from './memory-target.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Which revisions can be restored with some entries, worked out one revision after the other. */
export function restorableRevisions(objects: readonly ArchivedObject[], end: number): ReadonlySet<number> {
  const images = new Set(objects.flatMap(entry => (entry.kind === 'image' ? [entry.position.revision] : [])));
  const covered = new Set<number>();
  for (const entry of objects) {
    if (entry.kind === 'stretch')
      for (let revision = entry.base.revision + 1; revision <= entry.last.revision; revision++) covered.add(revision);
  }
  const restorable = new Set<number>([0]);
  for (let revision = 1; revision <= end; revision++) {
    if (images.has(revision) || (restorable.has(revision - 1) && covered.has(revision))) restorable.add(revision);
  }
  return restorable;
}

/** Lets one call of the target after the other happen, of whoever is drawn. */
class Turns {
  readonly #chance: Chance;
  #waiting: (() => void)[] = [];

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  wait(): Promise<void> {
    return new Promise(resolve => void this.#waiting.push(resolve));
  }

  async give(): Promise<void> {
    const [next] = this.#waiting.splice(this.#chance.below(this.#waiting.length), 1);
    next?.();
    await setImmediate();
  }
}

/** A state that a writer has published. */
interface PublishedState {
  readonly revision: number;
  readonly archived: number;
}

/**
 * An archive that writers extend, readers read with a pin, and pruners prune, call by call in an order that is drawn. Time
 * passes meanwhile; each may die before any of its calls.
 */
export class PruneWorld {
  readonly clock = new ManualClock();
  readonly target = new MemoryTarget({ clock: this.clock });
  readonly rules: KeepRules & { readonly last: number; readonly withinMs: number };
  readonly #chance: Chance;
  readonly #turns: Turns;
  readonly #writers: { readonly line: string; readonly states: PublishedState[]; readonly tails: Map<string, number> }[] = [];
  readonly #held = new Map<Pin, Manifest>();
  readonly counts = { published: 0, rewritten: 0, deaths: 0, deleted: 0, lostPins: 0, read: 0 };
  #actors = 0;
  #drawn = 0;
  #isEnding = false;
  #failure: Error | undefined;
  /** HEAD, and what it named. */
  #seen: { readonly bytes: Buffer; readonly manifest: Manifest | undefined } | undefined;

  constructor(chance: Chance) {
    this.#chance = chance;
    this.#turns = new Turns(chance);
    this.rules = { last: 1 + chance.below(4), withinMs: (1 + chance.below(60)) * HOUR, atLeast: 1 };
  }

  async run(steps: number): Promise<void> {
    this.clock.advance(20_000 * DAY);
    await initialized(this.target);
    for (let index = 0; index < 2; index++) this.#begin(() => this.#write(index));
    for (let index = 0; index < 2; index++) this.#begin(() => this.#prune());
    for (let index = 0; index < 2; index++) this.#begin(() => this.#read());
    for (let step = 0; this.#actors > 0; step++) {
      this.#isEnding = step >= steps;
      await setImmediate();
      if (this.#turns.waiting === 0 || this.#chance.happens(0.1)) this.clock.advance(this.#passing());
      await this.#turns.give();
      this.#check();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Prunes in peace until nothing is left to be done. */
  async settle(): Promise<void> {
    for (let day = 0; day < 5; day++) {
      await prune(this.target, { rules: this.rules });
      this.#check();
      this.clock.advance(DAY + 2 * HOUR);
    }
  }

  /** Keys below which only what is named may be. */
  get data(): string[] {
    return this.target.keys.filter(key => /^(?:stretch|image|tail)\//.test(key));
  }

  get manifest(): Manifest | undefined {
    const bytes = this.target.objects.get('HEAD')!.bytes;
    if (bytes === this.#seen?.bytes) return this.#seen.manifest;
    const { manifest: sha256 } = parseHead(bytes);
    const manifest = sha256 === null ? undefined : parseManifest(this.target.bytes(manifestKey(sha256)), sha256);
    this.#seen = { bytes, manifest };
    return manifest;
  }

  namedBy({ lines }: Manifest): string[] {
    const entries = lines.flatMap(({ objects }) => objects.flatMap(entry => (entry.kind === 'image' ? entry.parts : [entry])));
    const tails = lines.flatMap(({ id, tails: notes }) => {
      const { tails: written } = this.#writers.find(({ line }) => line === id)!;
      return notes.flatMap(({ path, from }) => numbers(from, written.get(path) ?? 0).map(number => tailKey(path, number)));
    });
    return [...entries.map(({ path }) => path), ...tails];
  }

  #begin(act: () => Promise<void>): void {
    this.#actors++;
    void act()
      .catch((error: unknown) => (this.#failure ??= error as Error))
      .finally(() => this.#actors--);
  }

  #passing(): number {
    // A leap, as when a machine sleeps, loses the pins.
    if (this.#chance.happens(this.#held.size > 0 ? 0.002 : 0.03)) return this.#chance.below(30 * HOUR);
    return this.#chance.below((this.#held.size > 0 ? 15 : 40) * MINUTE);
  }

  /** A process of its own at the target. @param lives whether it dies some day */
  #client(lives: boolean): MemoryTarget {
    const client = this.target.client();
    if (!lives) client.dieAfter(this.#chance.below(12));
    for (const method of ['get', 'stat', 'create', 'replace', 'remove', 'now'] as const) {
      const call = client[method].bind(client) as (...args: unknown[]) => Promise<unknown>;
      Object.assign(client, {
        [method]: async (...args: unknown[]) => {
          await this.#turns.wait();
          return call(...args);
        },
      });
    }
    return client;
  }

  /** Whatever a process does until it dies. */
  async #process(act: (client: MemoryTarget) => Promise<void>): Promise<void> {
    while (!this.#isEnding) {
      const client = this.#client(this.#chance.happens(0.4));
      try {
        await act(client);
      } catch (error) {
        if (!client.isDead) throw error;
        this.counts.deaths++;
      }
    }
  }

  // Writers

  async #write(index: number): Promise<void> {
    const writer = { line: String(index + 1).repeat(16), states: [] as PublishedState[], tails: new Map<string, number>() };
    this.#writers.push(writer);
    await this.#process(async client => {
      const run = (++this.#drawn).toString(16).padStart(16, '0');
      const path = `tail/0000000001-${'e'.repeat(16)}-${index}-${run}`;
      let from = 1;
      for (let rounds = 1 + this.#chance.below(6); rounds > 0 && !this.#isEnding; rounds--) {
        await this.#extend(client, writer, run, from === 1 ? [] : numbers(1, from - 1).map(number => tailKey(path, number)), {
          path,
          from,
        });
        for (let count = this.#chance.below(3); count > 0; count--, from++) {
          await client.create(tailKey(path, from), Buffer.from('x'));
          writer.tails.set(path, from);
        }
      }
    });
  }

  /** Writes stretches, sometimes an image, and publishes them, sometimes much later. */
  async #extend(
    client: MemoryTarget,
    writer: { readonly line: string; readonly states: PublishedState[] },
    run: string,
    swallowed: readonly string[],
    tail: { readonly path: string; readonly from: number },
  ): Promise<void> {
    const { line } = writer;
    const { manifest } = await readHeadState(client);
    const before = endOf(manifest?.lines.find(({ id }) => id === line));
    const shape = numbers(1, 1 + this.#chance.below(3)).map(() => ({
      commits: 1 + this.#chance.below(3),
      isImage: this.#chance.happens(0.4),
      time: this.#time(),
    }));
    for (let attempt = 0; ; attempt++) {
      const added: ReturnType<typeof stretch | typeof image>[] = [];
      let end = before;
      for (const { commits, isImage, time } of shape) {
        const note = { line, time, run: `${run}-${attempt}` };
        added.push(stretch(end, end + commits, note));
        end += commits;
        if (isImage) added.push(image(end, note));
      }
      for (const entry of added) await putEntry(client, entry);
      if (this.#chance.happens(0.3)) await this.#sleep(this.#chance.below(60 * HOUR));
      try {
        const moved = await movingHead(client, state => this.#publication(state, { line, run, added, swallowed, tail }));
        this.#published(writer, moved.manifest!);
        this.counts.published++;
        return;
      } catch (error) {
        if (!isEvertreeError(error, 'COMPACTED')) throw error;
        this.counts.rewritten++;
      }
    }
  }

  #publication(
    { manifest, time }: HeadState,
    change: {
      readonly line: string;
      readonly run: string;
      readonly added: readonly ArchivedObject[];
      readonly swallowed: readonly string[];
      readonly tail: { readonly path: string; readonly from: number };
    },
  ) {
    const { line: id, run, added, swallowed, tail } = change;
    const lines = manifest?.lines ?? [];
    const present = lines.find(line => line.id === id) ?? lineOf([], { id, site: id });
    const paths = new Set(present.objects.map(entry => (entry.kind === 'image' ? entry.parts[0]!.path : entry.path)));
    const fresh = added.filter(entry => !paths.has(entry.kind === 'image' ? entry.parts[0]!.path : entry.path));
    if (fresh.length === 0) return undefined;
    const objects = [...present.objects, ...fresh];
    const end = endOf({ ...present, objects });
    const line = { ...present, run, objects, tails: [{ ...tail, base: at(end), previous: chainAt(end) }] };
    const condemned = manifest?.condemned ?? [];
    const known = new CondemnedPaths(condemned);
    const more = swallowed.filter(path => !known.has(path) && this.target.objects.has(path)).map(path => ({ path, bytes: 1, since: time }));
    return { manifest: { stream: STREAM, lines: [...lines.filter(other => other.id !== id), line], condemned: [...condemned, ...more] } };
  }

  #published({ line: id, states }: { readonly line: string; readonly states: PublishedState[] }, manifest: Manifest): void {
    for (const entry of manifest.lines.find(line => line.id === id)!.objects) {
      const revision = entry.kind === 'image' ? entry.position.revision : entry.last.revision;
      if (revision > (states.at(-1)?.revision ?? 0)) states.push({ revision, archived: entry.archived! });
    }
  }

  /** Commit times that are right, or forged. */
  #time(): number {
    const now = this.clock.now();
    return this.#chance.pick([now, now, now - this.#chance.below(DAY), 1, now * 2, now - 900 * DAY]);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => void this.clock.after(ms, resolve));
  }

  // Pruners and readers

  async #prune(): Promise<void> {
    await this.#process(async client => {
      const { deleted } = await prune(client, { rules: this.rules, graceMs: this.#chance.pick([HOUR, DAY]) });
      this.counts.deleted += deleted.objects;
      await this.#sleep(this.#chance.below(30 * HOUR));
    });
  }

  async #read(): Promise<void> {
    await this.#process(async client => {
      const { head, manifest } = await readHeadState(client);
      if (manifest === undefined) return this.#sleep(HOUR);
      // Sometimes it is slow to pin what it has read.
      if (this.#chance.happens(0.3)) await this.#sleep(this.#chance.below(40 * HOUR));
      const options = { manifest: head.manifest!, purpose: 'test', clock: this.clock, random: this.#chance, report: () => undefined };
      const pin = await Pin.hold(client as Target, options).catch((error: unknown) => {
        if (isEvertreeError(error, 'COMPACTED')) return undefined;
        throw error;
      });
      if (pin === undefined) return;
      this.#held.set(pin, manifest);
      await this.#sleep(this.#chance.below(40 * HOUR));
      if (pin.notHeld !== undefined) this.counts.lostPins++;
      else this.counts.read++;
      this.#held.delete(pin);
      await pin[Symbol.asyncDispose]();
    });
  }

  // What must hold after each step

  #check(): void {
    const { manifest } = this;
    if (manifest === undefined) return;
    this.#assertThere(manifest, 'the manifest that counts');
    for (const [pin, held] of this.#held) if (pin.notHeld === undefined) this.#assertThere(held, 'a pinned manifest');
    for (const { line, states } of this.#writers)
      this.#assertKept(
        manifest.lines.find(({ id }) => id === line),
        states,
      );
  }

  #assertThere(manifest: Manifest, what: string): void {
    for (const path of this.namedBy(manifest))
      if (!this.target.objects.has(path)) throw new Error(`${path} is missing, which ${what} names`);
  }

  #assertKept(line: ArchiveLine | undefined, states: readonly PublishedState[]): void {
    const newest = states.at(-1);
    if (newest === undefined) return;
    const restorable = restorableRevisions(line?.objects ?? [], newest.revision);
    const { last, withinMs } = this.rules;
    const due = [...states.slice(-last), ...states.filter(({ archived }) => archived >= newest.archived - withinMs)];
    for (const { revision } of due)
      if (!restorable.has(revision)) throw new Error(`revision ${revision} of line ${line!.id} can't be restored, and a rule keeps it`);
  }
}

function endOf(line: Pick<ArchiveLine, 'objects'> | undefined): number {
  return Math.max(0, ...(line?.objects ?? []).map(entry => (entry.kind === 'image' ? entry.position.revision : entry.last.revision)));
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
