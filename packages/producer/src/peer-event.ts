import type { CloseReason, ExactPosition, Lineage, Reason } from '@evertree/core';
import type { Decision, Fence } from './decision.ts';

type Ours = Pick<Lineage, 'epochs' | 'last'>;

/** What happens to a peer. Positions of `acknowledged` and `resend` come from the far end and are not yet trusted. */
export type PeerEvent =
  /** It has a link of its own, and frames will go out over it. `catchesUp`: as its hello says. */
  | { readonly type: 'linked'; readonly catchesUp: boolean }
  /** A log told of it: it reads there, and stands at `position`. `present`: it was heard just now. */
  | { readonly type: 'heard'; readonly position: ExactPosition; readonly present: boolean }
  | { readonly type: 'decided'; readonly decision: Decision; readonly position: ExactPosition }
  | { readonly type: 'sent'; readonly last: ExactPosition; readonly bytes: number; readonly firstTime: number; readonly lastTime: number }
  /** Everything stable has been sent. */
  | { readonly type: 'exhausted' }
  /** Something new became stable here. */
  | { readonly type: 'grown' }
  /** Commit time of the oldest change set that it does not hold, which was made before this process began. */
  | { readonly type: 'recalled'; readonly time: number }
  | { readonly type: 'snapshot-begun'; readonly position: ExactPosition }
  | { readonly type: 'snapshot-sent' }
  /** It takes a snapshot that lies in the log. */
  | { readonly type: 'resyncing'; readonly reason: Reason }
  /** Retention overtook the reader. */
  | { readonly type: 'compacted'; readonly base: ExactPosition }
  | AcknowledgedEvent
  | { readonly type: 'resend'; readonly after: ExactPosition; readonly ours: Ours }
  /** Its link ended. `byPeer`: the far end said so. */
  | { readonly type: 'lost'; readonly reason: CloseReason; readonly explanation: string; readonly byPeer: boolean }
  /** No link can be made, or one was turned away while another lives. */
  | { readonly type: 'unreachable'; readonly explanation: string };

export interface AcknowledgedEvent {
  readonly type: 'acknowledged';
  readonly applied: ExactPosition;
  readonly durable: ExactPosition;
  /** This primary's own history, up to what is stable. */
  readonly ours: Ours;
}

/** What the loop around it has to do, in order. */
export type PeerAction =
  | { readonly type: 'read'; readonly after: ExactPosition }
  | { readonly type: 'send-snapshot'; readonly reason: Reason }
  /** Tells it from where on the history is kept. */
  | { readonly type: 'tell-beginning'; readonly base: ExactPosition; readonly reason: Reason }
  /** Retention keeps what follows this position. */
  | { readonly type: 'keep'; readonly position: ExactPosition }
  /** The peer holds everything up to this position, durably. */
  | { readonly type: 'record'; readonly durable: ExactPosition }
  /** This primary takes no writes any more. */
  | { readonly type: 'fence'; readonly fence: Fence }
  | { readonly type: 'close'; readonly reason: CloseReason; readonly explanation: string };
