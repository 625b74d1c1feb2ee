import { EvertreeError } from './errors.ts';
import type { MarkNote } from './frames/body.ts';
import { positionAt, type Lineage } from './lineage.ts';
import { formatPosition, type ExactPosition, type Position } from './position.ts';

/** A name for a state of the history. It was given by a commit of its own, so every copy of the history has it. */
export interface Mark {
  readonly name: string;
  /** The named state. */
  readonly position: ExactPosition;
  /** The commit that gave the name. */
  readonly markedAt: ExactPosition;
  /** Commit time of that commit, milliseconds since 1970. */
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
}

/** The most marks of a history. */
export const MARKS_LIMIT = 4_096;
/** The most UTF-16 units of all their names, authors and messages together: a snapshot's header holds them. */
export const MARK_TEXTS_LIMIT = 1024 * 1024;
/** The longest name, in UTF-16 units. */
export const MARK_NAME_LIMIT = 255;

/** The commit that sets or removes a mark. */
export interface MarkCommit {
  readonly position: ExactPosition;
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
}

/** Whether a text can be the name of a mark. A name begins with a letter: it is read neither as a time nor as a position. */
export function isMarkName(text: string): boolean {
  return text.length <= MARK_NAME_LIMIT && /^\p{L}\P{Cc}*$/u.test(text) && !/\s$/u.test(text) && text.isWellFormed();
}

/** @throws EvertreeError VALUE_INVALID for what can't be the name of a mark */
export function checkMarkName(name: unknown): asserts name is string {
  if (typeof name === 'string' && isMarkName(name)) return;
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 60)) : `a value of the type ${typeof name}`;
  const rule = `a letter, then up to ${MARK_NAME_LIMIT - 1} characters without control characters, and no white space at the end`;
  throw new EvertreeError('VALUE_INVALID', `${shown} can't be the name of a mark: a name is ${rule}`);
}

/**
 * The exact position that a caller names in a history.
 * @throws EvertreeError HISTORY_MISMATCH
 */
export function positionIn(history: Pick<Lineage, 'epochs' | 'last'>, { epoch, revision }: Position): ExactPosition {
  const found = positionAt(history, revision);
  if (found?.epoch === epoch) return found;
  const { last } = history;
  let why = `revision ${revision} is of epoch ${found?.epoch ?? 'that is not known any more'}`;
  if (revision > last.revision) why = `it ends at ${formatPosition(last)}`;
  const message = `this history has no position ${formatPosition({ epoch, revision })}: ${why}`;
  throw new EvertreeError('HISTORY_MISMATCH', message, { expected: { epoch, revision }, found: found ?? last });
}

/** What a mark to be set would replace. */
export interface MarkWish {
  readonly name: string;
  /** Whether it may take a name that another mark has. */
  readonly move: boolean;
}

/**
 * Checks that a table has room for a mark, and that its name is free.
 * @returns the mark that it moves, if there is one
 * @throws EvertreeError MARK_EXISTS, TOO_LARGE
 */
export function checkRoom(marks: readonly Mark[], wish: MarkWish): Mark | undefined {
  const present = marks.find(({ name }) => name === wish.name);
  if (present !== undefined && !wish.move) {
    const { position, markedAt } = present;
    const where = `it names ${formatPosition(position)} since ${formatPosition(markedAt)}`;
    throw new EvertreeError(
      'MARK_EXISTS',
      `there is a mark ${JSON.stringify(wish.name)} already: ${where}; move it, or choose another name`,
      {
        name: wish.name,
        position,
        markedAt,
      },
    );
  }
  if (present === undefined && marks.length >= MARKS_LIMIT) {
    const message = `this history has ${marks.length} marks, the most that it may have; remove one that is not needed any more`;
    throw new EvertreeError('TOO_LARGE', message, { marks: marks.length, limit: MARKS_LIMIT });
  }
  const length = textsOf(wish) + marks.reduce((sum, mark) => sum + (mark === present ? 0 : textsOf(mark)), 0);
  if (length <= MARK_TEXTS_LIMIT) return present;
  const message =
    `with this one the marks have ${length} characters of names, authors and messages; the limit is ${MARK_TEXTS_LIMIT}: ` +
    'shorten the message, or remove a mark that is not needed any more';
  throw new EvertreeError('TOO_LARGE', message, { characters: length, limit: MARK_TEXTS_LIMIT });
}

/**
 * The table of marks after a commit that sets or removes one.
 * @param history as it is with that commit
 * @throws EvertreeError FORMAT_INVALID for a note that names no state of the history, or no possible name
 */
export function marksAfter(
  marks: readonly Mark[],
  history: Pick<Lineage, 'epochs' | 'last'>,
  { name, back, removed }: MarkNote,
  { position: markedAt, time, author, message }: MarkCommit,
): readonly Mark[] {
  if (!isMarkName(name)) throw new EvertreeError('FORMAT_INVALID', 'a frame sets a mark whose name is none');
  const others = marks.filter(mark => mark.name !== name);
  if (removed) return others.length === marks.length ? marks : others;
  const position = positionAt(history, markedAt.revision - back);
  if (position === undefined) {
    throw new EvertreeError(
      'FORMAT_INVALID',
      `a frame names the state ${back} revisions before ${formatPosition(markedAt)}, which is not known`,
    );
  }
  const note = { ...(author === undefined ? {} : { author }), ...(message === undefined ? {} : { message }) };
  return [...others, { name, position, markedAt, time, ...note }];
}

function textsOf({
  name,
  author,
  message,
}: Pick<MarkWish, 'name'> & { readonly author?: string | undefined; readonly message?: string | undefined }): number {
  return name.length + (author?.length ?? 0) + (message?.length ?? 0);
}
