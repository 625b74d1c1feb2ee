import { frameBody, type Frame } from '../frames/frame.ts';
import type { ObservedChange } from '../frames/frame-application.ts';
import type { Listeners } from './listeners.ts';
import { differenceOf, toOperations, type NetOperation } from '../transactions/net-operations.ts';
import type { TreeNode } from '../tree/node.ts';
import type { Position } from '../position.ts';

/** What a commit, a frame or a snapshot made of the tree, told to the listeners that it concerns. All roots are pinned. */
export interface Step {
  readonly before: TreeNode;
  readonly after: TreeNode;
  readonly from: Position;
  readonly position: Position;
  readonly time: number;
  /** What the values of its operations take, nearly. */
  readonly bytes: number;
}

export function notifyOfCommit(listeners: Listeners, operations: readonly NetOperation[], step: Step): void {
  listeners.notify({ ...step, operations: toOperations(operations) });
}

/** @param from the position before the frame */
export function notifyOfFrame(listeners: Listeners, frame: Frame, from: Position, observed: readonly ObservedChange[]): void {
  const { epoch, base } = frame.header;
  const bytes = frameBody(frame).length / observed.length;
  for (const { changeSet, before, after } of observed) {
    const { revision, operations, time } = changeSet;
    const previous = revision - 1 === base.revision ? from : { epoch, revision: revision - 1 };
    listeners.notify({ before, after, operations, from: previous, position: { epoch, revision }, time, bytes });
  }
}

/** A snapshot took the tree's place: one batch of what differs. */
export function notifyOfSwap(listeners: Listeners, step: Step): void {
  if (listeners.size > 0) listeners.notify({ ...step, operations: toOperations(differenceOf(step.before, step.after)) });
}
