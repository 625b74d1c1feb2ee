import { decodeChangeSets, type ExactPosition, type Operation, type Path, type Store, type Value } from '@evertree/core';
import { type Replayed, type DirectoryReplay, replayDirectory } from '@evertree/history';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemRandom } from '../support/host.ts';
import { commit, filesOf, flip, isRefusal, recovered, SMALL, stoppedSite, verify } from '../support/offline-site.ts';
import { diskStore } from '../support/stores.ts';

type Options = Omit<DirectoryReplay, 'from' | 'into' | 'random'>;

async function replay(from: FaultDisk, into: FaultDisk, options: Options = {}): Promise<Replayed> {
  return replayDirectory({ from, into, random: systemRandom, segmentBytes: 3_000, ...options });
}

/** The directory of another machine. */
function otherDisk(): FaultDisk {
  return new FaultDisk().copy();
}

async function stateOf(disk: FaultDisk): Promise<{ readonly position: ExactPosition; readonly digest: string; readonly value: Value }> {
  const store = await recovered(disk.image());
  const state = { position: store.position, digest: store.digest, value: store.get('')! };
  await store.close();
  return state;
}

/** The states of a store after each of its commits; frames have several commits. */
async function recorded(
  commits: readonly (readonly [kind: 'put' | 'delete', path: readonly string[], value: Value])[],
  encoding: 'binary' | 'json' = 'binary',
) {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { journalOptions: SMALL, encoding });
  const states: { readonly position: ExactPosition; readonly digest: string; readonly value: Value }[] = [];
  for (const [index, [kind, path, value]] of commits.entries()) {
    if (changes(store, kind, path, value)) states.push({ position: store.position, digest: store.digest, value: store.get('')! });
    if (index % 4 === 3) store.cut();
  }
  await store.flush();
  const end = { position: store.position, digest: store.digest };
  await store.close();
  return { disk, states, end };
}

/** Commits a step. @returns whether anything changed; not if the path leads through a leaf */
function changes(store: Store, kind: 'put' | 'delete', path: Path, value: Value): boolean {
  try {
    return (kind === 'put' ? store.put(path, value) : store.delete(path)).changed;
  } catch (error) {
    if (isRefusal(error, 'PATH_INVALID')) return false;
    throw error;
  }
}

const steps = fc.array(
  fc.tuple(
    fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
    fc.array(fc.constantFrom('a', 'b', '', '~/', '🌳', '__proto__'), { minLength: 1, maxLength: 3 }),
    fc.constantFrom<Value>(0, 1, 2, {}, { a: 1 }, { b: {} }, [1]),
  ),
  { minLength: 6, maxLength: 30 },
);

const encodings = fc.constantFrom('binary' as const, 'json' as const);

