import { compareEpochs, highestEpoch, type EpochName, type Fencing } from '../lineage.ts';
import type { EvertreeError } from '../errors.ts';
import type { Epoch, ExactPosition } from '../position.ts';
import type { Hello } from '../seams/transport.ts';
import type { Store } from '../store/store.ts';

/** PROTOCOL.md, «Closing»: how the explanation of `fenced` begins. */
const TOLD = /^epoch (\d{1,10}) ([0-9a-f]{16})( promised)?: /;

/** What a link is closed with as fenced: the epoch, for programs, and why, for people. */
export function explainFence({ number, id, begun }: Fencing, why: string): string {
  return `epoch ${number} ${id}${begun ? '' : ' promised'}: ${why}`;
}

/** The epoch that the explanation of a link's end as fenced names; undefined where it names none. */
export function fencingIn(explanation: string): Fencing | undefined {
  const [, number, id, promised] = TOLD.exec(explanation) ?? [];
  return id === undefined ? undefined : { number: Number(number), id, begun: promised === undefined };
}

/** The highest epoch that a site knows of: of its history up to `position`, or what it was fenced by. */
export function knownEpoch(epochs: readonly Epoch[], position: ExactPosition, fencedBy: Fencing | undefined): Fencing {
  const { number, id } = highestEpoch(epochs, position);
  const own = { number, id, begun: true };
  return fencedBy !== undefined && compareEpochs(fencedBy, own) > 0 ? fencedBy : own;
}

/** Whether an epoch stands above that of a position: whoever knows of it acknowledges no such position. */
export function outranks(epoch: EpochName | undefined, epochs: readonly Epoch[], position: ExactPosition): boolean {
  if (epoch === undefined || epoch.number < position.epoch) return false;
  const first = epochs.find(({ number }) => number === position.epoch);
  return compareEpochs(epoch, { number: position.epoch, id: first?.id ?? position.epochId }) > 0;
}

/**
 * This primary's directory is an older copy of its stream: it takes no writes from now on, in memory at once, and follows
 * whoever leads, for good. Resolves when that is durable; a disk that can't record it is reported.
 */
export async function stepDown(store: Store, reason: EvertreeError): Promise<void> {
  const following = store.follow();
  store.refuseWrites(reason);
  try {
    await following;
  } catch (error) {
    const message = `the disk of ${store.site} could not record that it is no primary any more: do not start it as one again: ${String(error)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message, details: { error } });
  }
}

/**
 * Fences a primary whose far end went through a higher epoch, over a link that feeds nobody: such as one that asks for a
 * promise. In memory it holds at once. Never rejects; a disk that can't record it is reported.
 */
export async function heedEpoch(store: Store, { site, epochs, position }: Pick<Hello, 'site' | 'epochs' | 'position'>): Promise<void> {
  const { number, id } = highestEpoch(epochs, position);
  if (store.role !== 'primary' || compareEpochs({ number, id }, highestEpoch(store.epochs, store.position)) <= 0) return;
  try {
    await store.fence({ number, id }, true);
  } catch (error) {
    const message = `the disk of ${store.site} could not record epoch ${number} (${id}), which ${site} went through: ${String(error)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message, details: { site, epoch: { number, id }, error } });
  }
}
