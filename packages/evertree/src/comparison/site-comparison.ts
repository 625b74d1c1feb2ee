import { compareTrees, EvertreeError, formatPath, isEvertreeError, type Position, type Role, type TreeDifference } from '@evertree/core';
import type { SiteClient } from '../client/site-client.ts';
import type { SiteStatus } from '../commands/status-report.ts';
import { type ComparedSite, type HeldPair, holdPair } from './held-pair.ts';
import { checked } from '../json/checked.ts';
import { repairedSchema } from './messages.ts';

/** A site, and where its tree stood in the comparison. */
export interface ComparedState {
  readonly url: string;
  readonly site: string;
  readonly role: Role;
  readonly state: string;
  readonly position: Position;
  readonly digest: string;
}

/** Where a repaired site's tree stands, and how many subtrees were changed for that. */
export interface MendedTree {
  readonly position: Position;
  readonly digest: string;
  readonly changes: number;
}

/** What `compare` tells; «ours» is the site of `--url`, «theirs» that of `--with`. */
export interface SiteComparison {
  readonly ours: ComparedState;
  readonly theirs: ComparedState;
  readonly equal: boolean;
  /** If not, what was committed between the two positions is among the differences. */
  readonly samePosition: boolean;
  readonly differences: {
    readonly count: number;
    /** The first ones by their paths, as many as were asked for. */
    readonly listed: readonly { readonly path: string; readonly kind: TreeDifference['kind'] }[];
  };
  /** Digests that both sites sent. */
  readonly digests: number;
  /** Present after a repair of ours. */
  readonly repaired?: MendedTree;
}

/** Repairs that are begun again because our site moved on meanwhile. */
const REPAIR_ATTEMPTS = 3;
/** The most of a body that a site takes by default is 64 MiB. */
const LIMIT_REMEDY = 'start the secondary with an empty directory, and it gets a full copy';

/**
 * Finds where the trees of two running sites differ, by their digests.
 * @param most differences that are listed
 * @throws EvertreeError STREAM_MISMATCH, POSITION_MISMATCH when the sites moved on at each attempt, UNREACHABLE
 */
export async function compareSites(oursAt: SiteClient, theirsAt: SiteClient, most: number): Promise<SiteComparison> {
  const [ours, theirs] = await lookAt(oursAt, theirsAt);
  await using pair = await holdPair(ours, theirs);
  return (await compareHeld(pair, ours, theirs, most)).comparison;
}

/**
 * Compares, and makes our site's tree equal to theirs.
 * @throws EvertreeError as `compareSites`; WRONG_ROLE when ours is a primary, HISTORY_MISMATCH when theirs does not
 *   hold what ours has, TOO_LARGE
 */
export async function repairSite(oursAt: SiteClient, theirsAt: SiteClient, most: number): Promise<SiteComparison> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await repairOnce(oursAt, theirsAt, most);
    } catch (error) {
      if (!isEvertreeError(error, 'POSITION_MISMATCH') || attempt === REPAIR_ATTEMPTS) throw error;
    }
  }
}

async function repairOnce(oursAt: SiteClient, theirsAt: SiteClient, most: number): Promise<SiteComparison> {
  const [ours, theirs] = await lookAt(oursAt, theirsAt);
  if (ours.status.role !== 'secondary') {
    const message = `${ours.status.site} at ${oursAt.url.origin} is a primary: its tree is the one that counts; name a secondary with --url`;
    throw new EvertreeError('WRONG_ROLE', message, { site: ours.status.site });
  }
  await using pair = await holdPair(ours, theirs);
  const { comparison, found } = await compareHeld(pair, ours, theirs, most);
  // A site in quarantine goes on only after a repair, though nothing may differ.
  if (comparison.equal && comparison.samePosition && ours.status.state !== 'quarantined') return comparison;
  return { ...comparison, repaired: await mend(oursAt, pair, found) };
}

async function mend(client: SiteClient, { ours, theirs }: HeldPair, found: readonly TreeDifference[]): Promise<MendedTree> {
  const wanted = found.filter(({ kind }) => kind !== 'extra').map(({ path }) => path);
  const values = await theirs.values(wanted);
  const body = JSON.stringify({
    header: theirs.header,
    base: { position: ours.header.position, digest: ours.header.digest },
    // First what goes: a value may stand where an object was, and an object where a value was.
    changes: [
      ...found.filter(({ kind }) => kind === 'extra').map(({ path }) => ['delete', formatPath(path)]),
      ...wanted.map((path, index) => ['put', formatPath(path), values[index]]),
    ],
  });
  try {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await client.json('/admin/repair', { method: 'POST', headers, body, patient: true });
    const { position, digest, changes } = checked(repairedSchema, answer, `what ${client.url.origin} answered`);
    return { position: plain(position), digest, changes };
  } catch (error) {
    if (!isEvertreeError(error, 'TOO_LARGE')) throw error;
    throw new EvertreeError(
      error.code,
      `${found.length} subtrees differ, more than one repair takes; ${LIMIT_REMEDY}`,
      error.details,
      error,
    );
  }
}

/** @throws EvertreeError STREAM_MISMATCH */
async function lookAt(oursAt: SiteClient, theirsAt: SiteClient): Promise<readonly [ComparedSite, ComparedSite]> {
  const [ours, theirs] = (await Promise.all([oursAt.json('/status'), theirsAt.json('/status')])) as readonly [SiteStatus, SiteStatus];
  if (ours.stream !== null && theirs.stream !== null && ours.stream !== theirs.stream) {
    const message = `${ours.site} holds the stream ${ours.stream}, and ${theirs.site} the stream ${theirs.stream}: they have nothing in common`;
    throw new EvertreeError('STREAM_MISMATCH', message, { expected: ours.stream, found: theirs.stream });
  }
  return [
    { client: oursAt, status: ours },
    { client: theirsAt, status: theirs },
  ];
}

async function compareHeld(
  pair: HeldPair,
  ours: ComparedSite,
  theirs: ComparedSite,
  most: number,
): Promise<{ readonly comparison: SiteComparison; readonly found: readonly TreeDifference[] }> {
  const found: TreeDifference[] = [];
  const { digests } = await compareTrees(pair.ours, pair.theirs, difference => found.push(difference));
  const listed = found.map(({ path, kind }) => ({ path: formatPath(path), kind })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const comparison: SiteComparison = {
    ours: stateOf(ours, pair.ours.header),
    theirs: stateOf(theirs, pair.theirs.header),
    equal: pair.ours.digest === pair.theirs.digest,
    samePosition: pair.isOnePosition,
    differences: { count: found.length, listed: listed.slice(0, most) },
    digests,
  };
  return { comparison, found };
}

function stateOf(
  { client, status }: ComparedSite,
  { position, digest }: { readonly position: Position; readonly digest: string },
): ComparedState {
  const { site, role, state } = status;
  return { url: client.url.origin, site, role, state, position: plain(position), digest };
}

function plain({ epoch, revision }: Position): Position {
  return { epoch, revision };
}
