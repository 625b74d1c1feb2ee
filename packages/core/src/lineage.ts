import { EvertreeError } from './errors.ts';
import type { FrameHeader } from './frames/frame.ts';
import { formatExactPosition, formatPosition, NO_EPOCH_ID, ORIGIN, samePosition, type Epoch, type ExactPosition } from './position.ts';

/** The most entries of a table of epochs. A hello with so many still fits on every wire. */
export const EPOCHS_LIMIT = 4_096;

/** What orders epochs. */
export interface EpochName {
  readonly number: number;
  readonly id: string;
}

/** An epoch above those of a site's history. */
export interface Fencing extends EpochName {
  /**
   * Whether a frame of it exists. Else it is only promised to a site that wants to begin it: this site acknowledges
   * nothing of a lower epoch any more.
   */
  readonly begun: boolean;
}

/**
 * What has to be known of a history to compare it with another one: its epochs and its end.
 *
 * Within one history revisions are dense, so that a revision alone names a position. To compare two histories use
 * `covers` and `forkOf` only: 1-500 does not hold 2-452 if epoch 2 began on 1-450.
 */
export interface Lineage {
  /** 32 hex digits; null before the first commit. */
  readonly stream: string | null;
  /**
   * The table of epochs, oldest first. An entry's positions lie after its base, up to the next entry's base. Several
   * entries may share a number, but never both number and id. The table may be ahead of `last`: entries that begin at
   * or after `last` do not count.
   */
  readonly epochs: readonly Epoch[];
  /** The last position of this history. */
  readonly last: ExactPosition;
}

/** What the functions here compare. Their callers make sure that the streams are the same. */
type Compared = Pick<Lineage, 'epochs' | 'last'>;

/**
 * Whether a history went through a position. Every history covers ORIGIN.
 *
 * `last` may also be the position of another site, if the question is what that site holds of the history of `epochs`.
 * In an epoch that the table does not have, it holds nothing of it. Beyond the end of an epoch it holds the history up
 * to that end.
 */
export function covers(history: Compared, position: ExactPosition): boolean {
  if (samePosition(position, ORIGIN)) return true;
  const at = indexOf(history.epochs, position);
  if (at < 0 || at > indexOf(history.epochs, history.last)) return false;
  return position.revision > history.epochs[at]!.base.revision && position.revision <= endOf(history, at);
}

/**
 * The last position of a history that a site at `theirs` holds; ORIGIN if `theirs` lies in an epoch that the history
 * does not have.
 */
export function heldBy(history: Compared, theirs: ExactPosition): ExactPosition {
  const at = indexOf(history.epochs, theirs);
  if (at < 0 || theirs.revision <= history.epochs[at]!.base.revision) return ORIGIN;
  const end = endOf(history, at);
  return theirs.revision <= end ? theirs : (positionAt(history, end) ?? ORIGIN);
}

/**
 * The last position that two histories of one stream have in common: the lower end of the last epoch that both went
 * through.
 */
export function forkOf(a: Compared, b: Compared): ExactPosition {
  const bLast = indexOf(b.epochs, b.last);
  for (let aAt = indexOf(a.epochs, a.last); aAt >= 0; aAt--) {
    const { number, id } = a.epochs[aAt]!;
    const bAt = b.epochs.findIndex(entry => entry.number === number && entry.id === id);
    if (bAt < 0 || bAt > bLast) continue;
    return { epoch: number, epochId: id, revision: Math.min(endOf(a, aAt), endOf(b, bAt)) };
  }
  return ORIGIN;
}

/**
 * The exact position that a revision names in a history; undefined after its end, and before the first entry of its
 * table.
 */
export function positionAt({ epochs, last }: Compared, revision: number): ExactPosition | undefined {
  if (revision === ORIGIN.revision) return ORIGIN;
  if (revision > last.revision) return undefined;
  const entry = epochs.findLast(({ base }) => base.revision < revision);
  return entry === undefined ? undefined : { epoch: entry.number, epochId: entry.id, revision };
}

/** The table of epochs as it was when the history ended at a revision. */
export function epochsAt(history: Compared, revision: number): readonly Epoch[] {
  const { epochs } = history;
  const count = epochs.findLastIndex(({ base }) => base.revision < revision) + 1;
  const last = epochs[count - 1];
  // A handover frame is the last of its epoch.
  if (last?.end === undefined || endOf(history, count - 1) === revision) return count === epochs.length ? epochs : epochs.slice(0, count);
  const { end: _, ...unended } = last;
  return [...epochs.slice(0, count - 1), unended];
}

/**
 * Checks that a frame follows a history.
 * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH with `expected` and `found`
 */
export function assertFollows({ stream, base }: Pick<FrameHeader, 'stream' | 'base'>, history: Pick<Lineage, 'stream' | 'last'>): void {
  if (history.stream !== null && history.stream !== stream) {
    const message = `a frame of the stream ${stream} can't follow in a history of the stream ${history.stream}`;
    throw new EvertreeError('STREAM_MISMATCH', message, { expected: history.stream, found: stream });
  }
  if (samePosition(base, history.last)) return;
  const message = `a frame that follows ${formatExactPosition(base)} does not follow this history, which ends at ${formatExactPosition(history.last)}`;
  throw new EvertreeError('HISTORY_MISMATCH', message, { expected: history.last, found: base });
}

