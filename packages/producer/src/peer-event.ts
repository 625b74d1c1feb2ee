import type { CloseReason, EvertreeError, ExactPosition, Reason } from '@evertree/core';
import type { Decision } from './decision.ts';

/** What happens to a peer. Positions of `acknowledged` and `resend` come from the far end and are not yet trusted. */
export type PeerEvent =
  | { readonly type: 'linked' }
  | { readonly type: 'decided'; readonly decision: Decision; readonly position: ExactPosition }
  | { readonly type: 'sent'; readonly last: ExactPosition; readonly bytes: number; readonly firstTime: number; readonly lastTime: number }
  /** Everything stable has been sent. */
  | { readonly type: 'exhausted' }
  /** Something new became stable here. */
  | { readonly type: 'grown' }
  | { readonly type: 'snapshot-begun'; readonly position: ExactPosition }
  | { readonly type: 'snapshot-sent' }
  /** Retention overtook the reader. */
  | { readonly type: 'compacted'; readonly base: ExactPosition }
  | Acknowledgement
  | { readonly type: 'resend'; readonly after: ExactPosition }
  | { readonly type: 'lost'; readonly reason: CloseReason; readonly explanation: string; readonly byPeer: boolean };

export interface Acknowledgement {
  readonly type: 'acknowledged';
  readonly applied: ExactPosition;
  readonly durable: ExactPosition;
  /** Where this primary stands. */
  readonly stable: ExactPosition;
}

/** What the loop around it has to do, in order. */
export type PeerAction =
  | { readonly type: 'read'; readonly after: ExactPosition }
  | { readonly type: 'send-snapshot'; readonly reason: Reason }
  /** Retention keeps what follows this position. */
  | { readonly type: 'keep'; readonly position: ExactPosition }
  /** The peer holds everything up to this position, durably. */
  | { readonly type: 'record'; readonly durable: ExactPosition }
  /** This primary takes no writes any more. */
  | { readonly type: 'fence'; readonly error: EvertreeError }
  | { readonly type: 'close'; readonly reason: CloseReason; readonly explanation: string };
