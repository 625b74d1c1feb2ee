import type { Disk } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { DIVERGENCE_DIRECTORY, listDirectory, listHistory, readSite, SITE_FILE } from '@evertree/journal/files';

/** @throws EvertreeError WRONG_ROLE if the directory holds a site, or something of one */
export async function assertEmpty(disk: Disk): Promise<void> {
  const divergences = (await listDirectory(disk, DIVERGENCE_DIRECTORY)).map(name => `${DIVERGENCE_DIRECTORY}/${name}`);
  const found = (await readSite(disk)) === undefined ? [...(await listHistory(disk)), ...divergences][0] : SITE_FILE;
  if (found === undefined) return;
  throw new EvertreeError('WRONG_ROLE', `the directory to restore into holds ${found}; name one that is empty or absent`, { file: found });
}
