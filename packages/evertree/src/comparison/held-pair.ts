import { EvertreeError, formatPosition, samePosition } from '@evertree/core';
import type { SiteClient } from '../client/site-client.ts';
import type { SiteStatus } from '../commands/status-report.ts';
import { WAIT_LIMIT_MS } from './messages.ts';
import { RemoteTree, type WantedState } from './remote-tree.ts';

/** Attempts to hold both sites at one position. */
const ATTEMPTS = 8;
/** How far ahead a position is chosen that both sites will come to, in time at the present rate. */
const AHEAD_MS = 250;
/** Beyond that time, how long a site is waited for that comes to no such position, since nobody writes any more. */
const QUIET_MS = 500;

/** States of a secondary to which frames come. */
const FED: ReadonlySet<string> = new Set(['catching-up', 'replicating', 'snapshot']);

/** A site that is compared, as it was when the comparison began. */
export interface ComparedSite {
  readonly client: SiteClient;
  readonly status: SiteStatus;
}

/** Both sites' trees, each held at one position. */
export class HeldPair implements AsyncDisposable {
  readonly ours: RemoteTree;
  readonly theirs: RemoteTree;

  constructor(ours: RemoteTree, theirs: RemoteTree) {
    this.ours = ours;
    this.theirs = theirs;
  }

  /** Whether the trees should be equal: equal positions in one epoch mean equal trees. */
  get isOnePosition(): boolean {
    return samePosition(this.ours.header.position, this.theirs.header.position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.ours[Symbol.asyncDispose](), this.theirs[Symbol.asyncDispose]()]);
  }
}

/**
 * Holds both sites at one position. A site that is behind is waited for; while somebody writes, both are asked for a
 * position that is still ahead. A site to which no frames come, as one in quarantine, is held where it stands.
 * @throws EvertreeError POSITION_MISMATCH when the sites moved on at each attempt
 */
export async function holdPair(ours: ComparedSite, theirs: ComparedSite): Promise<HeldPair> {
  let pair = await holdBoth(ours.client, theirs.client);
  const isStuck = [ours, theirs].some(({ status }) => status.role === 'secondary' && !FED.has(status.state));
  if (isStuck || pair.isOnePosition) return pair;
  pair = await waitForTheSlower(pair, ours, theirs);
  let seen = { revision: furthest(pair), at: performance.now() };
  let revisionsPerMs = 0;
  for (let attempt = 1; !pair.isOnePosition; attempt++) {
    await pair[Symbol.asyncDispose]();
    if (attempt === ATTEMPTS) throw moved(pair);
    const aheadMs = AHEAD_MS * attempt;
    const revision = seen.revision + 1 + Math.ceil(revisionsPerMs * aheadMs);
    pair = await holdBoth(ours.client, theirs.client, { revision, waitMs: aheadMs + QUIET_MS });
    const now = { revision: furthest(pair), at: performance.now() };
    revisionsPerMs = Math.max(0, now.revision - seen.revision) / Math.max(1, now.at - seen.at);
    seen = now;
  }
  return pair;
}

/** Holds the one that is behind where the other one is held: it passes there. */
async function waitForTheSlower(pair: HeldPair, ours: ComparedSite, theirs: ComparedSite): Promise<HeldPair> {
  const revision = furthest(pair);
  const wanted = { revision, waitMs: WAIT_LIMIT_MS };
  if (pair.ours.header.position.revision < revision) {
    await pair.ours[Symbol.asyncDispose]();
    return new HeldPair(await holdOr(ours.client, wanted, pair.theirs), pair.theirs);
  }
  if (pair.theirs.header.position.revision === revision) return pair;
  await pair.theirs[Symbol.asyncDispose]();
  return new HeldPair(pair.ours, await holdOr(theirs.client, wanted, pair.ours));
}

/** If the one can't be held, the other is let go. */
async function holdOr(client: SiteClient, wanted: WantedState, other: RemoteTree): Promise<RemoteTree> {
  try {
    return await RemoteTree.hold(client, wanted);
  } catch (error) {
    await other[Symbol.asyncDispose]();
    throw error;
  }
}

async function holdBoth(ours: SiteClient, theirs: SiteClient, wanted?: WantedState): Promise<HeldPair> {
  const [left, right] = await Promise.allSettled([RemoteTree.hold(ours, wanted), RemoteTree.hold(theirs, wanted)]);
  if (left.status === 'fulfilled' && right.status === 'fulfilled') return new HeldPair(left.value, right.value);
  for (const side of [left, right]) if (side.status === 'fulfilled') await side.value[Symbol.asyncDispose]();
  throw [left, right].find(side => side.status === 'rejected')?.reason;
}

function furthest({ ours, theirs }: HeldPair): number {
  return Math.max(ours.header.position.revision, theirs.header.position.revision);
}

function moved({ ours, theirs }: HeldPair): EvertreeError {
  const [left, right] = [ours, theirs].map(({ header }) => formatPosition(header.position));
  const message = `the sites moved on while they were compared (${left} and ${right} last), at each of ${ATTEMPTS} attempts: try again`;
  return new EvertreeError('POSITION_MISMATCH', message, { ours: ours.header.position, theirs: theirs.header.position });
}
