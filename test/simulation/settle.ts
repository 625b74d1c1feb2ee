import { formatExactPosition, samePosition } from '@evertree/core';
import type { SimulatedSite } from './site.ts';
import type { World } from './world.ts';

/** Within so much virtual time after the last fault all sites are one. */
const LIVENESS_MS = 20_000;

/** Ends all faults, waits until the sites are one, and judges what is left. */
export function settle(world: World): void {
  world.trace.add('-- the faults end');
  heal(world);
  if (!world.time.until(() => world.broken !== undefined || areOne(world), LIVENESS_MS)) {
    world.violated('liveness', `after ${LIVENESS_MS} ms without faults: ${world.sites.map(describe).join('; ')}`);
  }
  if (world.broken === undefined) judge(world);
}

function heal(world: World): void {
  world.network.heal();
  for (const site of world.sites) {
    site.machine.temper.latencyMs = [0.2, 1];
    site.setFull(false);
    site.stall(false);
    site.start();
  }
  // One that was opening, stopping or failing starts once that has ended.
  world.time.pass(500);
  for (const site of world.sites) site.start();
}

function areOne({ sites }: World): boolean {
  const [first] = sites;
  if (first?.running === undefined) return false;
  const { position } = first.running.store;
  return sites.every(({ running }) => {
    if (running === undefined) return false;
    const { store } = running;
    return samePosition(store.position, position) && samePosition(store.journal.log.stable, position);
  });
}

function judge(world: World): void {
  const [first] = world.sites;
  const { store } = first!.running!;
  for (const { name, running } of world.sites) {
    if (running!.store.digest !== store.digest)
      world.violated('same-state', `${name} and ${first!.name} have one position and two digests`);
  }
  const kept = new Set(Object.keys(store.get<Record<string, 1>>('/c') ?? {}));
  for (const entry of world.ledger.promised) {
    if (!kept.has(entry.id) && !entry.excused) world.violated('promise', `${JSON.stringify(entry)} is lost`);
  }
}

function describe({ name, isUp, running, failure }: SimulatedSite): string {
  if (running === undefined) return `${name} ${isUp ? 'is opening' : `is down (${failure?.message ?? 'stopped'})`}`;
  const { store } = running;
  return `${name} ${store.role} ${store.state} at ${formatExactPosition(store.position)}`;
}
