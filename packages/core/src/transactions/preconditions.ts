import type { CommitOptions } from './commit.ts';
import { EvertreeError } from '../errors.ts';
import { NOTE_LIMIT } from '../tree/limits.ts';
import { formatPath, parsePath, type PathLike } from '../tree/path.ts';
import { formatPosition, type Position } from '../position.ts';

/**
 * Whether a commit may go ahead.
 * @throws EvertreeError POSITION_MISMATCH with what was expected and what was found; VALUE_INVALID, TOO_LARGE for an author or a message
 *   that can't be kept
 */
export function checkPreconditions(options: CommitOptions, position: Position, digestAt: (path: PathLike) => string | undefined): void {
  const { ifPosition, ifDigest, author, message: note } = options;
  if (author !== undefined) checkNote('author', author);
  if (note !== undefined) checkNote('message', note);
  if (ifPosition !== undefined && (ifPosition.epoch !== position.epoch || ifPosition.revision !== position.revision)) {
    const message = `the tree stands at ${formatPosition(position)}, not at ${formatPosition(ifPosition)}; read it again and decide anew`;
    throw new EvertreeError('POSITION_MISMATCH', message, { expected: ifPosition, found: position });
  }
  if (ifDigest === undefined) return;
  const found = digestAt(ifDigest.path) ?? null;
  if (found === ifDigest.digest) return;
  const path = formatPath(parsePath(ifDigest.path));
  const message = `what stands at ${JSON.stringify(path)} is not what was expected; read it again and decide anew`;
  throw new EvertreeError('POSITION_MISMATCH', message, { path, expected: ifDigest.digest, found });
}

/** What a commit says of itself goes into its frame as it is, so it has to be a text that UTF-8 has. */
function checkNote(name: string, note: unknown): void {
  if (typeof note !== 'string') throw new EvertreeError('VALUE_INVALID', `the ${name} of a commit is a string, not ${kindOf(note)}`);
  if (note.length > NOTE_LIMIT) {
    throw new EvertreeError('TOO_LARGE', `the ${name} of a commit has ${note.length} characters; the limit is ${NOTE_LIMIT}`);
  }
  if (note.isWellFormed()) return;
  throw new EvertreeError('VALUE_INVALID', `the ${name} of a commit has a lone surrogate; see String.prototype.toWellFormed`);
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : `a ${typeof value}`;
}
