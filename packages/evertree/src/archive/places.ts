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
