import { formatPosition } from '@evertree/core';
import type { ExactPosition, Reason } from '@evertree/core';

/** A secondary that can go on only from a snapshot. */
export interface Want {
  readonly site: string;
  /** The position of the secondary. */
  readonly after: ExactPosition;
  /** The newest snapshot that it saw and could not use. */
  readonly tried: string | undefined;
}

export interface SnapshotView {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The topic's first offset, and the one after its last. */
  readonly low: bigint;
  readonly high: bigint;
  /**
   * The newest announced snapshot. `time`: when it was announced; the records after it are not older. `bytes`: its
   * size.
   */
  readonly newest:
    | { readonly id: string; readonly position: ExactPosition; readonly time: number; readonly bytes: number; readonly follow: bigint }
    | undefined;
  /** Without a snapshot: the topic begins with the stream's first frame, and a new secondary can start there. */
  readonly whole: boolean;
  /** Commit time of the topic's first record; undefined when it is empty, or not known. */
  readonly lowTime: number | undefined;
  /** What a record takes in the topic, on average. */
  readonly recordBytes: number;
  /** What the topic keeps; undefined: without a limit. */
  readonly retentionMs: number | undefined;
  readonly retentionBytes: number | undefined;
  /** Frames of another writer end before this offset; undefined: none were seen. */
  readonly foreignTo: bigint | undefined;
  /** Bytes to be read after a snapshot at which another one is due. */
  readonly snapshotBytes: number;
  readonly wants: readonly Want[];
}

/**
 * Retention is near when less than this share of what the topic keeps is left: the frames after the snapshot may soon
 * be removed.
 */
const LEFT = 0.5;

/**
 * Why a snapshot is due beside the frames; undefined when none is. PROTOCOL.md, «The primary», 5.
 *
 * A topic that still begins with the stream's first frame counts as one with a snapshot of the empty tree before it.
 */
export function snapshotNeed(view: SnapshotView): Reason | undefined {
  return (
    because('reader-waits', readerWaits(view)) ??
    because('log-begins-late', beginsLate(view)) ??
    because('foreign-frames', foreignFrames(view)) ??
    because('retention-near', retentionNear(view)) ??
    because('catch-up-slow', catchUpSlow(view))
  );
}

function because(code: Reason['code'], text: string | undefined): Reason | undefined {
  return text === undefined ? undefined : { code, text };
}

function readerWaits({ wants, newest, low }: SnapshotView): string | undefined {
  const unserved = wants.find(
    ({ after, tried }) => newest === undefined || newest.follow < low || newest.position.revision < after.revision || tried === newest.id,
  );
  if (unserved === undefined) return undefined;
  return `${unserved.site} stands at ${formatPosition(unserved.after)} and can go on from a snapshot only`;
}

function beginsLate({ newest, whole, low, high }: SnapshotView): string | undefined {
  if (newest === undefined)
    return whole || low === high ? undefined : 'the topic does not reach back to the beginning, and there is no snapshot';
  return newest.follow < low ? `retention has removed what follows the snapshot of ${formatPosition(newest.position)}` : undefined;
}

/** A secondary that starts before another writer's frames can't get past them. */
function foreignFrames({ newest, foreignTo, high }: SnapshotView): string | undefined {
  if (foreignTo === undefined || foreignTo > high || (newest !== undefined && newest.follow >= foreignTo)) return undefined;
  return 'another writer put frames into the topic, and a secondary that starts before them can not get past';
}

function retentionNear(view: SnapshotView): string | undefined {
  const { retentionMs, retentionBytes } = view;
  const { time, bytes } = toRead(view);
  if (bytes === 0) return undefined;
  if (retentionMs !== undefined && time !== undefined && view.now - time > retentionMs * LEFT) {
    return `what follows ${origin(view)} is older than half of what the topic keeps ("retention.ms" is ${retentionMs})`;
  }
  if (retentionBytes !== undefined && bytes > retentionBytes * LEFT) {
    return `what follows ${origin(view)} is more than half of what the topic keeps ("retention.bytes" is ${retentionBytes})`;
  }
  return undefined;
}

/** A tree larger than the limit is not written out again before as much has followed it. */
function catchUpSlow(view: SnapshotView): string | undefined {
  const { bytes } = toRead(view);
  const limit = Math.max(view.snapshotBytes, view.newest?.bytes ?? 0);
  return bytes > limit ? `so much follows ${origin(view)} that starting from it is slow (about ${bytes} bytes)` : undefined;
}

/** What has to be read after the snapshot, or from the topic's beginning: how old, how much. */
function toRead({ newest, low, high, lowTime, recordBytes }: SnapshotView): { time: number | undefined; bytes: number } {
  const from = newest === undefined || newest.follow < low ? low : newest.follow;
  const bytes = from >= high ? 0 : Number(high - from) * recordBytes;
  return { time: newest?.time ?? lowTime, bytes };
}

function origin({ newest }: SnapshotView): string {
  return newest === undefined ? "the topic's beginning" : `the snapshot of ${formatPosition(newest.position)}`;
}