describe('replay', () => {
  test('rebuilds the very same history, and compares the digest after each frame', async () => {
    const { disk, position, digest } = await stoppedSite();
    const into = otherDisk();
    const replayed = await replay(disk, into);
    const frames = (await verify(disk)).frames;
    expect(replayed).toMatchObject({ last: position, digest, isWhatIf: false, comparisons: frames, conflictCount: 0 });
    expect(replayed.commits).toBe(position.revision);
    expect(await verify(into)).toMatchObject({ damageCount: 0, last: position, digest, frames, isCopy: true });
    expect(await stateOf(into)).toMatchObject({ position, digest });
    // The frames are the same bytes: the chain ends in the same hash.
    const again = otherDisk();
    await replay(into, again);
    expect(await stateOf(again)).toMatchObject({ position, digest });
  });

  test('begins at the oldest snapshot where the first events have gone', async () => {
    const { disk, position, digest } = await stoppedSite({ commits: 120, openings: 1, snapshots: 1, retain: true });
    const into = otherDisk();
    const replayed = await replay(disk, into);
    expect(replayed.base.revision).toBeGreaterThan(0);
    expect(await verify(into)).toMatchObject({ damageCount: 0, last: position, digest });
    expect(await stateOf(into)).toMatchObject({ position, digest });
    await expect(replay(disk, otherDisk(), { to: { epoch: 1, revision: replayed.base.revision - 1 } })).rejects.toMatchObject({
      code: 'COMPACTED',
    });
  });

  test('up to the position of the oldest snapshot gives that state alone', async () => {
    const { disk } = await stoppedSite({ commits: 120, openings: 1, snapshots: 1, retain: true });
    const from = otherDisk();
    const { base, last, digest } = await replay(disk, from);
    // The frames up to the snapshot are not in this one: the history begins with it, as after a full copy.
    const into = otherDisk();
    const replayed = await replay(from, into, { to: base });
    expect(replayed).toMatchObject({ base, last: base, commits: 0 });
    expect(await verify(into)).toMatchObject({ damageCount: 0, last: base, digest: replayed.digest });
    expect(await stateOf(into)).toMatchObject({ position: base, digest: replayed.digest });
    expect([last, digest]).not.toEqual([replayed.last, replayed.digest]);
  });

  test('refuses to leave out what the oldest snapshot holds already, and what comes after the end', async () => {
    const { disk } = await stoppedSite({ commits: 120, openings: 1, snapshots: 1, retain: true });
    const { base } = await replay(disk, otherDisk());
    // The frames before the snapshot are in its segment still: what they did can't be taken out of the snapshot.
    await expect(replay(disk, otherDisk(), { without: [base] })).rejects.toMatchObject({
      code: 'COMPACTED',
      details: { base },
    });
    const to = { epoch: 1, revision: base.revision + 1 };
    await expect(replay(disk, otherDisk(), { to, without: [{ epoch: 1, revision: base.revision + 2 }] })).rejects.toMatchObject({
      code: 'VALUE_INVALID',
      message: expect.stringContaining(`ends before it, at 1-${to.revision}`) as string,
    });
  });

  test('up to any position gives the tree that stood there, in the middle of a frame, too', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), encodings, async (commits, index, encoding) => {
        const { disk, states } = await recorded(commits, encoding);
        fc.pre(states.length > 0);
        const wanted = states[index % states.length]!;
        const into = otherDisk();
        const replayed = await replay(disk, into, { to: wanted.position });
        expect([replayed.last, replayed.digest]).toEqual([wanted.position, wanted.digest]);
        expect(await verify(into)).toMatchObject({ damageCount: 0, last: wanted.position, digest: wanted.digest });
        expect(await stateOf(into)).toMatchObject({ position: wanted.position, value: wanted.value });
      }),
      { numRuns: 40 },
    );
  });

  test('without some commits gives what the others make, keeps their positions, and another stream', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 4 }), encodings, async (commits, chosen, encoding) => {
        const { disk, states, end } = await recorded(commits, encoding);
        fc.pre(states.length > 0);
        const without = [...new Set(chosen.map(number => states[number % states.length]!.position))];
        const into = otherDisk();
        const replayed = await replay(disk, into, { without });
        const left = new Set(without.map(({ revision }) => revision));
        expect(replayed.leftOut.map(({ position }) => position.revision)).toEqual([...left].toSorted((a, b) => a - b));
        expect(replayed.last).toEqual(end.position);
        expect(replayed).toMatchObject({ isWhatIf: true, stream: expect.stringMatching(/^[0-9a-f]{32}$/) as string });
        expect(replayed.stream).not.toBe((await verify(disk)).stream);
        const { damageCount, digest } = await verify(into);
        expect([damageCount, digest]).toEqual([0, replayed.digest]);
        expect((await stateOf(into)).value).toEqual(await expectedWithout(disk, left));
      }),
      { numRuns: 40 },
    );
  });

  test('lists operations that can not be done, and leaves them out', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    const made = store.put('/devices', { r1: { mtu: 1_500 } }, { author: 'ann', message: 'a mistake' });
    store.put('/devices/r1/mtu', 9_000);
    store.put('/other', true);
    store.delete('/devices/r1');
    const { position } = made;
    const changed = store.position;
    await store.close();
    const into = otherDisk();
    const replayed = await replay(disk, into, { without: [position] });
    expect(replayed.leftOut).toMatchObject([{ position: { epoch: 1, revision: 2 }, author: 'ann', message: 'a mistake', operations: 1 }]);
    expect(replayed.conflicts).toEqual([
      { position: { epoch: 1, revision: 3 }, path: ['devices', 'r1', 'mtu'], kind: 'put', reason: 'parent' },
      { position: { epoch: 1, revision: 5 }, path: ['devices', 'r1'], kind: 'delete', reason: 'absent' },
    ]);
    expect(await stateOf(into)).toMatchObject({ position: changed, value: { other: true } });
  });

  test('leaves out what is below a put that was left out, also where the object above that put is missing', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    const { position } = store.put('/sites/r1', { mtu: 1_500 });
    store.put('/sites/r1/mtu', 9_000);
    store.put('/other', true);
    await store.close();
    const into = otherDisk();
    const { conflicts } = await replay(disk, into, { without: [position] });
    expect(conflicts).toEqual([{ position: { epoch: 1, revision: 3 }, path: ['sites', 'r1', 'mtu'], kind: 'put', reason: 'parent' }]);
    expect(await stateOf(into)).toMatchObject({ value: { other: true } });
  });

  test('refuses to leave out what changes nothing, and what is not there', async () => {
    const { disk, position } = await stoppedSite({ openings: 1 });
    const refused = (without: { readonly epoch: number; readonly revision: number }) => replay(disk, otherDisk(), { without: [without] });
    await expect(refused({ epoch: 1, revision: 1 })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(refused({ epoch: 1, revision: position.revision + 1 })).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringContaining(`to 1-${position.revision}, and does not reach 1-${position.revision + 1}`),
    });
    await expect(refused({ epoch: 2, revision: 3 })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
  });

  test('up to a mark and up to a time', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    await commit(store, 0, 10);
    store.mark('before-upgrade');
    const named = { position: store.position, digest: store.digest };
    await commit(store, 10, 20);
    await store.close();
    expect(await replay(disk, otherDisk(), { to: { mark: 'before-upgrade' } })).toMatchObject({
      last: named.position,
      digest: named.digest,
    });
    await expect(replay(disk, otherDisk(), { to: { mark: 'before' } })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await replay(disk, otherDisk(), { to: { time: Date.now() + 1_000 } })).toMatchObject({ last: store.position });
    await expect(replay(disk, otherDisk(), { to: { time: 1_000 } })).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringContaining('does not reach the time 1970-01-01T00:00:01.000Z'),
    });
  });

  test('of a damaged directory is refused, with file and offset', async () => {
    const { disk } = await stoppedSite();
    const path = filesOf(disk, '.evj')[1]!;
    flip(disk, path, 200);
    await expect(replay(disk, otherDisk())).rejects.toMatchObject({ code: 'DAMAGED', details: { file: path } });
  });

  test('into a directory that holds something is refused', async () => {
    const { disk } = await stoppedSite();
    const other = await stoppedSite();
    const before = other.disk.files.toSorted();
    await expect(replay(disk, other.disk)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(other.disk.files.toSorted()).toEqual(before);
    await expect(replay(disk, disk)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
  });

  test('that dies at any step leaves nothing that opens, and can be begun again', async () => {
    const { disk: from, position, digest } = await stoppedSite({ commits: 20, openings: 1, snapshots: 1 });
    await dieAtEachStep(
      async () => ({ disk: otherDisk() }),
      ({ disk }) => replay(from, disk),
      async ({ found, died, where }) => {
        const opened = await open(found.image());
        if (opened !== undefined) {
          // Nothing was begun, or all is there.
          expect([0, position.revision], where).toContain(opened.position.revision);
          if (opened.position.revision === 0) expect(died, where).toBe(true);
          await opened.close();
        }
        if (opened?.position.revision === position.revision) return;
        expect(await replay(from, found), where).toMatchObject({ last: position, digest });
        expect(await verify(found), where).toMatchObject({ damageCount: 0, last: position, digest });
      },
    );
  });
});

