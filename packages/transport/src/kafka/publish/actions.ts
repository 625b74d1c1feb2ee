import type { CloseReason, Message } from '@evertree/core';
import type { BrokerError, Watermarks } from '../broker.ts';
import type { ReceivedRecord, SentRecord } from '../records.ts';

/** The two lanes to the broker. Records in the lane `beside` (snapshots, the control topic) delay no frame. */
export type Lane = 'frames' | 'beside';

/**
 * Why a range is read: to find where the topic ends, what another writer put between our records, or what the topic
 * begins with.
 */
type ReadTask = 'tail' | 'between' | 'beginning';

/** The topic's records from `from` to before `to`. */
export interface ReadRange {
  readonly task: ReadTask;
  readonly from: bigint;
  readonly to: bigint;
}

/** What happens to a link. */
export type PublishEvent =
  /** The producer sends a message. */
  | { readonly type: 'sent'; readonly message: Message }
  /** The producer closes the link. */
  | { readonly type: 'closed'; readonly reason: CloseReason; readonly explanation: string }
  /** The broker has the batch that was on its way in this lane. `time`: milliseconds since 1970. */
  | { readonly type: 'stored'; readonly lane: Lane; readonly offset: bigint; readonly time: number }
  /**
   * Records of a range that was to be read, in order; some records after the range may follow. `done`: the last ones.
   */
  | (ReadRange & { readonly type: 'read'; readonly records: readonly ReceivedRecord[]; readonly done: boolean })
  /** Where the topic begins and ends. `time`: milliseconds since 1970. */
  | { readonly type: 'watermarks'; readonly found: Watermarks; readonly time: number }
  /** Records that came at the topic's end while this end wrote none. */
  | { readonly type: 'watched'; readonly records: readonly ReceivedRecord[] }
  /** What `.control` holds from where it was to be fetched up to before `next`. */
  | { readonly type: 'control'; readonly records: readonly ReceivedRecord[]; readonly next: bigint }
  /** Old snapshots could not be deleted. */
  | { readonly type: 'not-deleted'; readonly error: BrokerError }
  /** A request to the broker failed. Whether the broker carried it out is not known. */
  | { readonly type: 'failed'; readonly error: BrokerError }
  /** The time `wakeAt` has come. */
  | { readonly type: 'time' };

/** What a link wants done. `produce`, `read`, `ask-…` and `fetch-…` are answered by one event, or by `failed`. */
export type PublishAction =
  /** One batch at a time in each lane: the next one follows after `stored`. */
  | { readonly type: 'produce'; readonly lane: Lane; readonly topic: string; readonly records: readonly SentRecord[] }
  /** One range after the other, in the order in which they were asked for. */
  | (ReadRange & { readonly type: 'read' })
  | { readonly type: 'ask-watermarks' }
  | { readonly type: 'fetch-control'; readonly from: bigint; readonly waitMs: number }
  | { readonly type: 'delete-snapshots'; readonly before: bigint }
  /** Hand this to the producer. `accepted`: the topic has taken something. */
  | { readonly type: 'hand'; readonly message: Message; readonly accepted?: boolean }
  /** `writable` is true again. */
  | { readonly type: 'drained' }
  /** The link is over: cut the connections, and tell the producer. `byPeer`: something in the topic says so. */
  | { readonly type: 'end'; readonly reason: CloseReason; readonly explanation: string; readonly byPeer: boolean };
