import type { Archive, RestorePlan } from '@evertree/archive';
import { type Frame, RebuiltTree, type Store, type StoredSnapshot } from '@evertree/core';
import { inGroups, type LineMaker, snapshotOf } from './archive-maker.ts';
import { ManualClock } from './host.ts';
import { framesOf, memoryStore } from './stores.ts';

/** Made for tests by `age-keygen`, and used for nothing else. */
export const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
export const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
export const OTHER_IDENTITY = 'AGE-SECRET-KEY-1EJ9XLNGUYEFV0QZPRN37E3LGUZ8Y4FVKERUEL4TJVUE3GRHX7PKQA8DC42';
export const OTHER_RECIPIENT = 'age1l73dtutnu7zndg4led8ufr8efuh2r4fldwz4zxkl854d3j80gpzql3t3vr';

/** A history to archive. */
export interface MadeHistory {
  readonly store: Store;
  readonly frames: readonly Frame[];
  /** By revision. */
  readonly snapshots: ReadonlyMap<number, StoredSnapshot>;
}

/** 40 commits, one a second; frames of three, an epoch that begins at revision 21, marks at 11 and 32. */
export async function makeHistory(): Promise<MadeHistory> {
  const clock = new ManualClock();
  const { store } = await memoryStore({ clock });
  const snapshots = new Map<number, StoredSnapshot>();
  while (store.position.revision < 40) {
    clock.advance(1_000);
    const next = store.position.revision + 1;
    if (next === 11) store.mark('early');
    else if (next === 21) store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'a test asked for it');
    else if (next === 32) store.mark('late 🌲');
    else store.put(['k', String(next % 7)], { next, text: `value ${next} 🌲` });
    if (next % 3 === 0) store.cut();
    if (next % 12 === 0) {
      snapshots.set(next, snapshotOf(store));
    }
  }
  await store.flush();
  return { store, frames: await framesOf(store.journal), snapshots };
}

/** The frames after a revision, up to another one. */
export function framesBetween({ frames }: MadeHistory, after: number, upTo: number): Frame[] {
  return frames.filter(({ header }) => header.base.revision >= after && header.last.revision <= upTo);
}

/**
 * The whole history: stretches of some frames up to 24, an image there, and a tail behind.
 * @returns the keys of the tail's objects
 */
export async function makeLine(
  made: MadeHistory,
  line: LineMaker,
  { image = 24 }: { readonly image?: number } = {},
): Promise<readonly string[]> {
  for (const group of inGroups(framesBetween(made, 0, 24), 4)) await line.stretch(group);
  await line.image(made.snapshots.get(image)!);
  return line.tail(inGroups(framesBetween(made, 24, 40), 2));
}

/** The tree that a plan gives, every frame applied and every digest compared. */
export async function rebuild(archive: Archive, plan: RestorePlan): Promise<RebuiltTree> {
  const tree = plan.image === undefined ? RebuiltTree.empty() : await RebuiltTree.from(await archive.image(plan.line, plan.image));
  for await (const frame of archive.frames(plan)) tree.apply(frame);
  return tree;
}
