import type { Clock, Random, Reporter } from '@evertree/core';
import { Pin } from '../prune/pin.ts';
import type { Archive } from './archive.ts';

export interface ArchivePinOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** What for, in one word. */
  readonly purpose: string;
  readonly report?: Reporter | undefined;
}

/**
 * Keeps what an archive names from being pruned while it is read. Where the target may only be read, that is reported, and
 * the reading goes on. Where HEAD or its manifest can't be read nothing is held: nobody can prune such an archive, and
 * what an older manifest names may have been pruned before.
 */
export async function pinOf(
  { head, manifestHash, target }: Archive,
  { clock, random, purpose, report = () => undefined }: ArchivePinOptions,
): Promise<AsyncDisposable | undefined> {
  if (manifestHash === undefined || head?.manifest !== manifestHash) return undefined;
  return Pin.hold(target, { manifest: manifestHash, purpose, clock, random, report });
}
