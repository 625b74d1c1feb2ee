import {
  type Boundary,
  covers,
  EvertreeError,
  formatPosition,
  type SnapshotHeader,
  type Store,
  type TreeChange,
  Turn,
  samePosition,
} from '@evertree/core';

/** What makes a secondary's tree that of another site. */
export interface Repair {
  /** Of the other site's tree, where it stood when the two were compared. */
  readonly header: SnapshotHeader;
  /** Where this site's tree stood then. */
  readonly base: Boundary;
  /** What differed. */
  readonly changes: readonly TreeChange[];
}

/**
 * Makes a secondary's tree equal to another site's. What the changes make of the present tree goes the way of a full
 * copy: it is encoded, built anew from that, compared with the header's digest, written as a snapshot with which the
 * history goes on, and only then takes the present tree's place. So what stands in memory is what a restart would find.
 *
 * The caller sees to it that no frame is applied meanwhile.
 * @throws EvertreeError WRONG_ROLE at a primary, STREAM_MISMATCH, HISTORY_MISMATCH where the history of the header does
 *   not hold what this site has, POSITION_MISMATCH when the tree is not at `base` any more, DIGEST_MISMATCH; nothing
 *   has changed then
 */
export async function repair(store: Store, { header, base, changes }: Repair): Promise<void> {
  checkRepair(store, { header, base });
  using snapshot = store.snapshot();
  const turn = new Turn(store.clock);
  using mended = await turn.run(snapshot.changed(changes, header));
  const digest = mended.digestAt([]);
  if (digest !== header.digest) throw stillDiffers(header, digest);
  const receiver = await store.receiveSnapshot(header);
  try {
    for (const chunk of mended.chunksInSteps()) {
      if (chunk !== undefined) await receiver.add(chunk);
      await turn.breathe();
    }
    await receiver.finish();
  } finally {
    // It does nothing after a finish.
    await receiver.abort();
  }
}

/** Whether a repair can be begun. @throws EvertreeError as `repair`, but for DIGEST_MISMATCH */
export function checkRepair(store: Store, { header, base }: Pick<Repair, 'header' | 'base'>): void {
  checkHistory(store, header);
  checkBase(base, { position: store.position, digest: store.digest });
}

function checkHistory({ stream, site, position, role }: Store, header: SnapshotHeader): void {
  if (role !== 'secondary') {
    throw new EvertreeError('WRONG_ROLE', `the site ${site} is a primary: its tree is the one that counts; repair a secondary`);
  }
  if (stream !== null && stream !== header.stream) {
    const message = `the site ${site} holds the stream ${stream}, and the other site the stream ${header.stream}`;
    throw new EvertreeError('STREAM_MISMATCH', message, { expected: stream, found: header.stream });
  }
  if (covers({ epochs: header.epochs, last: header.position }, position)) return;
  const message =
    `the site ${site} stands at ${formatPosition(position)} (epoch id ${position.epochId}), which the history of the other site, at ` +
    `${formatPosition(header.position)}, does not hold: a repair would take back what ${site} has acknowledged; compare it with its primary`;
  throw new EvertreeError('HISTORY_MISMATCH', message, { ours: position, theirs: header.position });
}

function checkBase(expected: Boundary, found: Boundary): void {
  if (samePosition(expected.position, found.position) && expected.digest === found.digest) return;
  const message =
    `the tree is at ${formatPosition(found.position)} with the digest ${found.digest}, and was compared at ` +
    `${formatPosition(expected.position)} with ${expected.digest}; compare it again`;
  throw new EvertreeError('POSITION_MISMATCH', message, { expected, found });
}

function stillDiffers({ digest: expected, position }: SnapshotHeader, found: string | undefined): EvertreeError {
  const message =
    `after the changes the tree has the digest ${found}, and the other site has ${expected} at ${formatPosition(position)}: the trees differ ` +
    'in more than their digests show; start this site with an empty directory, and it gets a full copy';
  return new EvertreeError('DIGEST_MISMATCH', message, { expected, found, position });
}
