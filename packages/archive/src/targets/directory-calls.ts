import type * as nodeFiles from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, isMissing } from '@evertree/journal/files';
import { directoryError, directoryMissing } from './directory-errors.ts';

/** The calls of the file system that a target in a directory makes. A test may let them fail. */
export type DirectoryCalls = Pick<
  typeof nodeFiles,
  'link' | 'mkdir' | 'open' | 'readFile' | 'readdir' | 'rename' | 'rmdir' | 'stat' | 'unlink'
>;

/** Names a directory as long as it exists: device and inode. @throws EvertreeError NOT_FOUND, FORBIDDEN, STORAGE_FAILED */
export async function markOf(calls: DirectoryCalls, directory: string): Promise<string> {
  try {
    const found = await calls.stat(directory);
    if (found.isDirectory()) return `${found.dev}-${found.ino}`;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') throw directoryMissing(directory, 'is missing', error);
    if (code === 'ENOTDIR') throw directoryMissing(directory, 'lies below a file', error);
    throw directoryError(directory, 'opening', undefined, error);
  }
  throw directoryMissing(directory, 'is a file');
}

/** Makes a directory and what is missing above it, durably. */
export async function makeDirectories(calls: DirectoryCalls, directory: string): Promise<void> {
  const make = () => makeDirectory(calls, directory);
  try {
    await make();
  } catch (error) {
    const above = dirname(directory);
    if (!isMissing(error) || above === directory) throw error;
    await makeDirectories(calls, above);
    await make();
  }
}

async function makeDirectory(calls: DirectoryCalls, directory: string): Promise<void> {
  try {
    await calls.mkdir(directory);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    throw error;
  }
  await syncDirectory(calls, dirname(directory));
}

/** Makes the names in it durable. */
export async function syncDirectory(calls: DirectoryCalls, directory: string): Promise<void> {
  const handle = await calls.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @returns false if it is not there */
export async function isThere(calls: DirectoryCalls, path: string): Promise<boolean> {
  try {
    await calls.stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** A file that is not there is no error. */
export async function removeFile(calls: DirectoryCalls, path: string): Promise<void> {
  try {
    await calls.unlink(path);
  } catch (error) {
    if (!isMissing(error) && errorCode(error) !== 'ENOTDIR') throw error;
  }
}
