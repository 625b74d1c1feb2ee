import type { Clock, ExactPosition, Random } from '@evertree/core';
import type { ReadProgress } from '@evertree/history';
import type { Identities } from '../encryption/identities.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveFinding, VerificationLevel } from './archive-finding.ts';
import type { DrawnState } from './drawn-state.ts';
import type { Rotation } from './due-objects.ts';
import type { RestorableSpan } from './restorable-spans.ts';

export interface ArchiveVerificationOptions {
  readonly target: Target;
  readonly clock: Clock;
  readonly random: Random;
  /** From level 2 on needed for an encrypted archive. */
  readonly identities?: Identities;
  /** 1 if nothing else is said. */
  readonly level?: VerificationLevel;
  /** Which of the objects that were verified before are read again; a thirtieth of them if nothing else is said. */
  readonly rotation?: Rotation;
  /** Draws the state that level 3 rebuilds; drawn itself if it is not given. */
  readonly seed?: number;
  readonly progress?: ReadProgress;
  /** Ends it early. What was verified up to then is remembered. */
  readonly signal?: AbortSignal;
}

/** What an archive was found to hold. It is as ARCHIVE.md says if `findings` is empty. */
export interface ArchiveVerification {
  readonly archive: string;
  readonly stream: string | null;
  readonly level: VerificationLevel;
  /** It went to its end, and nothing is wrong. */
  readonly passed: boolean;
  readonly finished: boolean;
  readonly lines: readonly VerifiedLine[];
  readonly images: number;
  /** Objects of frames: those in the manifest, and those of tails. */
  readonly stretches: number;
  readonly tailObjects: number;
  /** In all lines. */
  readonly commits: number;
  /** Commits whose frames were applied, and the digest compared. */
  readonly rebuiltCommits: number;
  readonly objectsRead: number;
  /** Objects that were not read: they were verified before, on this level. */
  readonly objectsRemembered: number;
  readonly bytesRead: number;
  /** The state that level 3 rebuilt; null on the other levels. */
  readonly drawn: DrawnState | null;
  readonly findingCount: number;
  /** The first thousand. */
  readonly findings: readonly ArchiveFinding[];
  readonly remarks: readonly string[];
  /** The key of its report; null if it could not be written. */
  readonly report: string | null;
  readonly milliseconds: number;
}

export interface VerifiedLine {
  readonly line: string;
  /** Where it ends, and the digest that the site recorded there; null if that can't be read. */
  readonly position: ExactPosition | null;
  readonly digest: string | null;
  readonly restorable: readonly RestorableSpan[];
}
