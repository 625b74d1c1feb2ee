import { BrokerError } from '../broker.ts';
import type { Right } from '../broker.ts';
import type { FetchQuestion } from './record-wire.ts';
import { NO_OFFSET, READ_COMMITTED } from './settings.ts';

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

/** A fetch that asks for nothing, to find out whether the topic may be read. */
export function emptyFetch(topic: string): FetchQuestion {
  return { topic, partition: 0, offset: NO_OFFSET, waitMs: 0, minBytes: 0, maxBytes: 1, isolationLevel: READ_COMMITTED };
}
