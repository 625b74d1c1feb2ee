import { type Clock, type ExactPosition, formatPosition } from '@evertree/core';
import type { Opening } from '../encryption/sealing.ts';
import type { ArchiveLine, TailNote } from '../format/manifest.ts';
import { prefetch } from '../reading/prefetch.ts';
import type { FindingList } from './archive-finding.ts';
import type { FoundTail, FramesObject, LineSection, NeededObject, TailObject } from './line-history.ts';
import { neededObjects, sectionsOf } from './line-history.ts';
import { type CheckedObject, FETCHED_AHEAD, type ObjectCheck } from './object-check.ts';
import { type RestorableSpan, restorableSpans } from './restorable-spans.ts';
import { SectionWalk, type WalkCounts } from './section-walk.ts';
import type { StoredObjects } from './stored-objects.ts';
import { TailOrder } from './tail-order.ts';
import type { VerifiedMemory } from './verified-memory.ts';

export interface LineProofOptions {
  readonly line: ArchiveLine;
  readonly stream: string;
  readonly stored: StoredObjects;
  readonly check: ObjectCheck;
  readonly memory: VerifiedMemory;
  readonly list: FindingList;
  readonly opening: Opening;
  readonly clock: Clock;
  /** Is told after each object; what is remembered may be written down then. */
  proceeded(): Promise<void>;
  /** By the target's time. */
  readonly time: number;
}

/** Proves one line of an archive. */
export class LineProof {
  readonly line: ArchiveLine;
  /** Set by `order`. */
  sections: readonly LineSection[] = [];
  /** In the order of the history. */
  needed: readonly NeededObject[] = [];
  readonly counts: WalkCounts = { images: 0, frames: 0, rebuiltCommits: 0 };
  readonly #options: LineProofOptions;
  readonly #tails = new Map<string, TailOrder>();
  /** Where objects of tails end that were read. */
  readonly #tailEnds = new Map<string, ExactPosition>();

  constructor(options: LineProofOptions) {
    this.#options = options;
    this.line = options.line;
  }

