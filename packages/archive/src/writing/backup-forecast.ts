import type { ExactPosition, Reporter } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import { HEAD_KEY } from '../format/object-keys.ts';
import { readHeadState } from '../publishing/head-state.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveSource } from './archive-source.ts';
import { assertUsable } from './archive-use.ts';
import type { LineFile } from './line-file.ts';
import { chooseLine } from './line-opening.ts';

/** What a backup would write. */
export interface BackupForecast {
  /** The id of the archive; null where there is none yet. */
  readonly archive: string | null;
  /** Everything up to here is archived; null where the line is new. */
  readonly from: ExactPosition | null;
  readonly to: ExactPosition;
  readonly commits: number;
  /** Bytes of the frames, before they are compressed. An image of the tree is not in them. */
  readonly plainBytes: number;
  /** A whole tree would be written as well. */
  readonly image: boolean;
  readonly encrypted: boolean;
  /** Why the site would begin a new line, although it has one in the archive; null if it goes on, or has none. */
  readonly reason: string | null;
}

export interface ForecastParts {
  /** Undefined where the place is not there yet. */
  readonly target: Target | undefined;
  readonly source: ArchiveSource;
  readonly lines: LineFile;
  readonly sealing: Sealing;
}

/**
 * What a backup would archive now. Reads, and changes nothing.
 * @throws EvertreeError NOT_FOUND before the first commit; what a backup is refused with; what the target throws
 */
export async function forecastBackup(parts: ForecastParts): Promise<BackupForecast> {
  const { target, source, sealing } = parts;
  const { stream, base, stable } = await source.extent();
  if (stream === undefined) throw new EvertreeError('NOT_FOUND', `${source.site} has no commit yet: there is nothing to back up`);
  const encrypted = sealing !== 'plain';
  const hasHead = target !== undefined && (await target.stat(HEAD_KEY)) !== undefined;
  const nowhere = { end: null, archive: null, reason: null };
  const { end, archive, reason } = hasHead ? await whereItGoesOn({ ...parts, target }, stream) : nowhere;
  // What the journal does not reach back to comes with an image.
  const image = end === null ? base.revision > 0 : end.revision < base.revision;
  const frames = await measure(source, end === null || image ? base : end);
  return { archive, from: end, to: stable, image, encrypted, reason, ...frames };
}

/** The end of the site's line; null if it would begin one. */
async function whereItGoesOn(
  { target, source, lines, sealing }: ForecastParts & { readonly target: Target },
  stream: string,
): Promise<{ readonly archive: string; readonly end: ExactPosition | null; readonly reason: string | null }> {
  const { head, manifest } = await readHeadState(target);
  const { archive } = head;
  assertUsable(head, { target: target.name, archive, stream, sealing });
  let reason: string | null = null;
  const report: Reporter = ({ message }) => (reason = message);
  const from = await chooseLine({ target, source, lines, report }, { head, manifest });
  return { archive, end: from.kind === 'line' ? from.end.objects.position : null, reason };
}

async function measure(source: ArchiveSource, after: ExactPosition): Promise<{ readonly commits: number; readonly plainBytes: number }> {
  let commits = 0;
  let plainBytes = 0;
  for await (const { header, bytes } of source.frames(after)) {
    commits += header.last.revision - header.base.revision;
    plainBytes += bytes.length;
  }
  return { commits, plainBytes };
}
