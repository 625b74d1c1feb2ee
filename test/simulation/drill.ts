import { decodeChangeSets, samePosition } from '@evertree/core';
import type { KeptDivergence, Obstacle } from '@evertree/core';
import type { DivergedCommit } from '../../packages/evertree/src/divergences/diverged-commit.ts';
import { Replay } from '../../packages/evertree/src/divergences/replay.ts';
import type { ReplayResult } from '../../packages/evertree/src/divergences/replay.ts';
import type { PromotionForecast, PromotionResult } from '../../packages/evertree/src/roles/promoting.ts';
import type { SwitchoverForecast } from '../../packages/evertree/src/roles/preflight.ts';
import type { SwitchoverResult } from '../../packages/evertree/src/roles/giving.ts';
import { Chance } from './chance.ts';
import { becomeOne } from './settle.ts';
import type { RunningSite, SimulatedSite } from './site.ts';
import { CLUSTER } from './topic.ts';
import type { World } from './world.ts';

/** What is tried once the sites of a history are one: a change of roles that was foretold. */
export type Drill = 'switchover' | 'promotion';

/** Within so much virtual time a command is answered. */
const ANSWER_MS = 8_000;
/** So many commits, and large ones that are under way, only the old primary has when another site is promoted. */
const LOST_COMMITS = 3;
/** So long a link may go on that carries nothing. */
const SILENCE_MS = 600;
/** How often a dry run is given again because its facts changed before it was confirmed. */
const CONFIRMS = 3;

/** Does it, and holds what happens to what a dry run foretold. */
export function drill(world: World, kind: Drill, seed: number): void {
  const chance = new Chance(seed, 'drill');
  const primary = world.sites.find(({ running }) => running?.store.standing === 'primary' && running.store.position.revision > 0);
  if (primary === undefined) return;
  const target = chance.pick(world.sites.filter(site => site !== primary));
  world.trace.add(`-- a drill: ${kind} from ${primary.name} to ${target.name}`);
  if (kind === 'switchover') drillSwitchover(world, primary, target);
  else drillPromotion(world, primary, target);
}

function drillSwitchover(world: World, from: SimulatedSite, { name: to, running }: SimulatedSite): void {
  const { roles } = from.running!;
  const foretold = answered(world, roles.switchover({ to, dryRun: true })) as SwitchoverForecast;
  if (!foretold.possible)
    return world.violated('forecast', `${to} is in order, and a dry run finds in its way: ${codesOf(foretold.obstacles)}`);
  const done = answered(world, roles.switchover({ to })) as SwitchoverResult;
  if (done.outcome !== 'done' || running!.store.standing !== 'primary') {
    world.violated('forecast', `the switchover to ${to} was possible, and is ${done.outcome}: ${done.text}`);
  }
  world.mark('drill:switchover');
  if (!becomeOne(world)) world.violated('liveness', `after a switchover from ${from.name} to ${to}`);
}

function drillPromotion(world: World, primary: SimulatedSite, target: SimulatedSite): void {
  refuseWhileThePrimaryLives(world, target);
  isolate(world, primary, true);
  const before = world.ledger.entries.length;
  for (let count = 0; count < LOST_COMMITS; count++) world.ledger.write(primary, 0);
  world.time.pass(SILENCE_MS);
  const promoted = promoteAsForetold(world, target);
  if (promoted === undefined || world.broken !== undefined) return;
  const { foretold, done } = promoted;
  if (foretold.lost.commits !== done.lost.commits || foretold.lost.more !== done.lost.more) {
    world.violated('forecast', `a promotion of ${target.name} was to lose ${lossOf(foretold)}, and lost ${lossOf(done)}`);
  }
  if (!foretold.lost.more) world.violated('forecast', `${primary.name} is cut off, and nothing beyond what is known was to be lost`);
  isolate(world, primary, false);
  world.mark('drill:promotion');
  if (!becomeOne(world)) return world.violated('liveness', `after a promotion of ${target.name}, foretold and confirmed`);
  // Large ones that were under way at the cut were committed later.
  const lost = world.ledger.entries.slice(before).filter(({ site }) => site === primary.name);
  replayOnce(world, primary, target, new Set(lost.map(({ id }) => id)));
}

/** While its primary answers, a promotion is foretold to be refused, and is. */
function refuseWhileThePrimaryLives(world: World, { name, running }: SimulatedSite): void {
  const foretold = answered(world, running!.roles.promote({ dryRun: true })) as PromotionForecast;
  const refusal = refused(world, running!.roles.promote({ confirm: foretold.confirm }));
  const obstacles = (refusal?.details as { readonly obstacles?: readonly Obstacle[] } | undefined)?.obstacles ?? [];
  if (!foretold.possible && refusal !== undefined && codesOf(obstacles) === codesOf(foretold.obstacles)) return;
  world.violated(
    'forecast',
    `${name} follows a primary that lives: foretold ${codesOf(foretold.obstacles)}, refused for ${codesOf(obstacles)}`,
  );
}

interface Promoted {
  readonly foretold: PromotionForecast;
  readonly done: PromotionResult;
}

