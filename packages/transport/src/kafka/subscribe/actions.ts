import type { CloseReason, Epoch, ExactPosition, FrameHeader, Hello, Reason, Report, ResumeHint } from '@evertree/core';
import type { AnnouncedClaim, RoleRecord, SnapshotRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { Watermarks } from '../broker.ts';
import type { HeardPrimary } from './control-view.ts';
import type { PlacedFrame } from './frame-records.ts';

/** What the driver is to ask of the broker. One request is open at a time, and one event answers it. */
export type SubscribeRequest =
  /** The topic's ends, and the first record that is not older than `time`. Answer: `bounds`. */
  | { readonly type: 'locate'; readonly time: number | undefined }
  /**
   * The first frame at or after `offset` and before `end`. `claimsFrom`: an earlier offset, from which on claims are
   * looked for first. Answer: `looked`, `out-of-range`.
   */
  | { readonly type: 'look'; readonly offset: bigint; readonly end: bigint; readonly claimsFrom?: bigint }
  /**
   * The next frame, as soon as the link takes one. If no fetched frame is left, a fetch. Answer: a frame, `fetched`,
   * `out-of-range`.
   */
  | { readonly type: 'read' }
  /** The first offset that `.snapshot` still has. Answer: `snapshots-begin`. */
  | { readonly type: 'find-snapshot' }
  /** Hand this snapshot up, from its beginning to its end. Answer: `copied`, `spoilt`. */
  | { readonly type: 'copy'; readonly snapshot: SnapshotRecord; readonly reason: Reason }
  /** Wait for an event that answers no request. Answer: `woken`. */
  | { readonly type: 'wait' };

/** What the driver is to do. Of the actions that one event leads to, at most one is a request, and it is the last. */
export type SubscribeAction =
  | SubscribeRequest
  /** The next `read` begins at this offset. */
  | { readonly type: 'seek'; readonly offset: bigint }
  /** Hand up the frame that the event brought. */
  | { readonly type: 'hand' }
  /**
   * Ask the site to take what the topic lacks before `base` from elsewhere; it answers with a `resend`. `epochs` and
   * `last`: the primary's history.
   */
  | {
      readonly type: 'offer';
      readonly base: ExactPosition;
      readonly epochs: readonly Epoch[];
      readonly last: ExactPosition;
      readonly reason: Reason;
    }
  /** What was read was written just now by the primary: a sign of life. */
  | { readonly type: 'seen' }
  /** Write these records to `.control`. Answer: `sent`, `send-failed`. */
  | { readonly type: 'send'; readonly records: readonly SentRecord[] }
  /** Answer with `send-due` after this time. */
  | { readonly type: 'send-in'; readonly ms: number }
  /** The broker takes the records of this site again. */
  | { readonly type: 'drained' }
  /** Answer: `committed`, `commit-failed`. */
  | { readonly type: 'commit'; readonly offset: bigint }
  | { readonly type: 'report'; readonly report: Report }
  /** The link ends at the far side. */
  | { readonly type: 'end'; readonly reason: CloseReason; readonly explanation: string; readonly byPeer: boolean };

/** What answers a request about the topic. */
export type SubscribeAnswer =
  | ({ readonly type: 'bounds'; readonly byTime: bigint | undefined } & Watermarks)
  | { readonly type: 'looked'; readonly header: FrameHeader | undefined }
  | PlacedFrame
  /** A fetch read from `from` to before `next`; `high`: the topic's end. */
  | { readonly type: 'fetched'; readonly from: bigint; readonly next: bigint; readonly high: bigint }
  /** The topic does not have the offset that was asked for. */
  | { readonly type: 'out-of-range' }
  | { readonly type: 'snapshots-begin'; readonly low: bigint }
  | { readonly type: 'copied' }
  /** The snapshot can't be handed up whole. */
  | { readonly type: 'spoilt'; readonly why: string }
  | { readonly type: 'woken' };

/** What happens to the secondary's end of a topic. */
export type SubscribeEvent =
  | SubscribeAnswer
  /** The site said hello. */
  | { readonly type: 'greeted'; readonly hello: Hello; readonly resume: ResumeHint | undefined }
  /** The site says something about who leads. */
  | { readonly type: 'said'; readonly role: RoleRecord }
  | { readonly type: 'acknowledged'; readonly applied: ExactPosition; readonly durable: ExactPosition }
  /** The site saw a gap. */
  | { readonly type: 'resend'; readonly after: ExactPosition }
  /** A primary spoke in `.control`. */
  | { readonly type: 'heard'; readonly primary: HeardPrimary }
  | { readonly type: 'announced'; readonly snapshot: SnapshotRecord }
  /** A site claims an epoch, or has. */
  | { readonly type: 'claimed'; readonly claim: AnnouncedClaim }
  /** It is time for a sign of life. */
  | { readonly type: 'beat' }
  /** The primary was not heard for three of its heartbeats. */
  | { readonly type: 'silent' }
  /** The site closed the link. */
  | { readonly type: 'closed'; readonly reason: CloseReason; readonly explanation: string }
  | { readonly type: 'sent' }
  | { readonly type: 'send-failed'; readonly why: string }
  | { readonly type: 'send-due' }
  | { readonly type: 'commit-due' }
  | { readonly type: 'committed'; readonly offset: bigint }
  | { readonly type: 'commit-failed'; readonly why: string };
