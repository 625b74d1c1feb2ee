import type { EvertreeError, Store } from '@evertree/core';
import type { Fence } from './decision.ts';

/**
 * This primary takes no writes from now on. The fence is set in memory first, so that a slow or full disk does not
 * delay it. Resolves when the higher epoch is recorded, so that a restart takes no writes either. The far end is
 * answered only then. Never rejects; a disk that could not record it is reported, and the next hello tries again.
 */
export async function fence(store: Store, error: EvertreeError, { epoch }: Fence): Promise<void> {
  store.refuseWrites(error);
  store.report({ level: 'error', event: 'primary-fenced', message: error.message, details: error.details });
  if (epoch === undefined) return;
  try {
    await store.journal.identity.fence({ ...epoch, begun: true });
  } catch (cause) {
    const message =
      `the disk of ${store.site} could not record that epoch ${epoch.number} (${epoch.id}) exists: do not start this site as a primary ` +
      `again before it has met a site that knows the epoch: ${cause instanceof Error ? cause.message : String(cause)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message, details: { epoch, error: cause } });
  }
}
