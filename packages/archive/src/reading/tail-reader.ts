import { formatPosition, isEvertreeError, samePosition } from '@evertree/core';
import { damagedObject } from '../format/checked.ts';
import type { ArchiveLine, TailNote } from '../format/manifest.ts';
import { tailKey } from '../format/object-keys.ts';
import { OBJECT_PLAIN_BYTES } from '../format/sealed-object.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveProblem, TailEntry } from './line-history.ts';
import { objectOf, type ObjectSource } from './object-source.ts';
import { prefetch } from './prefetch.ts';

/** An object of a tail as the target lists it. */
interface ListedTailObject {
  readonly key: string;
  readonly bytes: number;
}

/** Objects of a tail that are read at once: they are small, as a rule. */
const READS_AT_ONCE = { items: 16, bytes: OBJECT_PLAIN_BYTES, bytesOf: ({ bytes }: ListedTailObject) => bytes };

/**
 * Follows the tails of a line to their ends. Each object names the sum of the one before; what does not follow it does
 * not count, and is told as a problem.
 */
export async function followTails(
  target: Target,
  source: ObjectSource,
  line: ArchiveLine,
  problems: ArchiveProblem[],
): Promise<TailEntry[]> {
  const found: TailEntry[] = [];
  for (const [index, note] of line.tails.entries()) {
    // Whoever took the line over began another tail where he saw this one end.
    const end = line.tails[index + 1]?.base.revision ?? Infinity;
    const objects = await objectsOf(target, note, line.id, problems);
    try {
      for await (const entry of entriesOf(source, line.id, note, objects)) {
        if (entry.base.revision >= end) break;
        found.push(entry);
      }
    } catch (error) {
      problems.push(problemOf(error, line.id));
    }
  }
  return found;
}

/** The objects of a tail from its first number on, up to the first that is missing. */
async function objectsOf(target: Target, { path, from }: TailNote, line: string, problems: ArchiveProblem[]): Promise<ListedTailObject[]> {
  const sizes = new Map<string, number>();
  let last = '';
  for await (const { key, size } of target.list(`${path}/`)) {
    sizes.set(key, size);
    last = key;
  }
  const objects: ListedTailObject[] = [];
  for (let number = from; ; number++) {
    const key = tailKey(path, number);
    // A list that is made while objects come may lack one and have the next.
    const bytes = sizes.get(key) ?? (key < last ? (await target.stat(key))?.size : undefined);
    if (bytes !== undefined) {
      objects.push({ key, bytes });
      continue;
    }
    if (key > last) return objects;
    const behind = [...sizes.keys()].filter(other => other > key).length;
    const text = `${key} is missing, and ${behind} objects of its tail follow: what they hold can't be restored`;
    problems.push({ line, object: key, text });
    return objects;
  }
}

async function* entriesOf(
  source: ObjectSource,
  line: string,
  note: TailNote,
  objects: readonly ListedTailObject[],
): AsyncGenerator<TailEntry> {
  let before: TailEntry | undefined;
  const load = async ({ key }: ListedTailObject) => ({ path: key, head: await source.head(key) });
  for await (const { path, head } of prefetch(objects, READS_AT_ONCE, load)) {
    // It was listed, and has gone since: the tail ends there for this reader.
    if (head === undefined) return;
    if (head.kind !== 'frames' || head.header.line !== line) throw damagedObject(path, 'it is of another line, or of another kind');
    const { archive: _, line: __, after, ...said } = head.header;
    const entry: TailEntry = { kind: 'tail', path, bytes: head.bytes, sha256: head.sha256, ...said };
    const { base, previous } = before === undefined ? note : { base: before.last, previous: before.chain };
    if (!samePosition(entry.base, base) || entry.previous !== previous || (before !== undefined && after !== before.sha256)) {
      throw damagedObject(path, `it does not follow ${formatPosition(base)}, where what comes before it ends`);
    }
    yield entry;
    before = entry;
  }
}

/** What is wrong with an object is a problem of the line; everything else goes to the caller. */
function problemOf(error: unknown, line: string): ArchiveProblem {
  if (!isEvertreeError(error, 'DAMAGED') && !isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
  return { line, object: objectOf(error), text: error.message };
}
