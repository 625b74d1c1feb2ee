import { type LinkEvents, type Store, type Transport, greet } from '@evertree/core';

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

/** Who answers at the addresses of transports. */
export interface Reach {
  readonly sites: readonly string[];
  /** The addresses where no site answered, each with the reason. */
  readonly unreached: readonly string[];
}

/** A link on which nothing but the far end's hello is of interest. */
const NOBODY: LinkEvents = { message: () => undefined, drained: () => undefined, closed: () => undefined };

/** Hears the hello of whoever answers, and says none. Opens and closes the transports. */
export async function reachOf(transports: readonly Transport[], store: Store, limitMs: number): Promise<Reach> {
  const waiting = new Map(transports.flatMap(({ remotes }) => remotes).map(remote => [remote, `no answer within ${limitMs} ms`]));
  const { promise: settled, resolve } = Promise.withResolvers<void>();
  const sites = new Set<string>();
  const failures = new Map<string, string>();
  const settle = (remote: string, failure?: string) => {
    if (!waiting.delete(remote)) return;
    if (failure !== undefined) failures.set(remote, failure);
    if (waiting.size === 0) resolve();
  };
  const patience = store.clock.after(limitMs, resolve);
  if (waiting.size === 0) resolve();
  for (const transport of transports) {
    const met = (remote: string, site: string): LinkEvents => {
      sites.add(site);
      settle(remote);
      return NOBODY;
    };
    transport
      .open({
        link: link =>
          greet(link, {
            store,
            helloMs: limitMs,
            meet: ({ site }) => met(link.remote, site),
            left: (reason, explanation) => settle(link.remote, `${reason}: ${explanation}`),
          }),
        failed: (remote, error) => settle(remote, error.message),
      })
      .catch((error: unknown) => transport.remotes.forEach(remote => settle(remote, String(error))));
  }
  await settled;
  patience[Symbol.dispose]();
  await Promise.all(transports.map(transport => transport.close()));
  return { sites: [...sites], unreached: [...failures, ...waiting].map(([remote, why]) => `${remote}: ${why}`) };
}
