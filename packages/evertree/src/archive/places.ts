import { relative, resolve, sep } from 'node:path';
import { EvertreeError } from '@evertree/core';

/** Whether a target is in a bucket, and no directory. */
export function isBucket(target: string): boolean {
  return target.startsWith('s3://');
}

/** Whether two names, as people write them, are those of one place. Other names may lead there, too. */
export function sameTarget(one: string, other: string): boolean {
  if (isBucket(one) || isBucket(other)) return one.replace(/\/+$/, '') === other.replace(/\/+$/, '');
  return resolve(one) === resolve(other);
}

/**
 * An archive in the directory whose loss it is to survive is none.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function checkApart(directory: string, target: string): void {
  if (isBucket(target)) return;
  const from = resolve(directory);
  const way = relative(from, resolve(target));
  if (way !== '' && (way === '..' || way.startsWith(`..${sep}`))) return;
  const message = `the archive ${target} would lie in the site's own directory ${from}, and be lost with it; choose a directory elsewhere, best on another disk`;
  throw new EvertreeError('CONFIGURATION_INVALID', message, { target, directory: from });
}

/**
 * Whoever looks for an archive's objects must not find something else among them.
 * @param what the directory, for the error
 * @throws EvertreeError CONFIGURATION_INVALID if a directory is an archive's, or lies in it
 */
export function assertOutside(what: string, directory: string, target: string): void {
  if (isBucket(target)) return;
  const way = relative(resolve(target), resolve(directory));
  if (way === '..' || way.startsWith(`..${sep}`)) return;
  throw new EvertreeError('CONFIGURATION_INVALID', `${what} lies in the archive ${target}; name one elsewhere`, { target, directory });
}
