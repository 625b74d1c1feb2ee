import { getInside, type Path, type Position, type Store, type Value } from '@evertree/core';
import { IndexBuilder, JournalIndex, type FoundChange, type Touch } from '@evertree/history';
import { expect } from 'vitest';
import type { FaultDisk } from './fault-disk.ts';
import { systemClock } from './host.ts';
import { comparePaths, isAtOrBelow, type RandomHistory, type ToldTouch, touchesOf } from './random-history.ts';
import { collectReports } from './reports.ts';
import { framesOf } from './stores.ts';

/** The index of a store on a disk, built in this thread. */
export function openIndex(disk: FaultDisk, store: Store) {
  const { reports, report } = collectReports();
  const index = new JournalIndex({
    disk,
    log: store.journal.log,
    clock: systemClock,
    report,
    build: events => new IndexBuilder({ disk, breathe: () => undefined }, events),
  });
  return { index, reports };
}

function plain({ revision, operation, kind, path }: Touch): Touch {
  return { revision, operation, kind, path: [...path] };
}

/** Compares the index's answers about some paths with what the frames of the journal tell. */
export async function compareIndex(index: JournalIndex, store: Store, history: RandomHistory, looks: number): Promise<void> {
  const told = touchesOf(await framesOf(store.journal));
  for (let look = 0; look < looks && told.length > 0; look++) {
    const path = history.below(3) === 0 ? history.path() : history.pick(told).path.slice(0, history.below(5));
    await comparePath(index, told, path, history);
  }
}

async function comparePath(index: JournalIndex, told: readonly ToldTouch[], path: Path, history: RandomHistory): Promise<void> {
  const { after, upTo } = index;
  const newestFirst = told.filter(({ revision }) => revision > after && revision <= upTo).toReversed();
  const moment = after + history.below(upTo - after + 1);
  const newest = newestFirst.find(touch => touch.revision <= moment && isAtOrBelow(path, touch.path));
  expect(await index.newest(path, moment)).toEqual(newest === undefined ? undefined : plain(newest));

  const below = new Map<string, ToldTouch>();
  for (const touch of newestFirst) {
    const name = JSON.stringify(touch.path);
    if (touch.revision <= moment && isAtOrBelow(touch.path, path) && !below.has(name)) below.set(name, touch);
  }
  const expected = [...below.values()].toSorted((a, b) => comparePaths(a.path, b.path)).map(plain);
  expect((await Array.fromAsync(index.newestBelow(path, moment))).flat()).toEqual(expected);
  expect(await index.weight(path)).toBeGreaterThanOrEqual(expected.length);

  if (newest !== undefined) {
    expect(await index.timeOf(newest.revision)).toBe(newest.time);
    await compareInside(index, newest, path, history);
  }
  const from = after + history.below(upTo - after + 1);
  const concerned = newestFirst.filter(
    touch => touch.revision > from && touch.revision <= moment && (isAtOrBelow(path, touch.path) || isAtOrBelow(touch.path, path)),
  );
  const touches = (await Array.fromAsync(index.touches(path, { after: from, upTo: moment }))).flat();
  expect(touches.map(plain)).toEqual(concerned.map(plain));
  const first = history.below(touches.length + 1);
  const read = await Array.fromAsync(index.read(touches.slice(first, first + 40)));
  expect(read).toEqual(changesOf(concerned.slice(first, first + 40)));
}

/** What a put left at the path, and at one inside its value that may be there. */
async function compareInside(index: JournalIndex, newest: ToldTouch, path: Path, history: RandomHistory): Promise<void> {
  let inside = path.slice(newest.path.length);
  for (let look = 0; look < 3; look++) {
    let expected = newest.value;
    for (const key of inside) expected = isContainer(expected) ? getInside(expected, key) : undefined;
    expect(await index.valueAt(newest, [...newest.path, ...inside])).toEqual(expected);
    const keys = isContainer(expected) ? Object.keys(expected) : [];
    inside = [...inside, keys.length > 0 && look < 2 ? history.pick(keys) : history.key()];
  }
}

function isContainer(value: Value | undefined): value is Exclude<Value, null | boolean | number | string> {
  return typeof value === 'object' && value !== null;
}

function changesOf(touches: readonly ToldTouch[]): FoundChange[] {
  const changes: (Omit<FoundChange, 'touches'> & { touches: FoundChange['touches'][number][] })[] = [];
  for (const touch of touches) {
    const position: Position = { epoch: touch.epoch, revision: touch.revision };
    if (changes.at(-1)?.position.revision !== touch.revision) {
      changes.push({ position, time: touch.time, author: touch.author, message: touch.message, touches: [] });
    }
    changes.at(-1)!.touches.push({ touch: plain(touch), value: touch.value });
  }
  return changes;
}
