import { createHash } from 'node:crypto';
import { initArchive, type ArchiveLine, type ImageEntry, type StretchEntry } from '@evertree/archive';
import { type ExactPosition, ORIGIN } from '@evertree/core';
import type { MemoryTarget } from './memory-target.ts';
import { systemRandom } from './host.ts';

/** Entries of manifests with something as their objects, for tests that look at what is there and not into it. */
export const STREAM = 'b'.repeat(32);
export const LINE = '1'.repeat(16);
const RUN = '3'.repeat(16);

/** A position of the one epoch that these histories have. */
export function at(revision: number): ExactPosition {
  return revision === 0 ? ORIGIN : { epoch: 1, epochId: 'e'.repeat(16), revision };
}

export function chainAt(revision: number): string {
  return revision === 0 ? '0'.repeat(64) : createHash('sha256').update(String(revision)).digest('hex');
}

export interface EntryNote {
  readonly line?: string;
  readonly time?: number;
  readonly archived?: number;
  readonly marks?: readonly number[];
  readonly marked?: readonly number[];
  /** Tells objects of one place apart. */
  readonly run?: string;
}

export function stretch(from: number, to: number, note: EntryNote = {}): StretchEntry {
  const { line = LINE, time = to, marks = [], run = RUN } = note;
  return {
    kind: 'stretch',
    path: `stretch/${line}/${to}-${run}`,
    bytes: 10,
    sha256: '4'.repeat(64),
    base: at(from),
    last: at(to),
    firstTime: time,
    lastTime: time,
    commits: to - from,
    plainBytes: 100,
    previous: chainAt(from),
    chain: chainAt(to),
    digest: '6'.repeat(16),
    marks,
    ...(note.marked === undefined ? {} : { marked: note.marked }),
    ...(note.archived === undefined ? {} : { archived: note.archived }),
  };
}

export function image(revision: number, note: EntryNote = {}): ImageEntry {
  const { line = LINE, time = revision, marks = [], run = RUN } = note;
  const parts = [1, 2].map(part => ({ path: `image/${line}/${revision}-${run}/${part}`, bytes: 10, sha256: '7'.repeat(64) }));
  return {
    kind: 'image',
    position: at(revision),
    time,
    digest: '6'.repeat(16),
    chain: chainAt(revision),
    plainBytes: 100,
    parts,
    marks,
    ...(note.archived === undefined ? {} : { archived: note.archived }),
  };
}

export function lineOf(objects: ArchiveLine['objects'], rest: Partial<ArchiveLine> = {}): ArchiveLine {
  return { id: LINE, site: '2'.repeat(16), run: RUN, private: { site: 'a' }, objects, tails: [], gaps: [], ...rest };
}

/** Puts what an entry names into a target. */
export async function putEntry(target: MemoryTarget, entry: StretchEntry | ImageEntry): Promise<void> {
  for (const { path, bytes } of entry.kind === 'image' ? entry.parts : [entry]) await target.create(path, Buffer.alloc(bytes, 'x'));
}

export async function initialized(target: MemoryTarget, conditions = true): Promise<void> {
  await initArchive(target, { sealing: 'plain', conditions, random: systemRandom });
}
