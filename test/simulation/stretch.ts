import type { ExactPosition, KeptDivergence } from '@evertree/core';

/** Of a divergence: where it begins and ends. */
type Stretch = NonNullable<KeptDivergence['missing']>;

/** Whether a stretch of a history has a position, as far as numbers tell: a divergence names no epochs between its ends. */
export function isWithin({ base, last }: Stretch, { epoch, revision }: ExactPosition): boolean {
  return epoch >= base.epoch && epoch <= last.epoch && revision > base.revision && revision <= last.revision;
}
