import { EvertreeError, PROTOCOL_VERSIONS, compareEpochs, formatPosition, highestEpoch, covers, samePosition } from '@evertree/core';
import type { CloseReason, Epoch, ExactPosition, FarEnd, Hello, Reason } from '@evertree/core';
import type { PeerState } from './status.ts';

/** This primary's own history, as far as it is stable. */
export interface History {
  readonly site: string;
  readonly stream: string | null;
  readonly position: ExactPosition;
  /** Digest at `position`. */
  readonly digest: string;
  /** The journal keeps the frames after this position. */
  readonly base: ExactPosition;
  readonly epochs: readonly Epoch[];
}

export type Decision =
  /** Send the frames after this position. */
  | { readonly kind: 'replicate'; readonly after: ExactPosition }
  /** Send the whole tree. */
  | { readonly kind: 'snapshot'; readonly reason: Reason }
  | Refusal;

/** Send nothing. With `fence`, this primary must not take writes either, for the reason that `error` tells. */
export interface Refusal {
  readonly kind: 'refuse';
  readonly reason: CloseReason;
  readonly state: PeerState;
  readonly error: EvertreeError;
  readonly fence: boolean;
}

/**
 * What to do with a far end that has said hello.
 * @param found the digest of this primary's tree at the far end's position, where the journal has a frame that ends exactly there
 */
export function decide(ours: History, theirs: Hello, farEnd: FarEnd, found: string | undefined): Decision {
  return (
    refuseStranger(ours, theirs, farEnd) ?? refuseNewer(ours, theirs, farEnd) ?? refuseRole(theirs) ?? placeOf(ours, theirs, farEnd, found)
  );
}

/** Refuses who, by its own words, is no secondary of this stream; what its position means is not looked at. */
export function refuseAtTheDoor(ours: History, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  return refuseStranger(ours, theirs, farEnd) ?? refuseRole(theirs);
}

function refuseStranger(ours: History, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  if (!theirs.protocols.some(version => PROTOCOL_VERSIONS.includes(version))) {
    return refuse(
      'protocol-unsupported',
      'FORMAT_UNSUPPORTED',
      `${theirs.site} speaks the protocol's versions ${theirs.protocols.join(', ')}, this program ${PROTOCOL_VERSIONS.join(', ')}: ` +
        'bring both sites to releases that have one in common',
    );
  }
  if (theirs.stream === null || theirs.stream === ours.stream) return undefined;
  const own = ours.stream === null ? 'this primary has no commit yet and so no stream' : `this primary's stream is ${ours.stream}`;
  return refuse(
    'stream-mismatch',
    'STREAM_MISMATCH',
    `${theirs.site} holds the stream ${theirs.stream}, but ${own}: ` +
      (farEnd.kind === 'log'
        ? `one stream has one log; ${farEnd.remedy}`
        : 'check the addresses and the data directories; a secondary that is to follow another stream starts with an empty directory'),
    { expected: ours.stream, found: theirs.stream },
  );
}

/** Whoever knows a later reign than ours, or more of our own, tells us that somebody else writes, or has written. */
function refuseNewer(ours: History, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  const ourEpoch = highestEpoch(ours.epochs, ours.position);
  const theirEpoch = highestEpoch(theirs.epochs, theirs.position);
  const details = { ours: ours.position, theirs: theirs.position };
  if (compareEpochs(theirEpoch, ourEpoch) > 0) {
    return fence(
      'fenced',
      `${theirs.site} knows epoch ${theirEpoch.number} (${theirEpoch.id}), and this primary's last is ${ourEpoch.number} (${ourEpoch.id}): ` +
        'another site has become the primary since. This one takes no writes; stop it, and write at the primary of the higher epoch',
      details,
    );
  }
  if (theirs.position.epochId !== ours.position.epochId || theirs.position.revision <= ours.position.revision) return undefined;
  const remedy =
    farEnd.kind === 'log'
      ? `export what a secondary of it holds, ${farEnd.remedy}, start the secondaries with empty directories`
      : `export what ${theirs.site} holds, start ${theirs.site} with an empty directory`;
  return fence(
    'diverged',
    `${theirs.site} stands at ${formatPosition(theirs.position)}, ahead of this primary at ${formatPosition(ours.position)} in the same epoch: ` +
      'this primary was started from an older copy of its data. It takes no writes. Either stop it and start the newer copy, or, if that one ' +
      `is lost and the commits after ${formatPosition(ours.position)} may go with it, ${remedy}, and start this primary again`,
    details,
  );
}

