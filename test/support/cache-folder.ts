import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** Where something that is fetched or built once for all runs on a machine is kept. */
export function cacheFolder(name: string): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'evertree', name);
}

/**
 * Fills a folder of the cache. Several processes may do so at once: each fills a folder of its own, and the first to be
 * done puts it in place.
 */
export async function fillOnce(folder: string, fill: (own: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const own = await mkdtemp(`${folder}.`);
  try {
    await fill(own);
    await rename(own, folder);
  } catch (error) {
    // Another process was first; its copy is equal.
    if (!existsSync(folder)) throw error;
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

export function isOnPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some(folder => existsSync(join(folder, command)));
}