  /** Level 0: the order of the line, and that nothing went which was there before. */
  async order(): Promise<void> {
    const { line, stored, memory, list } = this.#options;
    const tails: FoundTail[] = [];
    for (const note of line.tails) {
      const objects = (stored.tails.get(note.path) ?? []).map(object => ({ kind: 'tail', tail: note, ...object }) as const);
      const verified = memory.tails.get(note.path);
      this.#tails.set(note.path, new TailOrder(line.id, note, verified, list));
      tails.push(await this.#found(note, objects));
      const last = objects.at(-1)?.number ?? note.from - 1;
      if (verified === undefined || verified.number <= last) continue;
      const problem = `it is missing: the tail went on to object ${verified.number}, at ${formatPosition(verified.last)}, when it was verified before`;
      const object = `${note.path}/${String(last + 1).padStart(10, '0')}`;
      list.add({ level: 0, object, line: line.id, revision: note.base.revision, problem });
    }
    this.sections = sectionsOf(line, tails, list);
    this.needed = neededObjects(this.sections);
    this.#compareEnd();
  }

  /** Level 1: the sums of the objects that are due. */
  async sums(due: ReadonlySet<string>): Promise<void> {
    const { memory, time } = this.#options;
    const objects = this.needed.filter(({ path }) => due.has(path));
    for await (const [object, checked] of prefetch(objects, FETCHED_AHEAD, async each => [each, await this.#fetch(each)] as const)) {
      if (checked === undefined || (object.kind !== 'part' && !this.#arrived(object, checked))) memory.forget(object.path);
      else memory.verified(object.path, checked.head.sha256, 1, time);
      await this.#options.proceeded();
    }
  }

  /** Level 2: the frames and images that are due. */
  async rebuild(due: ReadonlySet<string>): Promise<void> {
    const { stream, opening, list, memory, time, clock } = this.#options;
    for (const section of this.sections) {
      const walk = new SectionWalk({
        section,
        clock,
        stream,
        opening,
        list,
        due,
        fetch: object => this.#fetch(object),
        arrived: (object, checked) => this.#arrived(object, checked),
        proven: async (object, sum) => {
          if (!list.has(object.path)) memory.verified(object.path, sum, 2, time);
          await this.#options.proceeded();
        },
      });
      await walk.run();
      for (const key of ['images', 'frames', 'rebuiltCommits'] as const) this.counts[key] += walk.counts[key];
    }
  }

  /** What can be restored of the line, without what was found to be unsound. */
  restorable(): RestorableSpan[] {
    const { list } = this.#options;
    return restorableSpans(this.sections, { isUnsound: path => list.has(path), tailEnd: path => this.#tailEnds.get(path) });
  }

  /** Forgets what is not sound, and remembers how far the tails were followed. */
  remember(): void {
    const { memory, list } = this.#options;
    for (const { path } of this.needed) if (list.has(path)) memory.forget(path);
    for (const [path, { followed, isExchanged }] of this.#tails) {
      if (followed === undefined || isExchanged) memory.tails.delete(path);
      else memory.tails.set(path, followed);
      // The next verification follows all of it: the other object is found by what comes before it then.
      if (isExchanged)
        for (const object of this.needed) if (object.kind === 'tail' && object.tail.path === path) memory.forget(object.path);
    }
  }

  async #fetch(object: NeededObject): Promise<CheckedObject | undefined> {
    const { check, list } = this.#options;
    return list.has(object.path) ? undefined : check.fetch(object, this.line.id);
  }

  #arrived(object: FramesObject, checked: CheckedObject): boolean {
    if (object.kind === 'stretch') return true;
    if (checked.head.kind === 'frames') this.#tailEnds.set(object.path, checked.head.header.last);
    return this.#tails.get(object.tail.path)!.take(object, checked, this.#options.memory.objects.get(object.path)?.sum);
  }

  /** The objects of a tail that count, and where they end. The last one is read, unless it was verified before. */
  async #found(note: TailNote, objects: readonly TailObject[]): Promise<FoundTail> {
    const { tails } = this.line;
    const limit = tails[tails.indexOf(note) + 1]?.base.revision;
    const counted = limit === undefined ? objects : await this.#before(objects, limit);
    const last = counted.at(-1);
    const verified = this.#options.memory.tails.get(note.path);
    if (last === undefined) return { note, objects: counted, end: undefined };
    if (verified?.number === last.number) {
      return { note, objects: counted, end: { position: verified.last, chain: verified.chain, digest: verified.digest } };
    }
    const checked = await this.#fetch(last);
    if (checked?.head.kind !== 'frames') return { note, objects: counted, end: undefined };
    const { last: position, chain, digest } = checked.head.header;
    return { note, objects: counted, end: { position, chain, digest } };
  }

  /** Whoever lost a line may have written on into its tail: that does not count from where the next tail begins. */
  async #before(objects: readonly TailObject[], limit: number): Promise<readonly TailObject[]> {
    let [low, high] = [0, objects.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const checked = await this.#fetch(objects[middle]!);
      const counts = checked?.head.kind !== 'frames' || checked.head.header.base.revision < limit;
      if (counts) low = middle + 1;
      else high = middle;
    }
    return objects.slice(0, low);
  }

  /** A line only grows at its end. */
  #compareEnd(): void {
    const { memory, list, line } = this.#options;
    const before = memory.endOf(line.id);
    const end = this.sections.at(-1)?.end?.position;
    if (before === undefined || end === undefined || end.revision >= before.revision) return;
    const object = this.needed.at(-1)?.path ?? line.id;
    const problem = `the line ends with it at ${formatPosition(end)}, and went on to ${formatPosition(before)} when it was verified before: the end is missing`;
    list.add({ level: 0, object, line: line.id, revision: end.revision, problem });
  }
}
