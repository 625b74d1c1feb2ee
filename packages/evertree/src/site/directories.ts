import {
  cleanCopy as cleanDisk,
  type Cleaned,
  type DirectoryReplay,
  forwardCopy as forwardDisk,
  type Forwarded,
  type Replayed,
  replayDirectory as replayDisk,
  type Timestamp,
  type Verification,
  type VerificationOptions,
  verifyDirectory as verifyDisk,
} from '@evertree/history';
import { nodeDisk } from '@evertree/journal';
import { optional } from '../optional.ts';
import { inDirectory } from './directory-errors.ts';
import { nodeClock, nodeRandom } from './machine.ts';

/** What is done with a directory on which no site needs to run. Each throws as its namesake in @evertree/history. */

/** Checks everything in a site's directory, whether the site runs or not. Damage is told, not thrown. */
export function verifyDirectory(directory: string, options: VerificationOptions = {}): Promise<Verification> {
  return verifyDisk(nodeDisk(directory), nodeClock, { name: directory, ...options });
}

/** Rebuilds a directory from its events into another one, up to a moment or without some commits. */
export function replayDirectory(
  from: string,
  into: string,
  options: Pick<DirectoryReplay, 'to' | 'without' | 'progress'> = {},
): Promise<Replayed> {
  return inDirectory(from, () => replayDisk({ ...options, name: from, from: nodeDisk(from), into: nodeDisk(into), random: nodeRandom }));
}

/**
 * Makes a copy of a running site's directory into exactly the commits up to a timestamp of `site.copies.begin()`. No site
 * starts on it until `forwardCopy`.
 */
export function cleanCopy(
  directory: string,
  first: Timestamp,
  options: { readonly force?: boolean; readonly progress?: VerificationOptions['progress'] } = {},
): Promise<Cleaned> {
  const { force, progress } = options;
  return inDirectory(directory, () =>
    cleanDisk({ disk: nodeDisk(directory), first, ...optional('force', force), ...optional('progress', progress) }),
  );
}

/** Lets a cleaned copy go on in an epoch above all that it may have seen. @param second of `site.copies.end(first)` */
export function forwardCopy(directory: string, second: Timestamp, options: { readonly site?: string } = {}): Promise<Forwarded> {
  return inDirectory(directory, () =>
    forwardDisk({ disk: nodeDisk(directory), clock: nodeClock, random: nodeRandom, second, ...optional('site', options.site) }),
  );
}
