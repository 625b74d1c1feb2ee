import type { Disk } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { removeFiles } from '../disk/removal.ts';
import { unsupported } from '../groups/failure.ts';
import { UNFINISHED_FILE } from './layout.ts';
import { DIRECTORY_VERSION, isRecord } from './site-file.ts';
import { readStateFile, writeStateFile } from './state-file.ts';

/** The work that makes a directory into one that a site can be started on. */
export type UnfinishedWork = 'replay' | 'restore' | 'timestamp';

/** The content of unfinished.json. What else it holds is the business of its work. */
export interface UnfinishedFile {
  readonly work: UnfinishedWork;
  readonly [name: string]: unknown;
}

const REMEDIES: Readonly<Record<UnfinishedWork, string>> = {
  replay: '"evertree replay" did not end there: run it again, or remove the directory',
  restore: '"evertree restore" did not end there: run it again as it was run, and it goes on from there; or remove the directory',
  timestamp: 'it is a copy on its way: finish it with "evertree timestamp clean-transactions" and then "evertree timestamp fast-forward"',
};

/** @returns undefined if the directory is not on its way. @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED */
export async function readUnfinished(disk: Disk): Promise<UnfinishedFile | undefined> {
  const text = await readStateFile(disk, UNFINISHED_FILE);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (typeof value['format'] === 'number' && value['format'] !== DIRECTORY_VERSION) {
    throw unsupported(UNFINISHED_FILE, value['format'], DIRECTORY_VERSION);
  }
  const { format: _, work, ...rest } = value;
  if (!isWork(work)) {
    throw new EvertreeError('DAMAGED', `${UNFINISHED_FILE} does not say what is under way in this directory; begin with a new one`, {
      file: UNFINISHED_FILE,
      offset: 0,
    });
  }
  return { ...rest, work };
}

function isWork(work: unknown): work is UnfinishedWork {
  return typeof work === 'string' && Object.hasOwn(REMEDIES, work);
}

/** Records durably what is under way. From then on no site starts on the directory. */
export async function writeUnfinished(disk: Disk, file: UnfinishedFile): Promise<void> {
  await writeStateFile(disk, UNFINISHED_FILE, { format: DIRECTORY_VERSION, ...file });
}

/** The work is done: sites may start on the directory. */
export async function removeUnfinished(disk: Disk): Promise<void> {
  await removeFiles(disk, [UNFINISHED_FILE]);
  await disk.syncDirectory('');
}

/** @throws EvertreeError UNFINISHED, if a site must not start on the directory */
export async function assertFinished(disk: Disk): Promise<void> {
  const unfinished = await readUnfinished(disk);
  if (unfinished === undefined) return;
  const message = `no site can start on this directory yet: ${REMEDIES[unfinished.work]}`;
  throw new EvertreeError('UNFINISHED', message, { work: unfinished.work });
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    // The caller says so, as of any other content that does not fit.
    return {};
  }
}
