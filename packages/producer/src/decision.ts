import {
  EvertreeError,
  compareEpochs,
  covers,
  forkOf,
  formatPosition,
  highestEpoch,
  refusal,
  refuseRole,
  refuseStream,
  refuseVersion,
  samePosition,
} from '@evertree/core';
import type { EpochName, ExactPosition, FarEnd, Fencing, Hello, Lineage, Reason, Refusal } from '@evertree/core';
import type { PeerState } from './status.ts';

/** This primary's own history, as far as it is stable. */
export interface OwnHistory extends Lineage {
  readonly site: string;
  /** Digest at `last`. */
  readonly digest: string;
  /** The journal keeps the frames after this position. */
  readonly base: ExactPosition;
  /** The higher epoch by which this site is fenced: it feeds nobody. */
  readonly fencedBy?: Fencing;
}

export type Decision =
  /** Send the frames after this position. */
  | { readonly kind: 'replicate'; readonly after: ExactPosition }
  /**
   * It can take the history before `base` from elsewhere: tell it, and wait for it to say where it stands then. Without
   * that it would be sent the whole tree, for this reason.
   */
  | { readonly kind: 'offer'; readonly base: ExactPosition; readonly reason: Reason }
  /** Send the whole tree. */
  | { readonly kind: 'snapshot'; readonly reason: Reason }
  | WaitDecision
  | RefuseDecision;

/** Send nothing before it has gone back to where the two histories part; the link stays. */
export interface WaitDecision {
  readonly kind: 'wait';
  readonly fork: ExactPosition;
  readonly error: EvertreeError;
}

/** Send nothing. */
export interface RefuseDecision extends Refusal {
  readonly kind: 'refuse';
  /** What the far end is from then on. */
  readonly state: PeerState;
  /** Set: this primary must not take writes either. */
  readonly fence?: Fence;
}

/** Why a primary must not take writes. */
export interface Fence {
  /** The higher epoch that it heard of; undefined when it lags in its own epoch, or is empty. */
  readonly epoch: Fencing | undefined;
  /** Its directory is an older copy of what it wrote itself. */
  readonly isBehind?: boolean;
  readonly error: EvertreeError;
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
  return (
    refuseStranger(ours, theirs, farEnd) ??
    refuseNewer(ours, theirs, farEnd) ??
    refuseFenced(ours) ??
    refuseBeyond(ours, theirs, farEnd) ??
    refusePrimary(ours, theirs, farEnd)
  );
}

/** Refuses a far end that by its own hello is no secondary of this stream. Its position is not looked at. */
export function refuseAtTheDoor(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  return refuseStranger(ours, theirs, farEnd) ?? refusePrimary(ours, theirs, farEnd);
}

/**
 * What a secondary that was waited for gets, now that it stands at `after`; undefined: that is not of our history. It
 * went back to there, or has taken history from elsewhere.
 * @param catchesUp whether it may be asked to do that, and has not tried it from there in vain
 */
export function decideReturn(ours: OwnHistory, site: string, after: ExactPosition, catchesUp: boolean): Decision | undefined {
  if (after.revision === 0) {
    const text = `the journal of ${site} does not reach back to where its history parted from this primary's`;
    return { kind: 'snapshot', reason: { code: 'fork-passed', text } };
  }
  if (!covers(ours, after)) return undefined;
  return passedBy(ours, site, after, catchesUp) ?? { kind: 'replicate', after };
}

/** Negative where our epoch wins over theirs, positive where theirs wins. */
function precedence(theirs: Hello, ours: OwnHistory, farEnd: FarEnd): number {
  return compareEpochs(reignOf(theirs, ours, farEnd), highestEpoch(ours.epochs, ours.last));
}

/**
 * The highest epoch that the far end has frames of. A log tells no table, and the last frame there may be of a restart,
 * whose id gives no precedence: what has our number there counts as ours.
 */
function reignOf({ epochs, position }: Hello, ours: OwnHistory, farEnd: FarEnd): EpochName {
  const reign = highestEpoch(epochs, position);
  const own = highestEpoch(ours.epochs, ours.last);
  const isOwn = farEnd.kind === 'log' || ours.epochs.some(({ number, id }) => number === reign.number && id === reign.id);
  return isOwn && reign.number === own.number ? own : reign;
}

