import type { Clock, Random } from '@evertree/core';
import { DirectoryTarget } from './directory-target.ts';
import type { S3Settings } from './s3-client.ts';
import { isS3Name, parseS3Name } from './s3-location.ts';
import type { Target } from './target.ts';

export interface OpenTargetOptions extends S3Settings {
  /** For waits between two attempts. A command needs one whose timers keep its process alive. */
  readonly clock: Clock;
  readonly random: Random;
  /** Makes a directory that is missing. A bucket has to be there. */
  readonly make?: boolean;
}

/**
 * Opens what people name: a directory, or `s3://bucket/prefix`. A directory has to be there; of a bucket that is told by
 * the first call.
 * @throws EvertreeError CONFIGURATION_INVALID, NOT_FOUND, FORBIDDEN, STORAGE_FAILED
 */
export async function openTarget(name: string, options: OpenTargetOptions): Promise<Target> {
  if (!isS3Name(name)) return DirectoryTarget.open(name, options);
  const location = parseS3Name(name);
  // The client of S3 takes longer to load than all else.
  const { S3Target } = await import('./s3-target.ts');
  return S3Target.open(location, options);
}
