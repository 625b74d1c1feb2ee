import { compareKeys } from './path-key.ts';
import type { RunBlock } from './run-block.ts';
import { BodyReader } from './run-block.ts';
import type { RunFile } from './run-file.ts';

/** A touch of a path that is known. */
export interface Posting {
  readonly revision: number;
  readonly operation: number;
  readonly isDelete: boolean;
}

const NOTHING = Buffer.alloc(0);

/**
 * Steps through the entries of a run's touches, in their order. `next` moves to the next entry in memory; where it
 * returns false, `load` reads the next leaf, or says that there is none.
 */
export class TouchCursor {
  readonly run: RunFile;
  /** The key of the entry; valid until the next step. */
  key: Buffer = Buffer.allocUnsafeSlow(256);
  keyLength = 0;
  // Where the entry's postings stand.
  #reader = new BodyReader(NOTHING, 0);
  #postingsAt = 0;
  #postingsEnd = 0;
  /** The inner blocks above the leaf, the root first, and where in each the leaf lies. */
  readonly #above: { readonly block: RunBlock; at: number }[] = [];
  #isBegun = false;

  constructor(run: RunFile) {
    this.run = run;
  }

  /** Moves before the first entry that may be at or after a key and a revision. `next` has to follow. */
  async seek(key: Uint8Array, length: number, revision: number): Promise<void> {
    const { touches } = this.run.description;
    this.#isBegun = true;
    this.#above.length = 0;
    this.#reader = new BodyReader(NOTHING, 0);
    if (touches === undefined) return;
    let block = this.run.cached(touches) ?? (await this.run.load(touches));
    while (block.height > 0) {
      const at = Math.max(0, block.search(key, length, revision - this.run.after));
      this.#above.push({ block, at });
      const below = block.entries[at]!;
      block = this.run.cached(below) ?? (await this.run.load(below));
    }
    this.enter(block);
  }

  /** Moves to the next entry of the leaf. */
  next(): boolean {
    const reader = this.#reader;
    reader.at = this.#postingsEnd;
    if (reader.isAtEnd) return false;
    const shared = reader.varint();
    const rest = reader.varint();
    const length = shared + rest;
    if (length > this.key.length) this.key = Buffer.concat([this.key.subarray(0, shared)], length * 2);
    const { body } = reader;
    const { key } = this;
    for (let at = shared, from = reader.at; at < length; at++) key[at] = body[from++]!;
    reader.at += rest;
    this.keyLength = length;
    const bytes = reader.varint();
    this.#postingsAt = reader.at;
    this.#postingsEnd = reader.at + bytes;
    return true;
  }

  /** Reads the next leaf. @returns false if there is none */
  async load(): Promise<boolean> {
    if (!this.#isBegun) {
      await this.seek(NOTHING, 0, 0);
      return this.run.description.touches !== undefined;
    }
    while (this.#above.length > 0) {
      const top = this.#above.at(-1)!;
      if (++top.at < top.block.entries.length) break;
      this.#above.pop();
    }
    const top = this.#above.at(-1);
    if (top === undefined) return false;
    let place = top.block.entries[top.at]!;
    let block = this.run.cached(place) ?? (await this.run.load(place));
    while (block.height > 0) {
      this.#above.push({ block, at: 0 });
      place = block.entries[0]!;
      block = this.run.cached(place) ?? (await this.run.load(place));
    }
    this.enter(block);
    return true;
  }

  /** Moves to the next entry, in whichever leaf it is. @returns false at the end */
  async advance(): Promise<boolean> {
    while (!this.next()) if (!(await this.load())) return false;
    return true;
  }

  /** Compares the key of the entry with another one. */
  compare(key: Uint8Array, length: number): number {
    return compareKeys(this.key, this.keyLength, key, length);
  }

  /** The newest posting of the entry at or before a revision. */
  newest(atOrBefore: number): Posting | undefined {
    const reader = this.#reader;
    reader.at = this.#postingsAt;
    let revision = this.run.after;
    let found: Posting | undefined;
    while (reader.at < this.#postingsEnd) {
      const head = reader.varint();
      const flags = head % 4;
      revision += (head - flags) / 4;
      const operation = flags >= 2 ? reader.varint() : 0;
      if (revision > atOrBefore) break;
      found = { revision, operation, isDelete: (flags & 1) === 1 };
    }
    return found;
  }

