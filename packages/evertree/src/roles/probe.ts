import type { Store } from '@evertree/core';

const LEASE = 'switchover';
/** The lease that is written asks for nothing after this. */
const LEASE_MS = 60_000;

/**
 * How long one small durable write takes here, in milliseconds: a lease is written.
 * @throws what the disk throws
 */
export async function timeSync({ clock, journal }: Store): Promise<number> {
  const { leases, log } = journal;
  leases.hold('copy', LEASE, log.stable, clock.now() + LEASE_MS);
  const begun = clock.monotonic();
  await leases.flush();
  const took = clock.monotonic() - begun;
  leases.release('copy', LEASE);
  return took;
}
