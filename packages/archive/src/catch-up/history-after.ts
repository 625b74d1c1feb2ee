import { covers, EvertreeError, type ExactPosition, formatPosition, type Frame, isEvertreeError, samePosition } from '@evertree/core';
import type { Archive } from '../reading/archive.ts';
import { Way, type WantedHistory } from './way.ts';

/**
 * The frames that a site lacks, each after the one before, as far as the archive holds them and the history that the
 * site follows has them. Nothing is read if they can't lead far enough.
 * @throws EvertreeError NOT_FOUND, STREAM_MISMATCH, IDENTITY_NEEDED, DAMAGED, and what the target throws
 */
export async function* historyAfter(archive: Archive, wanted: WantedHistory): AsyncGenerator<Frame> {
  const way = wayIn(archive, wanted);
  const { primary, base } = wanted;
  let at = wanted.after;
  let damage: EvertreeError | undefined;
  for (let step = way.next(at.revision); step !== undefined; step = way.next(at.revision)) {
    try {
      for await (const frame of archive.framesOf(step.line, step.entries)) {
        const { header } = frame;
        if (header.last.revision <= at.revision) continue;
        if (!samePosition(header.base, at) || !covers(primary, header.last)) break;
        yield frame;
        at = header.last;
      }
    } catch (error) {
      // Another line may hold the same frames.
      if (!isEvertreeError(error, 'DAMAGED')) throw error;
      damage ??= error;
    }
    way.spend(step, at.revision);
  }
  if (at.revision < base.revision) throw damage ?? tooShort(archive, at, base);
}

function wayIn(archive: Archive, wanted: WantedHistory): Way {
  const { name } = archive.target;
  const { stream, after, base } = wanted;
  if (archive.stream !== undefined && archive.stream !== stream) {
    const message = `${name} holds the stream ${archive.stream}, and the stream ${stream} is wanted`;
    throw new EvertreeError('STREAM_MISMATCH', message, { expected: stream, found: archive.stream });
  }
  const way = new Way(archive.lines, wanted);
  const { reach } = way;
  if (reach >= base.revision) return way;
  throw tooShort(archive, reach === after.revision ? undefined : { ...after, revision: reach }, base);
}

function tooShort({ target }: Archive, at: ExactPosition | undefined, base: ExactPosition): EvertreeError {
  const there = at === undefined ? 'nothing that follows' : `what follows up to ${formatPosition(at)} only`;
  return new EvertreeError('NOT_FOUND', `${target.name} holds ${there}, and what lies before ${formatPosition(base)} is wanted`, {
    target: target.name,
  });
}
