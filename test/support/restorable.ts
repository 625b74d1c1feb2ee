import type { Sealing, Target } from '@evertree/archive';
import type { ExactPosition, Frame, Mark, StoredSnapshot, Value } from '@evertree/core';
import { ArchiveMaker, inGroups, type LineMaker, snapshotOf } from './archive-maker.ts';
import { ManualClock } from './host.ts';
import { RandomHistory } from './random-history.ts';
import { framesOf, memoryStore } from './stores.ts';

/** What a tree was. */
export interface OracleState {
  readonly position: ExactPosition;
  readonly digest: string;
  readonly value: Value;
  readonly time: number;
}

/** A history, and what it was after each commit. */
export interface OracleHistory {
  readonly frames: readonly Frame[];
  readonly states: readonly OracleState[];
  readonly snapshots: readonly StoredSnapshot[];
  readonly marks: readonly Mark[];
}

/** A history at random, of the site `north`: frames have several commits, some commits have one time. */
export async function oracleHistory(seed: number, commits = 40, encoding: 'binary' | 'json' = 'binary'): Promise<OracleHistory> {
  const clock = new ManualClock();
  clock.advance(1_700_000_000_000);
  const { store } = await memoryStore({ clock, encoding, site: 'north' });
  const random = new RandomHistory(seed);
  const states: OracleState[] = [];
  const snapshots: StoredSnapshot[] = [];
  for (let index = 0; index < commits; index++) {
    // Moving the clock ends a turn, and with it a frame.
    if (random.below(4) === 0) clock.advance(random.below(3) * 500);
    const { revision } = store.position;
    random.commit(store);
    if (store.position.revision > revision) {
      states.push({ position: store.position, digest: store.digest, value: store.get('')!, time: clock.now() });
    }
    if (random.below(3) === 0) store.cut();
    if (random.below(12) === 0 && states.length > 0) {
      store.cut();
      snapshots.push(snapshotOf(store));
    }
  }
  await store.flush();
  const frames = await framesOf(store.journal);
  const marks = [...store.marks];
  await store.close();
  return { frames, states, snapshots, marks };
}

/** How a history is archived. */
export interface ArchivingChoices {
  readonly sealing?: Sealing;
  /** Frames of a stretch. */
  readonly group?: number;
  /** Frames that are in a tail only. */
  readonly tailed?: number;
  readonly partBytes?: number;
  readonly archive?: string;
}

/** Archives a history, as a line with its images. @returns the keys of its objects */
export async function archiveHistory(target: Target, made: OracleHistory, choices: ArchivingChoices = {}): Promise<LineMaker> {
  const { sealing = 'plain', group = 3, tailed = 4, partBytes = 200, archive } = choices;
  const maker = new ArchiveMaker(target, { sealing, ...(archive === undefined ? {} : { archive }) });
  const line = maker.line('north');
  const kept = made.frames.slice(0, Math.max(1, made.frames.length - tailed));
  const ends = new Set(made.snapshots.map(({ header }) => header.position.revision));
  for (const frames of cutAt(inGroups(kept, group), ends)) {
    await line.stretch(frames);
    const revision = frames.at(-1)!.header.last.revision;
    const snapshot = made.snapshots.find(({ header }) => header.position.revision === revision);
    if (snapshot !== undefined) await line.image(snapshot, { partBytes });
  }
  const rest = made.frames.slice(kept.length);
  if (rest.length > 0) await line.tail(inGroups(rest, 2));
  await maker.publish();
  return line;
}

/** Groups that end where an image stands. */
function cutAt(groups: readonly (readonly Frame[])[], ends: ReadonlySet<number>): (readonly Frame[])[] {
  return groups.flatMap(frames => {
    const pieces: Frame[][] = [[]];
    for (const frame of frames) {
      pieces.at(-1)!.push(frame);
      if (ends.has(frame.header.last.revision)) pieces.push([]);
    }
    return pieces.filter(({ length }) => length > 0);
  });
}
