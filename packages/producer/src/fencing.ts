import { raiseFencing, stepDown } from '@evertree/core';
import type { Store } from '@evertree/core';
import type { Fence } from './decision.ts';

/**
 * This primary takes no writes from now on. The fence is set in memory first, so that a slow or full disk does not
 * delay it. Resolves when the higher epoch is recorded, so that a restart takes no writes either. The far end is
 * answered only then. Never rejects; a disk that could not record it is reported, and the next hello tries again.
 */
export async function fence(store: Store, { epoch, isBehind, error }: Fence): Promise<void> {
  const { identity } = store.journal;
  // The same far end says the same at each of its links.
  const isNews =
    (store.role === 'primary' && store.state === 'open') || (epoch !== undefined && raiseFencing(identity.fencedBy, epoch) !== undefined);
  // Whoever handed over takes no writes, and expects an epoch that follows: that is no reason of its own to refuse them.
  const hasHandedOver = store.standing !== 'secondary' && store.epochs.at(-1)?.end !== undefined;
  if (isBehind !== true && !hasHandedOver) store.refuseWrites(error);
  const news = hasHandedOver ? 'info' : 'error';
  store.report({ level: isNews ? news : 'debug', event: 'primary-fenced', message: error.message, details: error.details });
  if (isBehind === true) return stepDown(store, error);
  if (epoch === undefined) return;
  try {
    await store.fence(epoch, epoch.begun);
  } catch (cause) {
    const message =
      `the disk of ${store.site} could not record that epoch ${epoch.number} (${epoch.id}) exists: do not start this site as a primary ` +
      `again before it has met a site that knows the epoch: ${cause instanceof Error ? cause.message : String(cause)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message, details: { epoch, error: cause } });
  }
}
