import { createWriteStream } from 'node:fs';
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { nodeRandom } from '../site/machine.ts';
import { printError } from './terminal.ts';

type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/**
 * Writes a file durably, and whole or not at all: until all of it is on the disk, its name has what it had before. A
 * symbolic link is followed. What runs that were killed have left beside it is told, and not removed: another one may be
 * writing it now.
 *
 * @throws EvertreeError STORAGE_FAILED, naming the file; whatever `chunks` throws
 */
export async function writeWholeFile(file: string, chunks: Chunks): Promise<void> {
  let temporary: string | undefined;
  try {
    const place = await placeOf(file);
    // A drawn name, and a new file: where others may write, too, a link of a known name could lead anywhere.
    temporary = `${place}.${Buffer.from(nodeRandom.bytes(4)).toString('hex')}.tmp`;
    await pipeline(chunks, createWriteStream(temporary, { flush: true, flags: 'wx' }));
    await rename(temporary, place);
    await syncDirectory(dirname(place));
    await tellUnfinished(place);
  } catch (error) {
    if (temporary !== undefined) await rm(temporary, { force: true });
    if (isEvertreeError(error)) throw error;
    throw new EvertreeError('STORAGE_FAILED', `${file} can't be written: ${(error as Error).message}`, { file }, error);
  }
}

/** Beyond so many only their number is told. */
const NAMED_FILES = 3;

async function tellUnfinished(place: string): Promise<void> {
  const prefix = `${basename(place)}.`;
  const names = await readdir(dirname(place));
  const left = names.filter(name => name.startsWith(prefix) && /^[0-9a-f]{8}\.tmp$/.test(name.slice(prefix.length)));
  if (left.length === 0) return;
  const more = left.length > NAMED_FILES ? `, and ${left.length - NAMED_FILES} more` : '';
  const files = `${left.slice(0, NAMED_FILES).join(', ')}${more}`;
  printError(
    `warning: beside ${place} there is what a run that was killed has left: ${files}; remove it, unless another run writes it now`,
  );
}

/** Where the file is, or will be. A device or a pipe must not be replaced by a file. */
async function placeOf(file: string): Promise<string> {
  const found = await stat(file).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return file;
  if (found.isFile()) return realpath(file);
  const kind = found.isDirectory() ? 'a directory' : 'a device or a pipe';
  throw new EvertreeError('STORAGE_FAILED', `${file} is ${kind}; name a file`, { file });
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
