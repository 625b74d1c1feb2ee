import { type ExactPosition, formatPosition, samePosition } from '@evertree/core';
import type { TailNote } from '../format/manifest.ts';
import type { FindingList } from './archive-finding.ts';
import type { TailObject } from './line-history.ts';
import type { CheckedObject } from './object-check.ts';
import type { VerifiedTail } from './verification-report.ts';

/** The end of the part of a tail that was followed. */
interface TailPlace {
  readonly number: number;
  readonly last: ExactPosition;
  readonly chain: string;
  /** Of the object; null before a tail's first one, undefined where it is not known. */
  readonly sum: string | null | undefined;
}

/** Follows a tail by what the headers of its objects say. */
export class TailOrder {
  /** How far the tail was followed; undefined before its first object. */
  followed: VerifiedTail | undefined;
  /** Whether one of its objects is another one than when it was verified: what was followed is of no use then. */
  isExchanged = false;
  readonly #line: string;
  readonly #path: string;
  readonly #list: FindingList;
  #place: TailPlace;

  /** @param verified how far it was followed before */
  constructor(line: string, { path, from, base, previous }: TailNote, verified: VerifiedTail | undefined, list: FindingList) {
    this.#line = line;
    this.#path = path;
    this.#list = list;
    const isUsable = verified !== undefined && verified.number >= from - 1;
    this.followed = isUsable ? verified : undefined;
    this.#place = isUsable ? verified : { number: from - 1, last: base, chain: previous, sum: from === 1 ? null : undefined };
  }

  /**
   * Takes the objects in their order.
   * @param known the first digits of its sum when it was verified before
   * @returns whether it follows those before it
   */
  take({ path, number }: TailObject, { head }: CheckedObject, known: string | undefined): boolean {
    if (head.kind !== 'frames') return false;
    const { number: before, last, chain, sum } = this.#place;
    // Something before it is not sound.
    if (number > before + 1) return false;
    if (number <= before) {
      // What comes before it may not be read again, so only its sum tells whether it still follows that.
      if (known === undefined || head.sha256.startsWith(known)) return true;
      const text = `it is another object than when it was verified before: its sum is ${head.sha256}, which began with ${known}`;
      this.#list.add({ level: 1, object: path, line: this.#line, revision: head.header.base.revision, problem: text });
      this.isExchanged = true;
      return false;
    }
    const { base, previous, after } = head.header;
    let problem: string | undefined;
    if (!samePosition(base, last) || previous !== chain)
      problem = `it follows ${formatPosition(base)}, and what comes before it ends at ${formatPosition(last)}`;
    else if (sum !== undefined && after !== sum) problem = 'it does not name the object before it';
    if (problem !== undefined) {
      this.#list.add({ level: 1, object: path, line: this.#line, revision: last.revision, problem });
      return false;
    }
    const { last: end, chain: endChain, digest } = head.header;
    this.followed = { path: this.#path, number, last: end, chain: endChain, digest, sum: head.sha256 };
    this.#place = this.followed;
    return true;
  }
}
