import { covers, formatPosition } from '@evertree/core';
import type { ExactPosition, Lineage } from '@evertree/core';
import type { PeerAction } from './peer-event.ts';

/** What the far end did is not allowed. */
export function violation(explanation: string): PeerAction[] {
  return [{ type: 'close', reason: 'protocol-violation', explanation }];
}

/** Where two histories may be meant, the epoch's id tells them apart. */
export function exactly(position: ExactPosition): string {
  return `${formatPosition(position)} (epoch ${position.epochId})`;
}

/** `position` lies in our history; `than` perhaps not. */
export function isFurther(position: ExactPosition, than: ExactPosition | undefined, ours: Pick<Lineage, 'epochs' | 'last'>): boolean {
  return than === undefined || !covers(ours, than) || position.revision > than.revision;
}
