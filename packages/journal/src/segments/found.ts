import type { ExactPosition, FrameHeader } from '@evertree/core';
import { samePosition } from '@evertree/core';

/** What `Journal.find` looks for: the frame that ends at a position, or with `within` the one that holds it. */
export interface FindOptions {
  readonly within?: boolean;
}

/** Whether the frame with the change set of a position's revision is the one that is looked for. */
export function isFound({ last }: FrameHeader, position: ExactPosition, { within = false }: FindOptions = {}): boolean {
  return samePosition(last, within ? { ...position, revision: last.revision } : position);
}
