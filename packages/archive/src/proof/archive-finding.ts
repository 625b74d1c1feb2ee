import { type ErrorCode, isEvertreeError } from '@evertree/core';

/**
 * How far a verification goes; each level includes those below it.
 *
 * - 0: HEAD, the manifest, the order of each line, and that every object is there with its size.
 * - 1: the sum of each object, and that its header says what the manifest says. Needs no identity.
 * - 2: decrypts, follows the frames one by one, rebuilds the tree, and compares the images with it.
 * - 3: rebuilds a state that is drawn, as a restore does, and compares its digest with the one that the site recorded.
 */
export type VerificationLevel = 0 | 1 | 2 | 3;

/** Something in an archive that is not as ARCHIVE.md says, or lacks what has to be there. */
export interface ArchiveFinding {
  /** The level that found it. */
  readonly level: VerificationLevel;
  /** The key of the object. */
  readonly object: string;
  /** The line that needs it; null for an object of the whole archive. */
  readonly line: string | null;
  readonly problem: string;
  /** What can be restored all the same, in words. */
  readonly restorable: string;
}

/** A finding of which it is not yet said what can be restored: that depends on the others, too. */
export type OpenFinding = Omit<ArchiveFinding, 'restorable'> & {
  /** The revision that the object follows or holds, as far as it is known. */
  readonly revision?: number;
};

/** So many are listed; all are counted. */
const LISTED_LIMIT = 1_000;

/** Gathers what is found while an archive is read. */
export class FindingList {
  readonly findings: OpenFinding[] = [];
  readonly remarks: string[] = [];
  count = 0;
  readonly #unsound = new Set<string>();

  add(finding: OpenFinding): void {
    this.count++;
    this.#unsound.add(finding.object);
    if (this.findings.length < LISTED_LIMIT) this.findings.push(finding);
  }

  remark(text: string): void {
    if (this.remarks.length < LISTED_LIMIT) this.remarks.push(text);
  }

  /** Whether something is wrong with an object. */
  has(object: string): boolean {
    return this.#unsound.has(object);
  }
}

/** What a target throws: it says nothing of what lies in it. */
const TARGET_CODES: ReadonlySet<ErrorCode> = new Set([
  'UNREACHABLE',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'STORAGE_FULL',
  'STORAGE_FAILED',
  'CLOSED',
] satisfies ErrorCode[]);

/** What is wrong, without the name of the object. @throws what says nothing of the object */
export function problemOf(error: unknown): string {
  if (!isEvertreeError(error) || TARGET_CODES.has(error.code)) throw error;
  const { problem } = error.details;
  return typeof problem === 'string' ? problem : error.message;
}
