import { decodeFrame, EMPTY_HEAD, type ExactPosition, type Frame, headAfter, headAt, type HistoryHead } from '@evertree/core';
import type { FramesReader } from './frames-reader.ts';
import type { ImageReader } from './image-reader.ts';
import { isOneEpoch, type FramesEntry, type Restorable } from './line-history.ts';

/**
 * The table of epochs and the marks at the end of some states. Only objects that change one of them are read: those with
 * mark frames, and those in which an epoch begins or ends.
 */
export async function tablesAt(
  { images, stretches, to }: Pick<Restorable, 'images' | 'stretches' | 'to'>,
  frames: FramesReader,
  reader: ImageReader,
): Promise<Pick<HistoryHead, 'epochs' | 'marks' | 'last'>> {
  const image = images.at(-1);
  let head: HistoryHead = image === undefined ? EMPTY_HEAD : headAt((await reader.open(image)).header);
  for (const entry of stretches) {
    if (entry.last.revision <= head.last.revision || !changesTables(entry)) continue;
    for (const frame of await frames.all(entry)) {
      if (frame.header.last.revision > head.last.revision) head = headAfter(head, frame, noteOf(frame));
    }
  }
  return { epochs: head.epochs, marks: head.marks, last: to };
}

/** Where a mark was set last. */
export interface SetMark {
  readonly revision: number;
  readonly markedAt: ExactPosition;
}

/**
 * The mark of a name at the end of some states, looked for from there backwards: only objects with mark frames are read,
 * up to the first that tells of the name.
 * @returns undefined if none tells of it since the image, or the last one takes it back: the tables tell the rest
 */
export async function lastMark({ images, stretches }: Restorable, name: string, frames: FramesReader): Promise<SetMark | undefined> {
  const start = images.at(-1)?.position.revision ?? 0;
  for (const entry of stretches.toReversed()) {
    if (entry.last.revision <= start) return undefined;
    if (entry.marks.length === 0) continue;
    for (const frame of (await frames.all(entry, (entry.marked ?? entry.marks).at(-1))).toReversed()) {
      const { last: markedAt, isMark } = frame.header;
      const mark = isMark && markedAt.revision > start ? noteOf(frame)?.mark : undefined;
      if (mark?.name === name) return mark.removed ? undefined : { revision: markedAt.revision - mark.back, markedAt };
    }
  }
  return undefined;
}

/** A handover is not told by an object's ends; it changes no position that the tables give. */
function changesTables({ marks, base, last }: FramesEntry): boolean {
  return marks.length > 0 || !isOneEpoch(base, last);
}

function noteOf(frame: Frame): ReturnType<typeof decodeFrame>['note'] {
  const { beginsEpoch, endsEpoch, isMark } = frame.header;
  return beginsEpoch || endsEpoch || isMark ? decodeFrame(frame).note : undefined;
}
