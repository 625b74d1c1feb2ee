import { type ExactPosition, formatPosition, samePosition } from '@evertree/core';
import { OBJECT_PLAIN_BYTES, type ObjectHead, readObjectHead } from '../format/sealed-object.ts';
import type { PrefetchBounds } from '../reading/prefetch.ts';
import type { Target } from '../targets/target.ts';
import { type FindingList, problemOf } from './archive-finding.ts';
import type { NeededObject } from './line-history.ts';
import type { OpenedArchive } from './opened-archive.ts';

/** What is fetched ahead of what is checked. */
export const FETCHED_AHEAD: PrefetchBounds<NeededObject> = { items: 4, bytes: OBJECT_PLAIN_BYTES, bytesOf: ({ bytes }) => bytes };

/** What of an object is compared with its header. */
type ExpectedHeader = Readonly<Record<string, unknown>>;

/** An object that was fetched and is, as far as its sum and header tell, the one that is needed. */
export interface CheckedObject {
  readonly bytes: Buffer;
  readonly head: ObjectHead;
}

/** Fetches objects, and checks what can be checked without an identity. */
export class ObjectCheck {
  readonly #target: Pick<Target, 'get'>;
  readonly #archive: Pick<OpenedArchive, 'archive' | 'isEncrypted'>;
  readonly #list: FindingList;

  constructor(target: Pick<Target, 'get'>, archive: Pick<OpenedArchive, 'archive' | 'isEncrypted'>, list: FindingList) {
    this.#target = target;
    this.#archive = archive;
    this.#list = list;
  }

  /** @returns undefined if something is wrong with it; that is a finding then */
  async fetch(needed: NeededObject, line: string): Promise<CheckedObject | undefined> {
    const found = await this.#target.get(needed.path);
    if (found === undefined) return this.#found(needed, line, 'it is missing');
    try {
      const head = readObjectHead(found.bytes, needed.path);
      const problem = this.#compare(needed, line, head);
      return problem === undefined ? { bytes: found.bytes, head } : this.#found(needed, line, problem);
    } catch (error) {
      return this.#found(needed, line, problemOf(error));
    }
  }

  #compare(needed: NeededObject, line: string, head: ObjectHead): string | undefined {
    const { archive, line: its } = head.header;
    if (archive !== this.#archive.archive) return `it is of another archive, ${archive}`;
    if (its !== line) return `it is of another line, ${its}`;
    if ((head.kind === 'frames') === (needed.kind === 'part'))
      return needed.kind === 'part' ? 'it holds frames, and no part of an image' : 'it holds a part of an image, and no frames';
    if (this.#archive.isEncrypted && !head.isEncrypted) return 'it is not encrypted, and the archive is';
    const sum = sumOf(needed);
    if (sum !== undefined && head.sha256 !== sum)
      return `it is another object than the manifest names: its sum is ${head.sha256}, not ${sum}`;
    return differences(expectedOf(needed), head.header as unknown as ExpectedHeader);
  }

  #found(needed: NeededObject, line: string, problem: string): undefined {
    this.#list.add({ level: 1, object: needed.path, line, revision: revisionOf(needed), problem });
  }
}

/** The sum that a manifest gives for an object; undefined for a tail's, of which it says none. */
export function sumOf(needed: NeededObject): string | undefined {
  if (needed.kind === 'stretch') return needed.entry.sha256;
  return needed.kind === 'part' ? needed.image.parts[needed.part - 1]!.sha256 : undefined;
}

export function revisionOf(needed: NeededObject): number {
  if (needed.kind === 'stretch') return needed.entry.base.revision;
  return needed.kind === 'part' ? needed.image.position.revision : needed.tail.base.revision;
}

function expectedOf(needed: NeededObject): ExpectedHeader {
  if (needed.kind === 'part') return { position: needed.image.position, part: needed.part };
  if (needed.kind === 'tail') return {};
  const { base, last, firstTime, lastTime, commits, plainBytes, previous, chain, digest, marks } = needed.entry;
  return { base, last, firstTime, lastTime, commits, plainBytes, previous, chain, digest, marks };
}

function differences(expected: ExpectedHeader, found: ExpectedHeader): string | undefined {
  for (const [key, value] of Object.entries(expected)) {
    if (same(value, found[key])) continue;
    return `its header says ${key} ${shown(found[key])}, and the manifest ${shown(value)}`;
  }
  return undefined;
}

function same(a: unknown, b: unknown): boolean {
  if (isPosition(a) && isPosition(b)) return samePosition(a, b);
  return JSON.stringify(a) === JSON.stringify(b);
}

function shown(value: unknown): string {
  return isPosition(value) ? formatPosition(value) : JSON.stringify(value);
}

function isPosition(value: unknown): value is ExactPosition {
  return typeof value === 'object' && value !== null && 'epochId' in value;
}
