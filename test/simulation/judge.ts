import { decodeChangeSets, formatExactPosition, parsePath } from '@evertree/core';
import type { Frame, Operation, Path, Value } from '@evertree/core';
import { judgeCommands } from './abandoned.ts';
import type { LedgerEntry } from './ledger.ts';
import type { SimulatedSite } from './site.ts';
import { isWithin } from './stretch.ts';
import type { World } from './world.ts';

const READING_MS = 1_000;
/** Where commits put their ids. */
const IDS_AT = ['/c', '/large/ids'] as const;
/** So long listeners may take for what waits for them. */
const DELIVERY_MS = 5_000;

/** What has to hold of sites that have become one. */
export function judge(world: World): void {
  const [first] = world.sites;
  const { store } = first!.running!;
  for (const { name, running } of world.sites) {
    if (running!.store.digest !== store.digest)
      world.violated('same-state', `${name} and ${first!.name} have one position and two digests`);
  }
  judgeCommands(world);
  judgeListeners(world);
  const diverged = readDivergences(world);
  const kept = new Set(IDS_AT.flatMap(path => Object.keys(store.get<Record<string, 1>>(path) ?? {})));
  for (const entry of world.ledger.promised) judgeEntry(world, entry, kept.has(entry.id), diverged.get(entry.id));
  for (const id of world.ledger.refusedIds) {
    if (kept.has(id) || diverged.has(id)) world.violated('refused', `${id} was refused, and is there`);
  }
}

/** Listeners were told of all that came about. */
function judgeListeners(world: World): void {
  const missing = () => world.sites.map(({ running }) => running!.stepped?.listening.missing).find(what => what !== undefined);
  if (!world.time.until(() => missing() === undefined, DELIVERY_MS)) world.violated('listeners', missing()!);
}

/** A promised commit is in the history that goes on, or in a divergence that is listed. */
function judgeEntry(world: World, entry: LedgerEntry, isKept: boolean, divergences: ReadonlySet<string> | undefined): void {
  if (isKept || entry.excused) return;
  if (divergences === undefined && isReportedMissing(world, entry)) return world.mark('commit:dropped-by-retention');
  if (divergences === undefined) return world.violated('promise', `${describe(entry)} is nowhere`);
  world.mark('commit:diverged');
  // Sites that stood at different points of one lost branch list it each as far as they held it, under names of its own.
  if (new Set([...divergences].map(branchOf)).size > 1) world.mark('commit:in-two-branches');
  // Of a pair every site that acknowledged it can only lead with it.
  const isSafe = entry.acknowledged > 0 && world.sites.length === 2 && world.sites.every(site => !site.wentBack);
  if (isSafe) world.violated('acknowledged-kept', `${describe(entry)} was acknowledged, and is only in ${[...divergences].join()}`);
}

/** Retention had dropped it before its history was found to have parted: the divergence says so, by positions. */
function isReportedMissing({ sites }: World, { position }: LedgerEntry): boolean {
  return sites.some(({ running }) =>
    running!.store.journal.divergences.list().some(({ missing }) => missing !== undefined && isWithin(missing, position)),
  );
}

/** The base of a divergence, from its name. */
function branchOf(name: string): string {
  return name.split('-')[2]!;
}

function describe({ id, site, position, durable, acknowledged }: LedgerEntry): string {
  return `${id} of ${site} at ${formatExactPosition(position)} (durable ${durable}, acknowledged ${acknowledged})`;
}

/** By the id of a commit, the names of the divergences that hold it. */
function readDivergences(world: World): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  let reading = 0;
  for (const site of world.sites) {
    for (const { name } of site.running!.store.journal.divergences.list()) {
      world.mark('divergence');
      reading++;
      void readDivergence(site, name, id => found.set(id, (found.get(id) ?? new Set()).add(name))).finally(() => reading--);
    }
  }
  if (!world.time.until(() => reading === 0, READING_MS)) world.violated('divergences', 'a divergence could not be read');
  return found;
}

async function readDivergence(site: SimulatedSite, name: string, take: (id: string) => void): Promise<void> {
  for await (const { frame } of site.running!.store.journal.divergences.read(name)) for (const id of commitsOf(frame)) take(id);
}

function commitsOf(frame: Frame): string[] {
  return decodeChangeSets(frame).flatMap(({ operations }) =>
    operations.flatMap(operation => IDS_AT.flatMap(place => idsIn(operation, parsePath(place)))),
  );
}

function idsIn(operation: Operation, place: Path): string[] {
  const { path } = operation;
  if (!path.every((segment, level) => level >= place.length || segment === place[level])) return [];
  if (path.length > place.length) return [path[place.length]!];
  // The first commit of all makes the objects that the others go into.
  if (operation.type === 'delete') return [];
  const within = place.slice(path.length).reduce<Value | undefined>((value, key) => (value as Record<string, Value>)[key], operation.value);
  return Object.keys(within ?? {});
}
