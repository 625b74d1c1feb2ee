import type { Divergence, KeptDivergence } from '@evertree/core';
import { divergenceName, EvertreeError } from '@evertree/core';

/** Whether what is kept under the divergence's name misses no more of it than the divergence itself does. */
export function holdsAll(kept: KeptDivergence, { missing }: Divergence): boolean {
  return kept.missing === undefined || kept.missing.last.revision <= (missing?.last.revision ?? 0);
}

export function unknownDivergence(name: string): EvertreeError {
  return new EvertreeError('NOT_FOUND', `no divergence ${name} is kept here; list those that are`, { name });
}

/** @param otherBytes of those that are kept already */
export function noRoom(divergence: Divergence, otherBytes: number, maxBytes: number): EvertreeError {
  const name = divergenceName(divergence);
  const message = `the divergence ${name} can't be kept: those that are kept take ${otherBytes} of at most ${maxBytes} bytes, and it needs more than the rest; replay or export them, forget those that are not needed any more, then try again`;
  return new EvertreeError('STORAGE_FULL', message, { name, otherBytes, maxBytes });
}
