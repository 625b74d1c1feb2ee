import type { CommitOptions } from './commit.ts';
import { EvertreeError } from './errors.ts';
import { formatPath, parsePath, type PathLike } from './path.ts';
import { formatPosition, type Position } from './position.ts';

/**
 * Whether a commit may go ahead.
 * @throws EvertreeError POSITION_MISMATCH with what was expected and what was found
 */
export function checkPreconditions(options: CommitOptions, position: Position, digestAt: (path: PathLike) => string | undefined): void {
  const { ifPosition, ifDigest } = options;
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
