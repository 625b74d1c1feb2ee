import type { Clock, Disk, ExactPosition, Random, Role } from '@evertree/core';
import type { ImageEntry } from '../format/manifest.ts';
import type { ChainEnd, GatheredFrame } from '../reading/frames-reader.ts';
import type { ReadPart } from '../reading/image-reader.ts';
import type { RestoreState } from './restore-state.ts';

/** What is restored, as it is read: checked against the manifest, whole or not at all. */
export interface RestoreSource {
  /** With which the history begins; undefined if it begins at the origin. */
  readonly image: ImageEntry | undefined;
  /** The parts of the image after the first `skipped`. */
  parts(skipped: number): AsyncIterable<ReadPart>;
  /** The frames after a place of the history, up to the one that holds the end. */
  frames(after: ChainEnd): AsyncIterable<GatheredFrame>;
}

/** What the site is to be. */
export interface RestoredIdentity {
  readonly site: string;
  readonly role: Role;
  /** Another stream than the archive's; undefined to stay in it. */
  readonly newStream: string | undefined;
  /** The highest epoch that the archive names. */
  readonly archivedEpoch: number;
}

/** How long each phase took, in milliseconds. */
export interface RestorePhases {
  readonly image: number;
  readonly changes: number;
  readonly finish: number;
}

/** A directory on which a site can start. */
export interface RestoredSite {
  /** The end of what was restored. */
  readonly base: ExactPosition;
  readonly digest: string;
  readonly stream: string;
  /** Where the site goes on: the first position of its own epoch; for a secondary `base`. */
  readonly position: ExactPosition;
  /** Bytes that an earlier attempt had written already. */
  readonly keptBytes: number;
  /** How often the digest of the rebuilt tree was compared with that of a frame. All were equal. */
  readonly comparisons: number;
  readonly phases: RestorePhases;
}

export interface RestoreTask {
  readonly source: RestoreSource;
  /** Of a directory that is locked, and empty or one in which this restore did not end. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly state: RestoreState;
  readonly stream: string;
  /** Of the tree at the end, as the archive has it; undefined in the middle of a frame. */
  readonly digest: string | undefined;
  readonly plainBytes: number;
  readonly identity: RestoredIdentity;
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
  readonly segmentBytes?: number;
}
