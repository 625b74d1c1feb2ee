import type { Clock, Store, Transport } from '@evertree/core';

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

/** The addresses of transports where no connection comes about, each with the reason. Opens and closes them. */
export async function unreachableOf(transports: readonly Transport[], clock: Clock, limitMs: number): Promise<string[]> {
  const waiting = new Map(transports.flatMap(({ remotes }) => remotes).map(remote => [remote, `no answer within ${limitMs} ms`]));
  const { promise: settled, resolve } = Promise.withResolvers<void>();
  const failures = new Map<string, string>();
  const answered = (remote: string, failure?: string) => {
    if (!waiting.delete(remote)) return;
    if (failure !== undefined) failures.set(remote, failure);
    if (waiting.size === 0) resolve();
  };
  const patience = clock.after(limitMs, resolve);
  if (waiting.size === 0) resolve();
  for (const transport of transports) {
    transport
      .open({ link: link => answered(link.remote), failed: (remote, error) => answered(remote, error.message) })
      .catch((error: unknown) => transport.remotes.forEach(remote => answered(remote, String(error))));
  }
  await settled;
  patience[Symbol.dispose]();
  await Promise.all(transports.map(transport => transport.close()));
  return [...failures, ...waiting].map(([remote, why]) => `${remote}: ${why}`);
}