function refuseRole(theirs: Hello): Refusal | undefined {
  if (theirs.role === 'secondary') return undefined;
  return refuse(
    'wrong-role',
    'WRONG_ROLE',
    `${theirs.site} is a primary, too: a primary sends to secondaries only; check the address, or start that site as a secondary`,
  );
}

/** Where a secondary of our stream, with no newer history than ours, goes on. */
function placeOf(ours: History, theirs: Hello, farEnd: FarEnd, found: string | undefined): Decision {
  const { position } = theirs;
  const { base } = ours;
  if (position.revision === 0) {
    if (base.revision === 0) return { kind: 'replicate', after: position };
    const text = `new secondary: it holds nothing yet, and the journal keeps what follows ${formatPosition(base)}`;
    return { kind: 'snapshot', reason: { code: 'new-secondary', text } };
  }
  if (!covers({ epochs: ours.epochs, last: ours.position }, position)) {
    return diverged(
      ours,
      theirs,
      farEnd,
      `no such position is in this primary's history, which stands at ${formatPosition(ours.position)}`,
    );
  }
  if (position.revision < base.revision) {
    const place = `its position ${formatPosition(position)} lies before what the journal keeps (from ${formatPosition(base)})`;
    return { kind: 'snapshot', reason: { code: 'retention-passed', text: `${place}: retention has passed it by` } };
  }
  // The frame that ends at `base` is gone, and its digest with it, unless a snapshot of that place is left: the first frame's own digest tells.
  if (found === undefined && samePosition(position, base)) return { kind: 'replicate', after: position };
  if (found === undefined) {
    return diverged(ours, theirs, farEnd, `no frame of this primary ends there; it stands at ${formatPosition(ours.position)}`);
  }
  if (found !== theirs.digest) {
    return diverged(
      ours,
      theirs,
      farEnd,
      `its tree has the digest ${theirs.digest} there, and this primary's, now at ${formatPosition(ours.position)}, had ${found}`,
    );
  }
  return { kind: 'replicate', after: position };
}

function refuse(reason: CloseReason, code: EvertreeError['code'], message: string, details: EvertreeError['details'] = {}): Refusal {
  const state = reason === 'stream-mismatch' || reason === 'history-mismatch' ? 'diverged' : 'offline';
  return { kind: 'refuse', reason, state, error: new EvertreeError(code, message, details), fence: false };
}

function fence(state: 'fenced' | 'diverged', message: string, details: EvertreeError['details']): Refusal {
  const reason = state === 'fenced' ? 'fenced' : 'history-mismatch';
  return { kind: 'refuse', reason, state, error: new EvertreeError('FENCED', message, details), fence: true };
}

function diverged(ours: History, theirs: Hello, farEnd: FarEnd, why: string): Refusal {
  const remedy =
    farEnd.kind === 'log' ? farEnd.remedy : 'start the site that is wrong from an empty directory, or from a copy of the right one';
  const message =
    `${theirs.site} stands at ${formatPosition(theirs.position)} (epoch ${theirs.position.epochId}), and ${why}: their histories part. ` +
    `Nothing is sent; ${remedy}`;
  return refuse('history-mismatch', 'HISTORY_MISMATCH', message, { ours: ours.position, theirs: theirs.position });
}
