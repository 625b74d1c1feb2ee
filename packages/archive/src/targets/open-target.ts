import type { Clock, Random } from '@evertree/core';
import { DirectoryTarget } from './directory-target.ts';
import type { Target } from './target.ts';

export interface OpenTargetOptions {
  /** For waits between two attempts. A command needs one whose timers keep its process alive. */
  readonly clock: Clock;
  readonly random: Random;
  /** Makes a directory that is missing. A bucket has to be there. */
  readonly make?: boolean;
}

/**
 * Opens what people name: a directory, or `s3://bucket/prefix`. Nothing is read but what tells that it is there.
 * @throws EvertreeError CONFIGURATION_INVALID, NOT_FOUND, FORBIDDEN
 */
export function openTarget(name: string, options: OpenTargetOptions): Promise<Target> {
  return DirectoryTarget.open(name, options);
}
