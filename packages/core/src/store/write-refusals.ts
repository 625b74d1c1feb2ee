import { EvertreeError } from '../errors.ts';
import { highestEpoch, type Fencing, type Lineage } from '../lineage.ts';
import type { WriteDestination } from './write-route.ts';

/**
 * Why a secondary takes no writes. `leader`: the primary, as far as it was told. `promise`: a promise that stands above its
 * history; the primary may have given it, too, and then takes no writes either.
 */
export function notPrimary(site: string, leader: WriteDestination | undefined, promise: Fencing | undefined): EvertreeError {
  const known = leader?.kind === 'elsewhere' ? leader : undefined;
  // One that has told no address may be gone for good.
  const isFar = known !== undefined && known.address === undefined;
  const secondary = `${site} is a secondary: it takes changes from its primary only${isFar ? `, which is ${known.site}` : ''}`;
  const there = isFar ? `write there, or promote ${site} if that one is gone` : 'write there';
  const message =
    promise === undefined
      ? `${secondary}; ${there}`
      : `${secondary}. It also ${promised(promise)}. ${afterPromise(site)}. Otherwise write at the primary`;
  if (known === undefined) return new EvertreeError('NOT_PRIMARY', message);
  const { site: primary, address, epoch, position } = known;
  return new EvertreeError('NOT_PRIMARY', `${message}${address === undefined ? '' : ` (${address})`}`, {
    primary,
    address,
    epoch,
    position,
  });
}

/** Why writes are held back. */
export function switching(site: string, command: string): EvertreeError {
  const message = `${site} takes no writes while the switchover ${command} is under way; wait until it is decided who takes them`;
  return new EvertreeError('SWITCHING', message, { command });
}

/** Why a site takes no writes: it knows of a higher epoch than those of its history. `leader`: as far as it was told. */
export function fenced(site: string, { epochs, last }: Lineage, fencedBy: Fencing, leader: WriteDestination | undefined): EvertreeError {
  const ours = highestEpoch(epochs, last);
  const known = `${site} takes no writes: its last epoch is ${ours.number} (${ours.id}), and it `;
  const message = fencedBy.begun
    ? `${known}has met a site that knows epoch ${fencedBy.number} (${fencedBy.id}), so another site has become the primary since. Write there. ` +
      `With a standby configuration ${site} follows that site by itself; without one start it as a secondary. What only ${site} holds is kept as a divergence`
    : `${known}${promised(fencedBy)}. Write there when it leads. ${afterPromise(site)}`;
  return new EvertreeError('FENCED', message, {
    ours: { number: ours.number, id: ours.id },
    fencedBy: { number: fencedBy.number, id: fencedBy.id },
    ...(leader?.kind === 'elsewhere' ? { primary: leader.site, address: leader.address } : {}),
  });
}

function promised({ number, id }: Fencing): string {
  return `promised epoch ${number} (${id}) to a site that is being promoted, and has not heard that it began`;
}

/** The way out where the promoter died, or its promotion failed: a promise holds until an epoch begins. */
function afterPromise(site: string): string {
  return `If that promotion has ended and no site takes writes, promote one, ${site} for example`;
}
