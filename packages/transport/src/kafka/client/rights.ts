import { BrokerError } from '../broker.ts';
import type { Right } from '../broker.ts';

/**
 * Whether the answer to a probe says that the user lacks the right, or that no answer came. The broker gives every other
 * answer after it has checked the rights.
 */
export function isRefusal(right: Right, error: unknown): boolean {
  if (right === 'create' || !(error instanceof BrokerError)) return true;
  // A coordinator that is not ready says nothing of rights.
  if (right === 'commit') return error.lasting;
  return error.code === 'FORBIDDEN' || error.kafka === undefined;
}
