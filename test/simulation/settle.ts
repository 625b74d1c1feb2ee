import { compareEpochs, formatExactPosition, highestEpoch, samePosition } from '@evertree/core';
import { judge } from './judge.ts';
import { TOPIC } from './site.ts';
import type { SimulatedSite } from './site.ts';
import type { World } from './world.ts';

/** Within so much virtual time after the last fault, or after what an operator did then, all sites are one. */
const LIVENESS_MS = 6_000;
/** So often an operator may have to help: each time with one command that the documents name. */
const HELP_LIMIT = 6;

/** Ends all faults, waits until the sites are one, and judges what is left. */
export function settle(world: World): void {
  world.trace.add('-- the faults end');
  heal(world);
  for (let helped = 0; !becomeOne(world); helped++) {
    if (world.broken !== undefined) return;
    if (helped >= HELP_LIMIT) {
      world.violated('liveness', `after ${helped} commands without faults: ${world.sites.map(describe).join('; ')}`);
      return;
    }
    help(world, helped);
  }
  judge(world);
}

/** Whether all sites become one in time, and one more commit reaches them all. */
export function becomeOne(world: World): boolean {
  const { time, sites, ledger } = world;
  if (!time.until(() => world.broken !== undefined || areOne(world), LIVENESS_MS) || world.broken !== undefined) return false;
  const primary = sites.find(({ running }) => running?.store.standing === 'primary');
  if (primary === undefined) return true;
  const last = ledger.write(primary, sites.length - 1);
  const isOne = () => world.broken !== undefined || (areOne(world) && last?.acknowledged === sites.length - 1);
  return time.until(isOne, LIVENESS_MS) && world.broken === undefined;
}

function heal(world: World): void {
  world.network.heal();
  for (const site of world.sites) {
    site.machine.temper.latencyMs = [0.2, 1];
    site.mendDisk();
    site.stall(false);
    site.start();
  }
  // One that was opening, stopping or failing starts once that has ended.
  world.time.pass(500);
  for (const site of world.sites) site.start();
}

/** One leads, all others follow, and all stand at one position that is stable. */
function areOne({ sites }: World): boolean {
  const [first] = sites;
  if (first?.running === undefined) return false;
  const { position } = first.running.store;
  // Where nobody has written anything there is nothing to lead or to follow.
  if (sites.every(({ running }) => running?.store.state === 'open' && running.store.position.revision === 0)) return true;
  let primaries = 0;
  for (const { running } of sites) {
    if (running === undefined) return false;
    const { store } = running;
    if (store.state !== 'open') return false;
    if (store.standing === 'primary') primaries++;
    else if (store.standing !== 'secondary') return false;
    if (!samePosition(store.position, position) || !samePosition(store.journal.log.stable, position)) return false;
  }
  return primaries === 1;
}

/** What an operator does who looks at the status of all sites. */
function help(world: World, helped: number): void {
  const { sites, operators, trace, time } = world;
  const running = sites.filter(site => site.running !== undefined);
  const giving = running.find(({ running: it }) => it!.store.standing === 'handing-over');
  const primaries = running.filter(({ running: it }) => it!.store.standing === 'primary');
  for (const site of sites) if (!site.isUp) site.start();
  // They heard of what other sites held, which hold nothing any more: only new directories can begin again.
  const refusing = running.filter(({ running: it }) => it!.store.state !== 'open');
  const empty = refusing[helped % refusing.length];
  if (empty !== undefined && running.every(({ running: it }) => it!.store.position.revision === 0)) {
    trace.add(`-- an operator empties ${empty.name}`);
    world.mark('help:empty');
    empty.stop();
    time.pass(200);
    // The control topic may tell of their stream, also where retention left none of its frames.
    if (sites.some(({ wire }) => wire === 'topic')) deleteTopic(world);
    empty.empty();
    empty.start();
    return;
  }
  const held = world.cluster.streamOf(TOPIC);
  const steady = steadyStream(running, held);
  const stranger = running.find(site => streamOf(site) !== null && streamOf(site) !== steady);
  if (stranger !== undefined) {
    trace.add(`-- an operator empties ${stranger.name}, which began a stream of its own`);
    world.mark('help:empty');
    stranger.stop();
    time.pass(200);
    if (held !== steady) deleteTopic(world);
    stranger.empty();
    stranger.start('follower');
    return;
  }
  if (held !== undefined && steady !== undefined && held !== steady) return deleteTopic(world);
  // The command once more; and if that does not end it, the target can't take over.
  if (giving !== undefined && primaries.length === 0 && helped === 0) {
    trace.add(`-- an operator repeats the switchover at ${giving.name}`);
    world.mark('help:switchover');
    operators.switchover(giving, undefined);
    return;
  }
  // A primary that others are ahead of was started from an older copy: it says so, and what to do.
  const behind = primaries.find(({ running: it }) => it!.store.state !== 'open' || primaries.length > 1);
  if (behind !== undefined) {
    trace.add(`-- an operator starts ${behind.name} as a secondary`);
    world.mark('help:follow');
    behind.stop();
    time.pass(200);
    behind.start('follower');
    time.pass(200);
  }
  if (primaries.length > (behind === undefined ? 0 : 1)) return;
  const furthest = running.filter(site => site.running !== undefined).toSorted(byExtent)[0];
  if (furthest === undefined) return;
  trace.add(`-- an operator promotes ${furthest.name}`);
  world.mark('help:promote');
  operators.promote(furthest, 'force');
}

/**
 * The stream that goes on. Another one was begun by a site whose disk was taken back to when it held nothing.
 * @param held the stream that the topic holds
 */
function steadyStream(running: readonly SimulatedSite[], held: string | undefined): string | undefined {
  const sites = running.filter(site => streamOf(site) !== null);
  const holders = sites.filter(site => streamOf(site) === held);
  const steady = holders.find(site => !site.wentBack) ?? sites.find(site => !site.wentBack) ?? holders[0] ?? sites[0];
  return streamOf(steady) ?? undefined;
}

/** It holds another stream than the sites: the primary makes it anew. */
function deleteTopic(world: World): void {
  const { trace, cluster } = world;
  world.mark('help:topic');
  trace.add('-- an operator deletes the topic, which holds another stream');
  for (const topic of [TOPIC, `${TOPIC}.control`, `${TOPIC}.snapshot`]) cluster.delete(topic);
}

function streamOf(site: SimulatedSite | undefined): string | null | undefined {
  return site?.running?.store.stream;
}

/** The furthest first. */
function byExtent(one: SimulatedSite, other: SimulatedSite): number {
  const [a, b] = [one.running!.store, other.running!.store];
  return compareEpochs(highestEpoch(b.epochs, b.position), highestEpoch(a.epochs, a.position)) || b.position.revision - a.position.revision;
}

function describe({ name, isUp, running, failure }: SimulatedSite): string {
  if (running === undefined) return `${name} ${isUp ? 'is opening' : `is down (${failure?.message ?? 'stopped'})`}`;
  const { store } = running;
  return `${name} ${store.standing} ${store.state} at ${formatExactPosition(store.position)}`;
}
