import {
  EvertreeError,
  SITE,
  compareEpochs,
  covers,
  explainFence,
  forkOf,
  formatExactPosition,
  formatPosition,
  highestEpoch,
  knownEpoch,
  refusal,
  refuseRole,
  refuseStream,
  refuseVersion,
} from '@evertree/core';
import type { ExactPosition, Fencing, Hello, Lineage, Refusal, Store } from '@evertree/core';

/** The site that is asked, and who feeds it. */
export interface AskedSite extends Lineage {
  readonly site: string;
  readonly standing: Hello['standing'];
  /** The highest epoch that it heard of beside those of its history. */
  readonly fencedBy: Fencing | undefined;
  /** The hello of the primary that feeds it, and that one's address. */
  readonly feeder: { readonly hello: Hello; readonly remote: string } | undefined;
  /** Why a frame is in quarantine here. */
  readonly quarantine: string | undefined;
}

export interface Accepted {
  readonly kind: 'accept';
  /** The link of whoever fed this site is closed for this reason. */
  readonly closes: 'replaced' | 'fenced';
  /** The epoch of that primary, where it ends a reign of this site: recorded before anything is taken. */
  readonly fence: Fencing | undefined;
}

export type Admission =
  /** It feeds this site from now on. */
  | Accepted
  /** It asks for a promise, and feeds nothing. */
  | { readonly kind: 'raise' }
  | ({ readonly kind: 'refuse' } & TurnedAway);

interface TurnedAway extends Refusal {
  /** The other is a primary of this site's own reign. `isBehind`: this site's history does not cover its position. */
  readonly namesake?: { readonly isBehind: boolean };
}

/**
 * What a far end that has said hello is to this site. A secondary has one primary at a time. A primary feeds nobody and
 * takes nothing over a link that it was dialled on, unless the hello ends its reign.
 */
export function admit(asked: AskedSite, hello: Hello): Admission {
  const host = { ...asked, role: 'secondary' } as const;
  // The stream also where the hello came through a log: the primary holds another one, and deleting the log would mend
  // nothing.
  const stranger = refuseVersion(hello) ?? refuseStream(host, hello, SITE);
  if (stranger !== undefined) return { kind: 'refuse', ...stranger };
  if (hello.raises !== undefined) return { kind: 'raise' };
  const refused =
    refuseRole(host, hello) ??
    refuseFenced(asked, hello) ??
    refuseOwnReign(asked, hello) ??
    refuseQuarantined(asked) ??
    refuseSecond(asked, hello);
  return refused === undefined ? accept(asked, hello) : { kind: 'refuse', ...refused };
}

function refuseFenced({ site, epochs, last, fencedBy }: AskedSite, hello: Hello): TurnedAway | undefined {
  const ours = knownEpoch(epochs, last, fencedBy);
  const theirs = highestEpoch(hello.epochs, hello.position);
  if (compareEpochs(theirs, ours) >= 0) return undefined;
  const since = ours.begun ? 'another site has become the primary since' : 'it gave a promise for that epoch to another site';
  const message =
    `${hello.site} is the primary of epoch ${theirs.number} (${theirs.id}), and ${site} at ${formatPosition(last)} knows ` +
    `epoch ${ours.number} (${ours.id}): ${since}`;
  return refusal('fenced', 'FENCED', message, { ours, theirs });
}

/** Refuses a primary whose reign is this site's own: one of the two directories is a copy of the other. */
function refuseOwnReign({ site, standing, epochs, last }: AskedSite, hello: Hello): TurnedAway | undefined {
  const ours = highestEpoch(epochs, last);
  const isOwn = epochs.at(-1)?.site === site && compareEpochs(highestEpoch(hello.epochs, hello.position), ours) === 0;
  if (!isOwn) return undefined;
  const isBehind = standing === 'primary' && !covers({ epochs, last }, hello.position);
  const message =
    `${hello.site} at ${formatExactPosition(hello.position)} is a primary of epoch ${ours.number} (${ours.id}), which ${site} began, now at ` +
    `${formatExactPosition(last)}: one of the two directories is a copy of the other, and both write. Stop the one that is to go; what only it ` +
    'holds is kept as a divergence if it is started as a secondary';
  return { ...refusal('history-mismatch', 'HISTORY_MISMATCH', message, { ours: last, theirs: hello.position }), namesake: { isBehind } };
}

function refuseQuarantined({ site, quarantine }: AskedSite): Refusal | undefined {
  if (quarantine === undefined) return undefined;
  return refusal('quarantined', 'FENCED', `${site} reads nothing until it is started again: ${quarantine}`);
}

/** Refuses a second primary, unless it is the same site's newer link, or of a higher epoch. */
function refuseSecond({ site, feeder }: AskedSite, hello: Hello): Refusal | undefined {
  if (feeder === undefined || feeder.hello.site === hello.site || outranksFeeder(hello, feeder.hello)) return undefined;
  const held = highestEpoch(feeder.hello.epochs, feeder.hello.position);
  const message =
    `${site} is fed by ${feeder.hello.site} (${feeder.remote}) in epoch ${held.number}, and a secondary has one primary: ` +
    `stop ${feeder.hello.site} first`;
  return refusal('refused', 'FORBIDDEN', message, { feeder: feeder.hello.site, remote: feeder.remote });
}

function accept({ standing, feeder }: AskedSite, hello: Hello): Accepted {
  const { number, id } = highestEpoch(hello.epochs, hello.position);
  return {
    kind: 'accept',
    closes: feeder !== undefined && feeder.hello.site !== hello.site ? 'fenced' : 'replaced',
    fence: standing === 'secondary' ? undefined : { number, id, begun: true },
  };
}

/**
 * Where this site's history parts from that of a primary whose epoch is higher: it has to go back to there. Undefined
 * where the primary's history goes on from ours. A hello tells only what is stable at its sender, so the epoch that
 * this site goes back for is durable there.
 */
export function partsAt({ epochs, last }: Pick<Lineage, 'epochs' | 'last'>, hello: Hello): ExactPosition | undefined {
  const theirs = { epochs: hello.epochs, last: hello.position };
  const isHigher = compareEpochs(highestEpoch(hello.epochs, hello.position), highestEpoch(epochs, last)) > 0;
  return isHigher && !covers(theirs, last) ? forkOf({ epochs, last }, theirs) : undefined;
}

function outranksFeeder(hello: Hello, feeder: Hello): boolean {
  return compareEpochs(highestEpoch(hello.epochs, hello.position), highestEpoch(feeder.epochs, feeder.position)) > 0;
}

/** What the far end is told when its link is closed: as fenced, with the epoch for programs. */
export function explain({ reason, error }: Refusal, { epochs, last, fencedBy }: AskedSite): string {
  return reason === 'fenced' ? explainFence(knownEpoch(epochs, last, fencedBy), error.message) : error.message;
}

/**
 * Whether a consumer may make this store a secondary's.
 * @throws EvertreeError WRONG_ROLE when it is a primary with commits of its own
 */
export function assertMayFollow({ site, standing, position }: Store): void {
  if (standing !== 'primary' || position.revision === 0) return;
  const own = `the site ${site} is a primary with commits of its own (${formatPosition(position)})`;
  throw new EvertreeError('WRONG_ROLE', `${own}; a secondary starts with an empty directory`);
}
