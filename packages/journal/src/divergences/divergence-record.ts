import type { Disk, KeptDivergence, RevisionRange, Stretch } from '@evertree/core';
import { divergenceName } from '@evertree/core';
import { unsupported } from '../groups/failure.ts';
import { divergencePath } from '../site/layout.ts';
import { DIRECTORY_VERSION, isPosition, isRecord, isTexts, parseRecord } from '../site/site-file.ts';
import { readStateFile, writeStateFile } from '../site/state-file.ts';

/** Writes the file that tells about a divergence, durably. From its rename on the divergence is kept. */
export async function writeRecord(disk: Disk, kept: KeptDivergence): Promise<void> {
  const { name, ...record } = kept;
  await writeStateFile(disk, divergencePath(name, 'record'), { format: DIRECTORY_VERSION, ...record });
}

/**
 * @returns undefined if the file does not tell about the divergence of its name
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export async function readRecordFile(disk: Disk, name: string): Promise<KeptDivergence | undefined> {
  const path = divergencePath(name, 'record');
  const value = parseRecord((await readStateFile(disk, path)) ?? '');
  const { format, base, last, missing, commits, firstTime, lastTime, authors, paths, marks, keptAt, bytes, replayed } = value;
  if (typeof format === 'number' && format !== DIRECTORY_VERSION) throw unsupported(path, format, DIRECTORY_VERSION);
  if (!isPosition(base) || !isPosition(last) || divergenceName({ base, last }) !== name) return undefined;
  if (missing !== undefined && !isStretch(missing)) return undefined;
  if (typeof commits !== 'number' || typeof keptAt !== 'number' || typeof bytes !== 'number') return undefined;
  if (!isTexts(authors) || !isTexts(paths) || !Array.isArray(replayed) || !replayed.every(isRange)) return undefined;
  return {
    name,
    base,
    last,
    missing,
    commits,
    firstTime: typeof firstTime === 'number' ? firstTime : undefined,
    lastTime: typeof lastTime === 'number' ? lastTime : undefined,
    authors,
    paths,
    ...(isTexts(marks) ? { marks } : {}),
    keptAt,
    bytes,
    replayed,
  };
}

function isStretch(value: unknown): value is Stretch {
  return isRecord(value) && isPosition(value['base']) && isPosition(value['last']);
}

function isRange(value: unknown): value is RevisionRange {
  return isRecord(value) && typeof value['from'] === 'number' && typeof value['to'] === 'number';
}