  /**
   * After a seek, moves to the last entry of exactly one path that begins at or before a revision.
   * @returns the revision at which it begins; undefined if there is none
   */
  toEntry(key: Uint8Array, length: number, atOrBefore: number): number | undefined {
    let found: { readonly at: number; readonly end: number; readonly first: number } | undefined;
    while (this.next()) {
      const order = this.compare(key, length);
      if (order > 0) break;
      if (order < 0) continue;
      const first = this.#firstRevision();
      if (first > atOrBefore) break;
      found = { at: this.#postingsAt, end: this.#postingsEnd, first };
    }
    if (found === undefined) return undefined;
    this.#postingsAt = found.at;
    this.#postingsEnd = found.end;
    this.keyLength = length;
    this.key = Buffer.from(key.subarray(0, length));
    return found.first;
  }

  #firstRevision(): number {
    this.#reader.at = this.#postingsAt;
    return this.run.after + Math.floor(this.#reader.varint() / 4);
  }

  /** Calls back for each posting of the entry, the oldest first. */
  forEach(visit: (revision: number, operation: number, isDelete: boolean) => void): void {
    const reader = this.#reader;
    reader.at = this.#postingsAt;
    let revision = this.run.after;
    while (reader.at < this.#postingsEnd) {
      const head = reader.varint();
      const flags = head % 4;
      revision += (head - flags) / 4;
      visit(revision, flags >= 2 ? reader.varint() : 0, (flags & 1) === 1);
    }
  }

  /** Stands before the first entry of a leaf. */
  enter(leaf: RunBlock): void {
    this.#reader = new BodyReader(leaf.body, 1);
    this.#postingsEnd = 1;
  }
}

/**
 * The newest touch of exactly one path in a run, at or before a revision.
 * @throws UnsoundRun
 */
export async function newestOf(run: RunFile, key: Uint8Array, length: number, atOrBefore: number): Promise<Posting | undefined> {
  const cursor = new TouchCursor(run);
  await cursor.seek(key, length, atOrBefore);
  return cursor.toEntry(key, length, atOrBefore) === undefined ? undefined : cursor.newest(atOrBefore);
}

/** Upper bounds of what a run has at and below a path. */
export interface RunShare {
  readonly entries: number;
  readonly postings: number;
}

/**
 * What a run has at and below a path: all that the blocks have that hold some of it. No leaf is read but the only one of
 * a small run.
 * @throws UnsoundRun
 */
export async function shareBelow(run: RunFile, key: Buffer): Promise<RunShare> {
  const end = Buffer.from(key);
  // A segment has no byte below 1, so that the keys below a path come before this one.
  if (end.length > 0) end[end.length - 1] = 1;
  const from = key.length === 0 ? undefined : await blockOf(run, key);
  const to = await blockOf(run, key.length === 0 ? undefined : end);
  return { entries: to.after.entries - (from?.before.entries ?? 0), postings: to.after.postings - (from?.before.postings ?? 0) };
}

/** What a run has before and up to the end of the block in which a key is or would be; the last block for undefined. */
async function blockOf(run: RunFile, key: Buffer | undefined): Promise<{ readonly before: RunShare; readonly after: RunShare }> {
  const { touches, depths } = run.description;
  const total = depths.reduce((sum, count) => sum + count, 0);
  let before: RunShare = { entries: 0, postings: 0 };
  // An entry has a posting at least.
  let after: RunShare = { entries: total, postings: total };
  if (touches === undefined) return { before, after };
  let block = run.cached(touches) ?? (await run.load(touches));
  while (block.height > 0) {
    const at = key === undefined ? block.entries.length - 1 : Math.max(0, block.search(key, key.length, -1));
    const below = block.entries[at]!;
    before = below;
    after = block.entries[at + 1] ?? {
      entries: Math.min(after.entries, below.entries + after.postings - below.postings),
      postings: after.postings,
    };
    if (block.height === 1) break;
    block = run.cached(below) ?? (await run.load(below));
  }
  return { before, after };
}