function promoteAsForetold(world: World, { name, running }: SimulatedSite): Promoted | undefined {
  const { roles } = running!;
  for (let count = 0; count < CONFIRMS; count++) {
    const foretold = answered(world, roles.promote({ dryRun: true })) as PromotionForecast;
    const { possible, confirm } = foretold;
    if (!possible) {
      world.violated('forecast', `the primary of ${name} is cut off, and a dry run finds in its way: ${codesOf(foretold.obstacles)}`);
      return undefined;
    }
    const asked = roles.promote({ confirm });
    const refusal = refused(world, asked);
    if (refusal === undefined) return { foretold, done: answered(world, asked) as PromotionResult };
    if (!/facts/.test(refusal.message)) {
      world.violated('forecast', `a promotion of ${name} was possible, and was refused: ${refusal.message}`);
      return undefined;
    }
  }
  world.violated('forecast', `the facts of a promotion of ${name} change all the time`);
  return undefined;
}

/** The commits that only the old primary had are in its divergence, and are replayed at the new one: once. */
function replayOnce(world: World, old: SimulatedSite, { name, running }: SimulatedSite, commits: ReadonlySet<string>): void {
  const kept = old.running!.store.journal.divergences.list().at(-1);
  if (commits.size === 0) return;
  if (kept === undefined) return world.violated('divergences', `${old.name} lists no divergence of ${commits.size} commits`);
  const diverged = answered(world, readCommits(old.running!, kept));
  const results = answered(world, replay(running!, kept, diverged, true));
  const again = answered(world, replay(running!, kept, diverged, true));
  const tree = { ...running!.store.get<Record<string, 1>>('/c'), ...running!.store.get<Record<string, 1>>('/large/ids') };
  const missing = [...commits].filter(id => !(id in tree));
  const twice = again.filter(({ outcome }) => outcome !== 'replayed' && outcome !== 'equal');
  if (results.length !== commits.size || missing.length > 0) {
    world.violated('replay', `${name} replayed ${results.map(({ outcome }) => outcome).join()}, and lacks ${missing.join()}`);
  }
  if (twice.length > 0) world.violated('replay', `${name} replayed ${twice.length} commits of ${kept.name} twice`);
  world.mark('drill:replay');
  if (!becomeOne(world)) return world.violated('liveness', `after a replay at ${name}`);
  replayAtTheNext(world, old, running!, kept, diverged);
}

/** The old primary leads again: it finds that its commits were replayed, or that it can't tell. */
function replayAtTheNext(
  world: World,
  old: SimulatedSite,
  from: RunningSite,
  kept: KeptDivergence,
  diverged: readonly DivergedCommit[],
): void {
  const back = answered(world, from.roles.switchover({ to: old.name })) as SwitchoverResult;
  if (back.outcome !== 'done') return world.violated('forecast', `the switchover back to ${old.name} is ${back.outcome}: ${back.text}`);
  const { store } = old.running!;
  const before = store.position;
  const results = answered(world, replay(old.running!, kept, diverged, false));
  if (results.every(({ outcome }) => outcome !== 'applied') && samePosition(store.position, before)) return;
  world.violated('replay', `${old.name} replayed again, at another primary: ${results.map(({ outcome }) => outcome).join()}`);
}

async function readCommits({ store }: RunningSite, { name, base }: KeptDivergence): Promise<readonly DivergedCommit[]> {
  const commits: DivergedCommit[] = [];
  for await (const { frame } of store.journal.divergences.read(name)) {
    const { epoch, epochId } = frame.header;
    for (const { revision, author, message, operations } of decodeChangeSets(frame)) {
      if (revision > base.revision && operations.length > 0)
        commits.push({ position: { epoch, epochId, revision }, author, message, operations });
    }
  }
  return commits;
}

async function replay(
  { store, process }: RunningSite,
  { base }: KeptDivergence,
  commits: readonly DivergedCommit[],
  force: boolean,
): Promise<readonly ReplayResult[]> {
  const chosen = new Set(commits.map(({ position }) => position.revision));
  const breathe = () => new Promise<void>(resolve => process.clock.soon(resolve));
  const run = new Replay(store, { base, commits, chosen, force, dryRun: false }, breathe);
  await run.run();
  return run.results;
}

function isolate(world: World, { name }: SimulatedSite, isCutOff: boolean): void {
  for (const other of [...world.others(name), CLUSTER]) {
    world.network.block(name, other, isCutOff);
    world.network.block(other, name, isCutOff);
  }
}

/** What a promise resolves to. @throws Error if it rejects, or does not settle in time */
function answered<T>(world: World, asked: Promise<T>): T {
  const { value, error } = settled(world, asked);
  if (error !== undefined) throw error;
  return value as T;
}

/** What a promise rejects with; undefined if it resolves. */
function refused(world: World, asked: Promise<unknown>): (Error & { readonly details?: unknown }) | undefined {
  return settled(world, asked).error;
}

function settled<T>(world: World, asked: Promise<T>): { readonly value?: T; readonly error?: Error } {
  let found: { readonly value?: T; readonly error?: Error } | undefined;
  asked.then(
    value => (found = { value }),
    (error: unknown) => (found = { error: error instanceof Error ? error : new Error(String(error)) }),
  );
  world.time.until(() => found !== undefined, ANSWER_MS);
  return found ?? { error: new Error(`a command was not answered within ${ANSWER_MS} ms`) };
}

function codesOf(obstacles: readonly Obstacle[]): string {
  return obstacles
    .map(({ code }) => code)
    .toSorted()
    .join();
}

function lossOf({ lost }: Pick<PromotionForecast, 'lost'>): string {
  return `${lost.commits}${lost.more ? ' or more' : ''}`;
}
