import { EvertreeError } from '@evertree/core';

const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/** Whether a target can have an object of this key. */
export function isObjectKey(key: string): boolean {
  return KEY.test(key);
}

/**
 * Keys come from manifests, too, and a damaged or forged one must not lead out of the target.
 * @throws EvertreeError PATH_INVALID
 */
export function assertObjectKey(key: string): void {
  if (isObjectKey(key)) return;
  const rule = 'a key has letters, digits, `.`, `-`, `_` and `/`, and no part of it is empty or begins with a dot';
  throw new EvertreeError('PATH_INVALID', `${JSON.stringify(key)} is no key of an object in an archive: ${rule}`, { key });
}