function refuseStranger(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  const refused = refuseVersion(theirs) ?? refuseStream({ ...ours, role: 'primary' }, theirs, farEnd);
  if (refused === undefined) return undefined;
  const decision = asDecision(refused);
  // Empty never leads: it has a stream of its own with its first commit.
  if (ours.stream !== null || theirs.stream === null || refused.reason !== 'stream-mismatch') return decision;
  const message = emptyPrimary(ours.site, theirs, farEnd);
  return { ...decision, fence: { epoch: undefined, error: new EvertreeError('FENCED', message, refused.error.details) } };
}

function emptyPrimary(ours: string, { site, stream }: Hello, farEnd: FarEnd): string {
  if (farEnd.kind === 'log') {
    return (
      `${ours} is empty, and was started as the primary of ${site}, which holds the stream ${stream}: it takes no writes. ` +
      `If ${ours} lost its data, promote a secondary that reads there. If what ${site} holds may go, or has nothing to do with ${ours}, ` +
      `${farEnd.remedy}; then start ${ours} again`
    );
  }
  return (
    `${ours} is empty, and was started as the primary of ${site}, which holds the stream ${stream}: it takes no ` +
    `writes. If ${ours} lost its data, promote ${site}. If what ${site} holds may go, start it with an empty directory; ` +
    `if the two have nothing to do with each other, mend the address; then start ${ours} again`
  );
}

/** A far end that knows a higher epoch than ours shows that another site writes, or is about to. */
function refuseNewer(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  const { last } = ours;
  const { site, position, fencedBy } = theirs;
  const ourEpoch = highestEpoch(ours.epochs, last);
  const { number, id } = reignOf(theirs, ours, farEnd);
  const begun = { number, id, begun: true };
  const epoch = fencedBy !== undefined && compareEpochs(fencedBy, begun) > 0 ? fencedBy : begun;
  if (compareEpochs(epoch, ourEpoch) <= 0) return undefined;
  const known = epoch.begun ? 'knows' : 'has given a promise for';
  const since = epoch.begun ? 'another site has become the primary since' : 'another site is being promoted';
  const message =
    `${site} ${known} epoch ${epoch.number} (${epoch.id}), and this primary's last is ${ourEpoch.number} (${ourEpoch.id}): ` +
    `${since}. This one takes no writes: write at the primary of the higher epoch. With a standby configuration this site follows ` +
    `that one by itself; without one start it as a secondary. What only it holds is kept as a divergence`;
  const error = new EvertreeError('FENCED', message, { ours: last, theirs: position });
  return { kind: 'refuse', reason: 'fenced', state: 'fenced', error, fence: { epoch, error } };
}

/** A fenced site feeds nobody: what only it has would be undone wherever it came. */
function refuseFenced({ site, fencedBy }: OwnHistory): RefuseDecision | undefined {
  if (fencedBy === undefined) return undefined;
  const message = `${site} is fenced by epoch ${fencedBy.number} (${fencedBy.id}) and feeds nobody: the primary of that epoch does`;
  return asDecision(refusal('going-away', 'FENCED', message, { fencedBy }));
}

/**
 * A far end that holds more of our own reign than our history does shows that this directory went back in time: it is
 * an older copy. The ids of restart entries give no precedence, so neither of the two wins.
 */
function refuseBeyond(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  if (precedence(theirs, ours, farEnd) !== 0 || !isBeyond(ours, theirs.position)) return undefined;
  return olderCopy(ours, theirs, farEnd);
}

/**
 * A secondary that reads from a log acknowledges a position that is not ours. It said hello before it had applied that,
 * or before that was durable there, so its acknowledgement may be the first to show that this directory is an older copy.
 * @param wasOurs its history was found to be ours: then an id of our number that we don't know is of a restart of ours
 * @returns undefined if that position shows no such thing
 */