/**
 * Checks that a frame's epoch may follow the last one of a history. After a handover only a higher epoch follows; an
 * entry of the same number comes from the site that began that number. A site that handed over leaves the next number to
 * its successor, so that the two never begin the same.
 * @param epoch the number of the frame's epoch
 * @param site which begins it; undefined if the frame continues it
 * @throws EvertreeError HISTORY_MISMATCH
 */
export function assertSucceeds(epoch: number, { epochs, last }: Compared, site: string | undefined): void {
  const entry = epochs.at(-1);
  if (entry === undefined || (site === undefined && entry.end === undefined)) return;
  const { number, end } = entry;
  const ended = end === undefined ? '' : `, which ${entry.site} handed over to ${end.to}`;
  let problem: string | undefined;
  if (site === undefined) problem = 'only a new epoch';
  else if (epoch === number && end !== undefined) problem = 'only an epoch of a higher number';
  else if (epoch === number && site !== entry.site) problem = `only a restart of ${entry.site}`;
  else if (epoch === number + 1 && end !== undefined && site === entry.site)
    problem = `an epoch of ${site} numbered ${number + 2} or above`;
  else if (epoch < number) problem = `only an epoch numbered ${number} or above`;
  if (problem === undefined) return;
  const found = site === undefined ? 'a frame of that epoch' : `epoch ${epoch} of ${site}`;
  const message = `${found} can't follow ${formatPosition(last)}: ${problem} may follow epoch ${number}${ended}`;
  throw new EvertreeError('HISTORY_MISMATCH', message, { expected: last, found: epoch });
}

/**
 * A table of epochs with one more entry. At its limit the oldest restart entry goes, or the oldest entry: who stands in
 * it needs a full copy then.
 */
export function withEpoch(epochs: readonly Epoch[], entry: Epoch): readonly Epoch[] {
  const all = [...epochs, entry];
  if (all.length <= EPOCHS_LIMIT) return all;
  // The first of each number has the id that decides precedence.
  const at = all.findIndex(({ number }, index) => index > 0 && number === all[index - 1]!.number);
  return all.toSpliced(Math.max(at, 0), 1);
}

/** The error for those who wait for a position that the history does not hold any more. */
export function lostPosition(position: ExactPosition, { last }: Compared): EvertreeError {
  const message =
    `${formatExactPosition(position)} is not in this site's history any more, which stands at ` +
    `${formatExactPosition(last)}: another site has become the primary since; read what stands now, and decide anew`;
  return new EvertreeError('FENCED', message, { position, last });
}

/** The higher (number, id) wins. */
export function compareEpochs(a: EpochName, b: EpochName): number {
  if (a.number !== b.number) return a.number - b.number;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

/**
 * What a site is fenced by once it has heard of an epoch: the higher of the two, and of one epoch rather that it has
 * begun than that it is promised.
 * @returns undefined if `fencedBy` stays
 */
export function raiseFencing(fencedBy: Fencing | undefined, { number, id, begun }: Fencing): Fencing | undefined {
  const heard = { number, id, begun };
  if (fencedBy === undefined) return heard;
  const order = compareEpochs(heard, fencedBy);
  return order > 0 || (order === 0 && begun && !fencedBy.begun) ? heard : undefined;
}

/**
 * The highest number of an epoch that a site has heard of: with the epoch's id only if no other one was told by that
 * number.
 * @returns undefined if `heard` stays
 */
export function raiseHeard(heard: EpochName | undefined, { number, id }: EpochName): EpochName | undefined {
  if (heard === undefined || number > heard.number) return { number, id };
  return number === heard.number && id !== heard.id && heard.id !== NO_EPOCH_ID ? { number, id: NO_EPOCH_ID } : undefined;
}

/**
 * The highest epoch that a site knows. Where several entries share a number it is the first of them: the later ones are
 * the same writer's restarts, whose ids give no precedence.
 * @param position its epoch counts if it is above all of the table
 */
export function highestEpoch(epochs: readonly Epoch[], position: ExactPosition): EpochName {
  let highest: EpochName = { number: 0, id: NO_EPOCH_ID };
  for (const epoch of epochs) if (epoch.number > highest.number) highest = epoch;
  return position.epoch > highest.number ? { number: position.epoch, id: position.epochId } : highest;
}

/**
 * The highest number that a history takes. The number after an epoch that ended in a handover belongs to its target: it may
 * begin at any time.
 */
export function takenUpTo({ epochs, last }: Compared): number {
  return Math.max(last.epoch, ...epochs.map(({ number, end }) => (end === undefined ? number : number + 1)));
}

/**
 * The index of a position's epoch in a table, or -1. The search begins at the newest entry, which is asked for most.
 */
function indexOf(epochs: readonly Epoch[], { epoch, epochId }: ExactPosition): number {
  let at = epochs.length - 1;
  while (at >= 0 && !(epochs[at]!.number === epoch && epochs[at]!.id === epochId)) at--;
  return at;
}

/** The last revision that a history has in the epoch at `at` of its table. */
function endOf({ epochs, last }: Compared, at: number): number {
  const next = epochs[at + 1];
  return next === undefined ? last.revision : Math.min(next.base.revision, last.revision);
}
