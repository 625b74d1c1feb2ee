import { formatExactPosition, formatPosition, isEvertreeError } from '@evertree/core';
import type { ExactPosition, Fencing, Store } from '@evertree/core';

/** What came of going back to a fork; `error` is for the far end. */
export type ReturnOutcome =
  | { readonly kind: 'back' }
  /** The journal does not reach back to it: only a whole tree leads on. Nothing has changed. */
  | { readonly kind: 'too-far' }
  /** It may be tried again, with the next link. Nothing has changed. */
  | { readonly kind: 'failed'; readonly error: string };

/**
 * Records the epoch of the primary that ends this site's reign; in memory it holds at once. Never rejects.
 * @returns why it could not be recorded; then nothing may be taken from that primary
 */
export async function endReign(store: Store, fence: Fencing, primary: string): Promise<string | undefined> {
  const epoch = `epoch ${fence.number} (${fence.id})`;
  const message = `${primary} is the primary of ${epoch}, above all of ${store.site}, which follows it from now on`;
  store.report({ level: 'warn', event: 'reign-over', message, details: { site: primary, epoch: fence } });
  try {
    await store.fence(fence, fence.begun);
    return undefined;
  } catch (error) {
    const text = `the disk of ${store.site} could not record that ${epoch} has begun: ${describe(error)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message: text, details: { epoch: fence, error } });
    return text;
  }
}

/** Keeps what this site holds behind the fork, and goes back to there. Never rejects. */
export async function returnTo(store: Store, fork: ExactPosition, primary: string): Promise<ReturnOutcome> {
  const { position: from, site } = store;
  try {
    const divergence = await store.rewind(fork);
    const kept = divergence === undefined ? '' : `; what lay behind that is kept as the divergence ${divergence}`;
    const message = `${site} went back from ${formatExactPosition(from)} to ${formatExactPosition(fork)}, to follow ${primary}${kept}`;
    store.report({ level: 'warn', event: 'history-rewound', message, details: { from, fork, divergence } });
    return { kind: 'back' };
  } catch (error) {
    const message = `${site} can't go back from ${formatPosition(from)} to ${formatPosition(fork)}: ${describe(error)}`;
    const isTooFar = isEvertreeError(error, 'COMPACTED') || isEvertreeError(error, 'HISTORY_MISMATCH');
    store.report({ level: isTooFar ? 'warn' : 'error', event: 'rewind-failed', message, details: { from, fork, error } });
    return isTooFar ? { kind: 'too-far' } : { kind: 'failed', error: message };
  }
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
