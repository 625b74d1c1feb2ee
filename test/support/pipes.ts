import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { until } from './http-site.ts';

/** Makes a file that whoever reads it waits for, as on a mount whose server is away: a named pipe that nobody writes to. */
export async function makePipe(path: string): Promise<void> {
  await promisify(execFile)('mkfifo', [path]);
}

/** Waits until somebody reads a pipe. The reader waits on until what is returned is closed, and finds the file empty then. */
export async function openedByReader(pipe: string, limitMs: number): Promise<FileHandle> {
  let opened: FileHandle | undefined;
  await until(async () => {
    opened = await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
    return opened !== undefined;
  }, limitMs);
  return opened!;
}
