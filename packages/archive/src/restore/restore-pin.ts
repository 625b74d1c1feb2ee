import type { Clock, Random, Reporter } from '@evertree/core';
import { Pin } from '../prune/pin.ts';
import type { Archive } from '../reading/archive.ts';

/** Keeps what is read from being pruned. Where the target may only be read, that is reported, and the reading goes on. */
export async function pinOf(
  { manifestHash, target }: Archive,
  { clock, random, report = () => undefined }: { readonly clock: Clock; readonly random: Random; readonly report?: Reporter },
): Promise<AsyncDisposable | undefined> {
  // Where HEAD tells no manifest nothing can be pruned.
  if (manifestHash === undefined) return undefined;
  return Pin.hold(target, { manifest: manifestHash, purpose: 'restore', clock, random, report });
}
