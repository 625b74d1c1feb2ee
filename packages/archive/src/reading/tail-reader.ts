import { formatPosition, isEvertreeError, samePosition } from '@evertree/core';
import { damagedObject } from '../format/checked.ts';
import type { ArchiveLine, TailNote } from '../format/manifest.ts';
import { tailKey } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveProblem, TailEntry } from './line-history.ts';
import { objectOf, type ObjectSource } from './object-source.ts';
import { prefetch } from './prefetch.ts';

/** Objects of a tail that are read at once: they are small. */
const READS_AT_ONCE = 16;

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
    const keys = await keysOf(target, note, line.id, problems);
    try {
      for await (const entry of entriesOf(source, line.id, note, keys)) {
        if (entry.base.revision >= end) break;
        found.push(entry);
      }
    } catch (error) {
      problems.push(problemOf(error, line.id));
    }
  }
  return found;
}

/** The keys of a tail's objects from its first number on, up to the first that is missing. */
async function keysOf(target: Target, { path, from }: TailNote, line: string, problems: ArchiveProblem[]): Promise<string[]> {
  const there = new Set<string>();
  for await (const { key } of target.list(`${path}/`)) there.add(key);
  const keys: string[] = [];
  for (let number = from; there.has(tailKey(path, number)); number++) keys.push(tailKey(path, number));
  const missing = tailKey(path, from + keys.length);
  const behind = [...there].filter(key => key > missing).length;
  if (behind > 0) {
    const text = `${missing} is missing, and ${behind} objects of its tail follow: what they hold can't be restored`;
    problems.push({ line, object: missing, text });
  }
  return keys;
}

async function* entriesOf(source: ObjectSource, line: string, note: TailNote, keys: readonly string[]): AsyncGenerator<TailEntry> {
  let before: TailEntry | undefined;
  const load = async (path: string) => ({ path, head: await source.head(path) });
  for await (const { path, head } of prefetch(keys, READS_AT_ONCE, load)) {
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
