import {
  EvertreeError,
  compareEpochs,
  covers,
  formatPosition,
  highestEpoch,
  refusal,
  refuseRole,
  refuseStream,
  refuseVersion,
  samePosition,
} from '@evertree/core';
import type { EpochName, ExactPosition, FarEnd, Hello, Lineage, Reason, Refusal } from '@evertree/core';
import type { PeerState } from './status.ts';

/** This primary's own history, as far as it is stable. */
export interface OwnHistory extends Lineage {
  readonly site: string;
  /** Digest at `last`. */
  readonly digest: string;
  /** The journal keeps the frames after this position. */
  readonly base: ExactPosition;
}

export type Decision =
  /** Send the frames after this position. */
  | { readonly kind: 'replicate'; readonly after: ExactPosition }
  /** Send the whole tree. */
  | { readonly kind: 'snapshot'; readonly reason: Reason }
  | RefuseDecision;

/** Send nothing. */
export interface RefuseDecision extends Refusal {
  readonly kind: 'refuse';
  /** What the far end is from then on. */
  readonly state: PeerState;
  /** Set: this primary must not take writes either, for the reason that `error` tells. */
  readonly fence?: Fence;
}

/**
 * Why a primary must not take writes. `epoch`: the higher one that it heard of; undefined when it lags in its own
 * epoch.
 */
export interface Fence {
  readonly epoch: EpochName | undefined;
}

/**
 * What to do with a far end that has said hello.
 * @param found the digest of this primary's tree at the far end's position, where the journal has a frame that ends
 *   exactly there
 */
export function decide(ours: OwnHistory, theirs: Hello, farEnd: FarEnd, found: string | undefined): Decision {
  return refuseByHello(ours, theirs, farEnd) ?? resume(ours, theirs, farEnd, found);
}

/** The refusal that the hello alone leads to, wherever its position lies in our history. */
export function refuseByHello(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  const host = { ...ours, role: 'primary' } as const;
  const refused =
    refuseVersion(theirs) ?? refuseStream(host, theirs, farEnd) ?? refuseNewer(ours, theirs, farEnd) ?? refuseRole(host, theirs);
  return refused === undefined ? undefined : asDecision(refused);
}

/** Refuses a far end that by its own hello is no secondary of this stream. Its position is not looked at. */
export function refuseAtTheDoor(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  const host = { ...ours, role: 'primary' } as const;
  return refuseVersion(theirs) ?? refuseStream(host, theirs, farEnd) ?? refuseRole(host, theirs);
}

/**
 * A far end that knows a higher epoch than ours, or more of our own, shows that another site writes, or has written.
 */
function refuseNewer(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  const { last } = ours;
  const { site, position } = theirs;
  const ourEpoch = highestEpoch(ours.epochs, last);
  const theirEpoch = highestEpoch(theirs.epochs, position);
  const details = { ours: last, theirs: position };
  if (compareEpochs(theirEpoch, ourEpoch) > 0) {
    const message =
      `${site} knows epoch ${theirEpoch.number} (${theirEpoch.id}), and this primary's last is ${ourEpoch.number} (${ourEpoch.id}): ` +
      'another site has become the primary since. This one takes no writes; stop it, and write at the primary of the higher epoch';
    const error = new EvertreeError('FENCED', message, details);
    return { kind: 'refuse', reason: 'fenced', state: 'fenced', error, fence: { epoch: { number: theirEpoch.number, id: theirEpoch.id } } };
  }
  if (!isAheadInOurEpoch(position, last)) return undefined;
  const remedy =
    farEnd.kind === 'log'
      ? `export what a secondary of it holds, ${farEnd.remedy}, start the secondaries with empty directories`
      : `export what ${site} holds, start ${site} with an empty directory`;
  const message =
    `${site} stands at ${formatPosition(position)}, ahead of this primary at ${formatPosition(last)} in the same epoch: ` +
    'this primary was started from an older copy of its data. It takes no writes. Either stop it and start the newer copy, or, if that one ' +
    `is lost and the commits after ${formatPosition(last)} may go with it, ${remedy}, and start this primary again`;
  const error = new EvertreeError('FENCED', message, details);
  return { kind: 'refuse', reason: 'history-mismatch', state: 'diverged', error, fence: { epoch: undefined } };
}

function isAheadInOurEpoch(theirs: ExactPosition, ours: ExactPosition): boolean {
  return theirs.epoch === ours.epoch && theirs.epochId === ours.epochId && theirs.revision > ours.revision;
}

/** How a secondary of our stream, with no newer history than ours, goes on. */
function resume(ours: OwnHistory, theirs: Hello, farEnd: FarEnd, found: string | undefined): Decision {
  const { position } = theirs;
  const { base, last } = ours;
  if (position.revision === 0) {
    if (base.revision === 0) return { kind: 'replicate', after: position };
    const text = `new secondary: it holds nothing yet, and the journal keeps what follows ${formatPosition(base)}`;
    return { kind: 'snapshot', reason: { code: 'new-secondary', text } };
  }
  if (!covers(ours, position)) {
    return diverged(ours, theirs, farEnd, `no such position is in this primary's history, which stands at ${formatPosition(last)}`);
  }
  // Both lie in our history from here on, where revisions compare.
  if (position.revision < base.revision) {
    const where = `${theirs.site}'s position ${formatPosition(position)} lies before what the primary's journal keeps (from ${formatPosition(base)})`;
    return { kind: 'snapshot', reason: { code: 'retention-passed', text: `${where}: retention has passed it by` } };
  }
  // The frame that ends at `base` is gone, and its digest with it, unless a snapshot of that position is left. The
  // secondary then compares the digest that the first frame leads to.
  if (found === undefined && samePosition(position, base)) return { kind: 'replicate', after: position };
  if (found === undefined) {
    return diverged(ours, theirs, farEnd, `no frame of this primary ends there; it stands at ${formatPosition(last)}`);
  }
  if (found !== theirs.digest) {
    const why = `its tree has the digest ${theirs.digest} there, and this primary's, now at ${formatPosition(last)}, had ${found}`;
    return diverged(ours, theirs, farEnd, why);
  }
  return { kind: 'replicate', after: position };
}

function diverged(ours: OwnHistory, theirs: Hello, farEnd: FarEnd, why: string): RefuseDecision {
  const { site, position } = theirs;
  const remedy =
    farEnd.kind === 'log' ? farEnd.remedy : 'start the site that is wrong from an empty directory, or from a copy of the right one';
  const message =
    `${site} stands at ${formatPosition(position)} (epoch ${position.epochId}), and ${why}: their histories part. ` +
    `Nothing is sent; ${remedy}`;
  return asDecision(refusal('history-mismatch', 'HISTORY_MISMATCH', message, { ours: ours.last, theirs: position }));
}

/** A refusal that says the far end's state keeps it. */
function asDecision(refused: Refusal | RefuseDecision): RefuseDecision {
  const isOfAnotherHistory = refused.reason === 'stream-mismatch' || refused.reason === 'history-mismatch';
  return { kind: 'refuse', state: isOfAnotherHistory ? 'diverged' : 'offline', ...refused };
}