export function refuseAcknowledged(
  ours: Pick<OwnHistory, 'epochs' | 'last'>,
  site: string,
  position: ExactPosition,
  wasOurs: boolean,
): RefuseDecision | undefined {
  const isKnown = ours.epochs.some(({ number, id }) => number === position.epoch && id === position.epochId);
  if (!(isKnown || wasOurs) || !isBeyond(ours, position)) return undefined;
  return olderCopy(ours, { site, position }, { kind: 'site' });
}

function olderCopy(
  { last }: Pick<OwnHistory, 'last'>,
  { site, position }: Pick<Hello, 'site' | 'position'>,
  farEnd: FarEnd,
): RefuseDecision {
  const remedy =
    farEnd.kind === 'log'
      ? `export what a secondary of it holds, ${farEnd.remedy}, start the secondaries with empty directories`
      : `export what ${site} holds, start ${site} with an empty directory`;
  const heir = farEnd.kind === 'log' ? 'a secondary that reads there' : site;
  const where = `${formatPosition(position)}, ahead of this primary at ${formatPosition(last)} in the same epoch`;
  const message =
    `${site} stands at ${where}: ` +
    'this primary was started from an older copy of its data. It takes no writes any more. Either stop it and start the newer copy, or, if ' +
    `that one is lost, promote ${heir}, and this site follows it. If the commits after ${formatPosition(last)} may go, ${remedy}, and promote ` +
    'this site instead';
  const error = new EvertreeError('FENCED', message, { ours: last, theirs: position });
  return { kind: 'refuse', reason: 'history-mismatch', state: 'diverged', error, fence: { epoch: undefined, isBehind: true, error } };
}

/** Whether a position of our present reign lies behind what we have of it. */
function isBeyond(ours: Pick<OwnHistory, 'epochs' | 'last'>, position: ExactPosition): boolean {
  if (position.epoch !== ours.last.epoch || position.revision === 0) return false;
  const at = ours.epochs.findIndex(({ number, id }) => number === position.epoch && id === position.epochId);
  return at < 0 || position.revision > Math.min(ours.epochs[at + 1]?.base.revision ?? Infinity, ours.last.revision);
}

/** Refuses another primary. One of a lower epoch learns of ours by our hello, and follows. */
function refusePrimary(ours: OwnHistory, theirs: Hello, farEnd: FarEnd): RefuseDecision | undefined {
  const refused = precedence(theirs, ours, farEnd) < 0 ? undefined : refuseRole({ ...ours, role: 'primary' }, theirs);
  return refused === undefined ? undefined : asDecision(refused);
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
    if (farEnd.kind === 'site' && precedence(theirs, ours, farEnd) < 0) return waitFor(ours, theirs);
    return diverged(ours, theirs, farEnd, `no such position is in this primary's history, which stands at ${formatPosition(last)}`);
  }
  const passed = passedBy(ours, theirs.site, position, farEnd.kind === 'site' && theirs.catchesUp === true);
  if (passed !== undefined) return passed;
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

/** What follows where the journal does not reach back to a position of our history. */
function passedBy({ base }: OwnHistory, site: string, position: ExactPosition, catchesUp: boolean): Decision | undefined {
  // Both lie in our history, where revisions compare.
  if (position.revision >= base.revision) return undefined;
  const where = `${site}'s position ${formatPosition(position)} lies before what the primary's journal keeps (from ${formatPosition(base)})`;
  const reason: Reason = { code: 'retention-passed', text: `${where}: retention has passed it by` };
  return catchesUp ? { kind: 'offer', base, reason } : { kind: 'snapshot', reason };
}

function waitFor(ours: OwnHistory, { site, position, epochs }: Hello): Decision {
  const fork = forkOf(ours, { epochs, last: position });
  const message =
    `${site} stands at ${formatPosition(position)} (epoch ${position.epochId}), behind which this primary's history does not lead: the two ` +
    `part at ${formatPosition(fork)}. ${site} is waited for: it keeps what it has behind that, and goes back`;
  return { kind: 'wait', fork, error: new EvertreeError('HISTORY_MISMATCH', message, { ours: ours.last, theirs: position, fork }) };
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
