import { EvertreeError } from '@evertree/core';
import { isObjectKey } from './object-key.ts';

const SCHEME = 's3://';
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** A bucket, and what the keys of all objects in it begin with. */
export interface S3Location {
  /** As people write it, without a slash at the end. */
  readonly name: string;
  readonly bucket: string;
  /** Empty, or with a slash at the end. */
  readonly prefix: string;
}

export function isS3Name(name: string): boolean {
  return name.startsWith(SCHEME);
}

/** Takes `s3://bucket/prefix` apart. @throws EvertreeError CONFIGURATION_INVALID */
export function parseS3Name(name: string): S3Location {
  const rest = name.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  const prefix = slash < 0 ? '' : rest.slice(slash + 1).replace(/\/+$/, '');
  const refuse = (problem: string) =>
    new EvertreeError('CONFIGURATION_INVALID', `${JSON.stringify(name)} names no place of an archive: ${problem}`, { target: name });
  if (!BUCKET.test(bucket)) {
    throw refuse(`a bucket has 3 to 63 lower-case letters, digits, "." and "-", as in s3://backups/site-a`);
  }
  if (prefix !== '' && !isObjectKey(prefix)) {
    throw refuse('a prefix has letters, digits, ".", "-", "_" and "/", and no part of it is empty or begins with a dot');
  }
  return { name: `${SCHEME}${bucket}${prefix === '' ? '' : `/${prefix}`}`, bucket, prefix: prefix === '' ? '' : `${prefix}/` };
}
