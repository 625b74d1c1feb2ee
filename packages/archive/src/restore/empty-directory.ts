import type { Disk } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { DIVERGENCE_DIRECTORY, listDirectory, readSite, SEGMENT_DIRECTORY, SITE_FILE, SNAPSHOT_DIRECTORY } from '@evertree/journal/files';

/** The segments and snapshots that a directory holds, whatever they are. */
export async function historyFiles(disk: Disk): Promise<string[]> {
  const files: string[] = [];
  for (const directory of [SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY]) {
    files.push(...(await listDirectory(disk, directory)).map(name => `${directory}/${name}`));
  }
  return files;
}

/** @throws EvertreeError WRONG_ROLE if the directory holds a site, or something of one */
export async function assertEmpty(disk: Disk): Promise<void> {
  const divergences = (await listDirectory(disk, DIVERGENCE_DIRECTORY)).map(name => `${DIVERGENCE_DIRECTORY}/${name}`);
  const found = (await readSite(disk)) === undefined ? [...(await historyFiles(disk)), ...divergences][0] : SITE_FILE;
  if (found === undefined) return;
  throw new EvertreeError('WRONG_ROLE', `the directory to restore into holds ${found}; name one that is empty or absent`, { file: found });
}
