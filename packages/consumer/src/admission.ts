import {
  EvertreeError,
  SITE,
  compareEpochs,
  formatPosition,
  highestEpoch,
  refusal,
  refuseRole,
  refuseStream,
  refuseVersion,
} from '@evertree/core';
import type { Hello, Lineage, Refusal, Store } from '@evertree/core';

/** The secondary that is asked, and who feeds it. */
export interface AskedSecondary extends Lineage {
  readonly site: string;
  /** The hello of the primary that feeds it, and that one's address. */
  readonly feeder: { readonly hello: Hello; readonly remote: string } | undefined;
  /** Why a frame is in quarantine here. */
  readonly quarantine: string | undefined;
}

export type Admission =
  /** It feeds this secondary from now on; the link of whoever did is closed for this reason. */
  { readonly kind: 'accept'; readonly closes: 'replaced' | 'fenced' } | ({ readonly kind: 'refuse' } & Refusal);

/** Whether a far end that has said hello becomes this secondary's primary. It has one at a time. */
export function admit(secondary: AskedSecondary, hello: Hello): Admission {
  const host = { ...secondary, role: 'secondary' } as const;
  const refused =
    refuseVersion(hello) ??
    refuseRole(host, hello) ??
    // Also where the hello came through a log: the primary holds another stream, and deleting the log would mend
    // nothing.
    refuseStream(host, hello, SITE) ??
    refuseFenced(secondary, hello) ??
    refuseQuarantined(secondary);
  return refused === undefined ? choose(secondary, hello) : { kind: 'refuse', ...refused };
}

function refuseFenced({ site, epochs, last }: AskedSecondary, hello: Hello): Refusal | undefined {
  const ours = highestEpoch(epochs, last);
  const theirs = highestEpoch(hello.epochs, hello.position);
  if (compareEpochs(theirs, ours) >= 0) return undefined;
  const message =
    `${hello.site} is the primary of epoch ${theirs.number} (${theirs.id}), and ${site} at ${formatPosition(last)} knows ` +
    `epoch ${ours.number} (${ours.id}): another site has become the primary since`;
  return refusal('fenced', 'FENCED', message, { ours, theirs });
}

function refuseQuarantined({ site, quarantine }: AskedSecondary): Refusal | undefined {
  if (quarantine === undefined) return undefined;
  return refusal('quarantined', 'FENCED', `${site} reads nothing until it is started again: ${quarantine}`);
}

/** The same site's newer link, or the primary of a higher epoch, takes the feeder's place. */
function choose({ site, feeder }: AskedSecondary, hello: Hello): Admission {
  if (feeder === undefined || feeder.hello.site === hello.site) return { kind: 'accept', closes: 'replaced' };
  const theirs = highestEpoch(hello.epochs, hello.position);
  const held = highestEpoch(feeder.hello.epochs, feeder.hello.position);
  if (compareEpochs(theirs, held) > 0) return { kind: 'accept', closes: 'fenced' };
  const message =
    `${site} is fed by ${feeder.hello.site} (${feeder.remote}) in epoch ${held.number}, and a secondary has one primary: ` +
    `stop ${feeder.hello.site} first`;
  return { kind: 'refuse', ...refusal('refused', 'FORBIDDEN', message, { feeder: feeder.hello.site, remote: feeder.remote }) };
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