/** Undefined if it is refused because it is not finished. */
async function open(disk: FaultDisk): Promise<Store | undefined> {
  try {
    return await recovered(disk);
  } catch (error) {
    if (isRefusal(error, 'UNFINISHED')) return undefined;
    throw error;
  }
}

type Plain = Record<string, unknown>;

/**
 * What the commits of a history make without some of them. A put makes missing parents, but for one that a commit put
 * which is left out, or a put that conflicts. A delete of nothing conflicts, too.
 */
async function expectedWithout(disk: FaultDisk, without: ReadonlySet<number>): Promise<Value> {
  const { store } = await diskStore(disk.image(), { journalOptions: SMALL });
  const altered: Plain = {};
  let lacking: Path[] = [];
  const reader = store.journal.log.read(store.journal.log.base);
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
    for (const { revision, operations } of decodeChangeSets(stored.frame)) {
      for (const operation of operations) {
        const isDone = !without.has(revision) && canBeDone(operation, altered, lacking);
        lacking = lacking.filter(path => !isAtOrBelow(path, operation.path));
        if (isDone) change(altered, operation);
        else if (operation.type === 'put') lacking.push(operation.path);
      }
    }
  }
  await reader.close();
  await store.close();
  return altered as Value;
}

function canBeDone({ type, path }: Operation, altered: Plain, lacking: readonly Path[]): boolean {
  if (type === 'delete') return at(altered, path) !== undefined;
  return path.slice(0, -1).every((_, index) => {
    const above = path.slice(0, index + 1);
    const here = at(altered, above);
    return here === undefined ? !lacking.some(put => isAtOrBelow(above, put)) : isPlain(here);
  });
}

function isAtOrBelow(path: Path, above: Path): boolean {
  return above.every((key, index) => path[index] === key);
}

function at(root: unknown, path: Path): unknown {
  return path.reduce((parent, key) => (isPlain(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined), root);
}

function change(root: Plain, operation: Operation): void {
  let parent = root;
  for (const key of operation.path.slice(0, -1)) {
    if (!Object.hasOwn(parent, key)) define(parent, key, {});
    parent = parent[key] as Plain;
  }
  const key = operation.path.at(-1)!;
  if (operation.type === 'put') define(parent, key, structuredClone(operation.value));
  else Reflect.deleteProperty(parent, key);
}

/** An own property, whatever the key means. */
function define(parent: Plain, key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
