import type { Lineage } from '../src/lineage.ts';
import { NO_EPOCH_ID, ORIGIN, type Epoch, type ExactPosition } from '../src/position.ts';

/** `2b-452` is revision 452 of the epoch {2, b…}; `0-0` is ORIGIN. */
export function at(text: string): ExactPosition {
  const [, epoch, letter, revision] = /^(\d+)([a-z]?)-(\d+)$/.exec(text)!;
  return { epoch: Number(epoch), epochId: letter === '' ? NO_EPOCH_ID : letter!.repeat(16), revision: Number(revision) };
}

/** A history from its entries (`2b after 1a-450`, or `1a` for the first) and its end. */
export function history(entries: readonly string[], last: string): Lineage {
  const epochs = entries.map((entry): Epoch => {
    const [name, base] = entry.split(' after ');
    const { epoch: number, epochId: id } = at(`${name}-1`);
    return { number, id, site: 'site', base: base === undefined ? ORIGIN : at(base), reason: 'test', time: 0 };
  });
  return { stream: 'f'.repeat(32), epochs, last: at(last) };
}

/** Epoch 2 began on 1-450. */
export const PROMOTED = ['1a', '2b after 1a-450'];
/** So did another epoch 2, elsewhere, and later. */
export const OTHER_PROMOTION = ['1a', '2c after 1a-480'];
/** A primary that began an entry with each start, and one that was promoted after it. */
export const RESTARTED = ['1a', '1d after 1a-100', '1e after 1d-200', '2b after 1e-450'];
/** The same primary, started from an older copy. */
export const RESTORED = ['1a', '1d after 1a-100', '1f after 1d-150'];
