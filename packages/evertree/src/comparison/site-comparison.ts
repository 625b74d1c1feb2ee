import {
  compareTrees,
  type DigestSource,
  EvertreeError,
  formatPath,
  isEvertreeError,
  type Path,
  type Position,
  type Role,
  type TreeDifference,
} from '@evertree/core';
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
  /**
   * Present if both sites computed all of their digests anew: the objects whose content is not that of their digest. A
   * value changed in memory there.
   */
  readonly damaged?: { readonly ours: readonly string[]; readonly theirs: readonly string[] };
  /** Present after a repair of ours. */
  readonly repaired?: MendedTree;
}

export interface ComparisonOptions {
  /** Differences that are listed. */
  readonly most: number;
  /** Both sites compute all of their digests anew first: it costs as much as reading the trees. */
  readonly deep?: boolean;
}

/** Repairs that are begun again because our site moved on meanwhile. */
const REPAIR_ATTEMPTS = 3;
/** A repair is one body. */
const LIMIT_REMEDY =
  'raise "http-body-bytes" in "limits" of its file (64 MiB unless it says otherwise), or start the secondary with an empty directory, and it gets a full copy';

/**
 * Finds where the trees of two running sites differ, by their digests.
 * @throws EvertreeError STREAM_MISMATCH, POSITION_MISMATCH when the sites moved on at each attempt, UNREACHABLE
 */
export async function compareSites(oursAt: SiteClient, theirsAt: SiteClient, options: ComparisonOptions): Promise<SiteComparison> {
  const [ours, theirs] = await lookAt(oursAt, theirsAt);
  await using pair = await holdPair(ours, theirs);
  return (await compareHeld(pair, ours, theirs, options)).comparison;
}

/**
 * Compares, and makes our site's tree equal to theirs.
 * @throws EvertreeError as `compareSites`; WRONG_ROLE when ours is a primary, HISTORY_MISMATCH when theirs does not
 *   hold what ours has, TOO_LARGE
 */
export async function repairSite(oursAt: SiteClient, theirsAt: SiteClient, options: ComparisonOptions): Promise<SiteComparison> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await repairOnce(oursAt, theirsAt, options);
    } catch (error) {
      if (!isEvertreeError(error, 'POSITION_MISMATCH') || attempt === REPAIR_ATTEMPTS) throw error;
    }
  }
}

async function repairOnce(oursAt: SiteClient, theirsAt: SiteClient, options: ComparisonOptions): Promise<SiteComparison> {
  const [ours, theirs] = await lookAt(oursAt, theirsAt);
  if (ours.status.role !== 'secondary') {
    const message = `${ours.status.site} at ${oursAt.url.origin} is a primary: its tree is the one that counts; name a secondary with --url`;
    throw new EvertreeError('WRONG_ROLE', message, { site: ours.status.site });
  }
  await using pair = await holdPair(ours, theirs);
  const { comparison, found, doubtful } = await compareHeld(pair, ours, theirs, options);
  assertSound(theirs, comparison.damaged?.theirs ?? []);
  // A site in quarantine goes on only after a repair, though nothing may differ.
  if (comparison.equal && comparison.samePosition && ours.status.state !== 'quarantined') return comparison;
  return { ...comparison, repaired: await mend(oursAt, pair, wholeWhereDoubtful(found, doubtful)) };
}

/** What is damaged there can't mend anything here. */
function assertSound({ client, status }: ComparedSite, damaged: readonly string[]): void {
  if (damaged.length === 0) return;
  const message =
    `the tree of ${status.site} at ${client.url.origin} is damaged itself, at ${JSON.stringify(damaged[0])}: ` +
    'start it again, so that it reads its tree from its disk, or let the other site lead';
  throw new EvertreeError('DAMAGED', message, { site: status.site, paths: damaged });
}

/** A damaged object is replaced whole: its sum is right, so that changes inside it would make it wrong. */
function wholeWhereDoubtful(found: readonly TreeDifference[], doubtful: readonly Path[]): readonly TreeDifference[] {
  const whole = doubtful.filter(path => !doubtful.some(other => other !== path && isAtOrBelow(path, other)));
  return [
    ...found.filter(({ path }) => !whole.some(above => isAtOrBelow(path, above))),
    ...whole.map((path): TreeDifference => ({ path, kind: 'changed' })),
  ];
}

function isAtOrBelow(path: Path, above: Path): boolean {
  return path.length >= above.length && above.every((key, level) => path[level] === key);
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
  { most, deep = false }: ComparisonOptions,
): Promise<{ readonly comparison: SiteComparison; readonly found: readonly TreeDifference[]; readonly doubtful: readonly Path[] }> {
  const byPath = new Map<string, TreeDifference>();
  const find = (difference: TreeDifference) => void byPath.set(formatPath(difference.path), difference);
  const [inOurs, inTheirs] = deep ? await Promise.all([pair.ours.damaged(), pair.theirs.damaged()]) : [[], []];
  let { digests } = await compareTrees(pair.ours, pair.theirs, find);
  // An object that only one of them has was found already.
  const isFound = (path: Path) => path.some((_, level) => byPath.has(formatPath(path.slice(0, level + 1))));
  const doubtful = [...new Map([...inOurs, ...inTheirs].map(path => [formatPath(path), path])).values()].filter(path => !isFound(path));
  if (doubtful.length > 0) digests += (await compareTrees(sameAs(pair.ours), sameAs(pair.theirs), find, doubtful)).digests;
  const found = [...byPath.values()];
  const listed = found.map(({ path, kind }) => ({ path: formatPath(path), kind })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const comparison: SiteComparison = {
    ours: stateOf(ours, pair.ours.header),
    theirs: stateOf(theirs, pair.theirs.header),
    equal: pair.ours.digest === pair.theirs.digest && found.length === 0,
    samePosition: pair.isOnePosition,
    differences: { count: found.length, listed: listed.slice(0, most) },
    digests,
    ...(deep ? { damaged: { ours: inOurs.map(formatPath), theirs: inTheirs.map(formatPath) } } : {}),
  };
  const damagedHere = new Set(inOurs.map(formatPath));
  return { comparison, found, doubtful: doubtful.filter(path => damagedHere.has(formatPath(path))) };
}

/** A tree that is compared at doubtful places only: elsewhere it was compared before. */
function sameAs(tree: DigestSource): DigestSource {
  return { digest: '', ask: queries => tree.ask(queries) };
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
