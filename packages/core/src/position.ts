/**
 * A point in a stream's history.
 *
 * Each commit takes the next revision; an epoch is one writer's reign. Revisions are dense, also across epochs: the
 * frame that begins an epoch has the revision after its base.
 */
export interface Position {
  readonly epoch: number;
  readonly revision: number;
}

/**
 * A position with its epoch's id, as files and wires carry it. Revisions compare within one epoch id only; across ids
 * the table of epochs decides (lineage.ts).
 */
export interface ExactPosition extends Position {
  /** 16 hex digits, drawn when the epoch began; 16 zeros before the first epoch. */
  readonly epochId: string;
}

/**
 * An exact position with the digest of the tree there. Where both sides' positions are equal, so are the digests (law
 * 5).
 */
export interface Boundary {
  readonly position: ExactPosition;
  /** Of the whole tree at that position, 16 hex digits. */
  readonly digest: string;
}

/** How an epoch ended: what its handover frame tells. */
export interface Handover {
  /** The site that follows. */
  readonly to: string;
  /** The id of the command that asked for it. */
  readonly command: string;
}

/** One writer's reign, as its first frame announced it. */
export interface Epoch {
  readonly number: number;
  readonly id: string;
  /** The site that began it. */
  readonly site: string;
  /** The position on which it began; its first frame has the next revision. */
  readonly base: ExactPosition;
  readonly reason: string;
  /** Milliseconds since 1970, by the clock of the site that began it. */
  readonly time: number;
  /** Set when a handover frame ended it. */
  readonly end?: Handover;
}

export const NO_EPOCH_ID = '0000000000000000';

/** The position of a tree that never saw a commit. */
export const ORIGIN: ExactPosition = Object.freeze({ epoch: 0, epochId: NO_EPOCH_ID, revision: 0 });

/** `4-1201` */
export function formatPosition(position: Position): string {
  return `${position.epoch}-${position.revision}`;
}

/** `4-1201 (epoch id 9f…)`: for errors about two histories. */
export function formatExactPosition(position: ExactPosition): string {
  return `${formatPosition(position)} (epoch id ${position.epochId})`;
}

/** The position that a text names, or undefined. */
export function parsePosition(text: string): Position | undefined {
  const match = /^(\d{1,10})-(\d{1,16})$/.exec(text);
  if (!match) return undefined;
  const epoch = Number(match[1]);
  const revision = Number(match[2]);
  if (epoch > 0xffff_ffff || !Number.isSafeInteger(revision)) return undefined;
  return { epoch, revision };
}

export function samePosition(a: ExactPosition, b: ExactPosition): boolean {
  return a.revision === b.revision && a.epoch === b.epoch && a.epochId === b.epochId;
}

/**
 * Whether `a` comes before `b` in the order of (epoch number, revision): within one number a writer draws another id with
 * each start. It does not tell whether a history holds them: see `covers`.
 */
export function isBefore(a: ExactPosition, b: ExactPosition): boolean {
  return a.epoch === b.epoch ? a.revision < b.revision : a.epoch < b.epoch;
}
