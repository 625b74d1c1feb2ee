import { expect, test } from 'vitest';
import { Scene } from '../../test/scene.ts';
import type { Clock } from '../seams/host.ts';
import type { Operation } from '../frames/change-set.ts';
import { modificationsOf, presentState, type Batch } from './batch.ts';
import { any, type Pattern } from './pattern.ts';

/** A scene whose clock moves by 1 ms whenever it is asked, so that a slice is some five steps, and its turns. */
function slowScene(initial: object = {}, batchLimit = 1_000): { readonly scene: Scene; readonly turn: () => Promise<boolean> } {
  let nowMs = 0;
  const due: (() => void)[] = [];
  const clock: Clock = {
    now: () => nowMs,
    monotonic: () => nowMs++,
    soon: task => void due.push(task),
    after: () => ({ [Symbol.dispose]: () => undefined }),
  };
  const turn = async (): Promise<boolean> => {
    const tasks = due.splice(0);
    for (const task of tasks) task();
    await Promise.resolve();
    return tasks.length > 0;
  };
  return { scene: new Scene(initial, batchLimit, clock), turn };
}

const COUNT = 20_000;

function puts(value: number): (readonly [string, number])[] {
  return Array.from({ length: COUNT }, (_, index) => [`/n/${index % 100}/k${index}`, value] as const);
}

test('a commit of 20,000 operations makes one batch, over many turns; commits that come meanwhile make theirs behind it', async () => {
  const { scene, turn } = slowScene({ n: {} });
  const batches: Batch[] = [];
  scene.listen('/n/*/*', batch => void batches.push(batch));
  while (await turn());
  scene.commit(...puts(1));
  let turns = 0;
  while (batches.length === 1) {
    expect(await turn()).toBe(true);
    if (++turns < 4) scene.commit([`/n/7/k7`, -turns]);
  }
  while (await turn());
  expect(turns).toBeGreaterThan(10);
  expect(batches.map(({ from, position, merged }) => [from.revision, position.revision, merged])).toEqual([
    [0, 0, 0],
    [0, 1, 1],
    [1, 2, 1],
    [2, 3, 1],
    [3, 4, 1],
  ]);
  const [, large, ...small] = batches as [Batch, Batch, ...Batch[]];
  expect(large.changes.length).toBe(COUNT);
  expect(new Set(large.changes.map(({ path }) => path)).size).toBe(COUNT);
  expect(large.changes.every(({ before, after, type }) => before === undefined && after === 1 && type === 'write')).toBe(true);
  expect(small.map(({ changes }) => [changes.length, changes[0]!.before, changes[0]!.after])).toEqual([
    [1, 1, -1],
    [1, -1, -2],
    [1, -2, -3],
  ]);
});

test('a listener that ends while its batch is made gets no call, and one that begins then gets the state first', async () => {
  const { scene, turn } = slowScene({ n: {} });
  const ended: Batch[] = [];
  const begun: Batch[] = [];
  const ending = scene.listen('/n/*/*', batch => void ended.push(batch));
  while (await turn());
  scene.commit(...puts(1));
  await turn();
  scene.listen('/n/*/*', batch => void begun.push(batch));
  scene.commit(['/n/7/k7', 2]);
  await turn();
  ending[Symbol.dispose]();
  while (await turn());
  expect(ended.map(({ initial }) => initial)).toEqual([true]);
  expect(begun.map(({ initial, position, changes }) => [initial, position.revision, changes.length])).toEqual([
    [true, 1, COUNT],
    [false, 2, 1],
  ]);
  expect(begun[0]!.changes.every(({ after }) => after === 1)).toBe(true);
});

test('the state and a put above the pattern are told in steps, too; a slow listener does not hold up another', async () => {
  const { scene, turn } = slowScene({ n: Object.fromEntries(Array.from({ length: COUNT }, (_, index) => [`k${index}`, { a: 0 }])) });
  const wide: Batch[] = [];
  const narrow: Batch[] = [];
  scene.listen('/n/*/a', batch => void wide.push(batch));
  scene.listen('/n/k1/a', batch => void narrow.push(batch));
  await turn();
  expect([wide.length, narrow.length]).toEqual([0, 1]);
  while (await turn());
  expect(wide[0]!.changes.length).toBe(COUNT);
  scene.commit(['/n', Object.fromEntries(Array.from({ length: COUNT }, (_, index) => [`k${index}`, { a: index % 2 }]))]);
  await turn();
  expect([wide.length, narrow.length]).toEqual([1, 2]);
  while (await turn());
  expect(wide[1]!.changes.length).toBe(COUNT / 2);
  expect(wide[1]!.changes.every(({ before, after, type }) => before === 0 && after === 1 && type === 'write')).toBe(true);
});

test('batches are not merged into the one that is being made, only those behind it', async () => {
  const { scene, turn } = slowScene({ n: {} });
  const batches: Batch[] = [];
  scene.listen('/n/*/*', batch => void batches.push(batch));
  while (await turn());
  scene.commit(...puts(1));
  await turn();
  for (let n = 0; n < 1_500; n++) scene.commit(['/n/7/k7', n + 2]);
  while (await turn());
  expect(batches.map(({ from, position }) => [from.revision, position.revision]).slice(0, 2)).toEqual([
    [0, 0],
    [0, 1],
  ]);
  expect(batches.slice(2).reduce((sum, { merged }) => sum + merged, 0)).toBe(1_500);
  expect(batches.length).toBeLessThan(510);
  expect(batches.at(-1)!.changes[0]!.after).toBe(1_501);
});

test('a listener that ends in the middle of its batch gets no call, however little of the batch is left', async () => {
  let turnsOfOne = 0;
  for (let last = Infinity; last > 0; last = last === Infinity ? turnsOfOne - 1 : last - 1) {
    const { scene, turn } = slowScene({ n: {} });
    const batches: Batch[] = [];
    const listening = scene.listen('/n/*', batch => void batches.push(batch));
    while (await turn());
    scene.commit(...Array.from({ length: 2_000 }, (_, index) => [`/n/k${index}`, index] as const));
    let turns = 0;
    while (batches.length === 1 && turns < last) {
      await turn();
      turns++;
    }
    if (last === Infinity) turnsOfOne = turns;
    listening[Symbol.dispose]();
    while (await turn());
    expect(batches).toHaveLength(last === Infinity ? 2 : 1);
  }
  expect(turnsOfOne).toBeGreaterThan(2);
});

test('a merged batch has the operations of a path in their order, those above it that came several times too', async () => {
  const { scene, turn } = slowScene({ d: { x: { n: 0 } } }, 1);
  const batches: Batch[] = [];
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  scene.listen('/*/x', batch => {
    batches.push(batch);
    return held;
  });
  while (await turn());
  scene.commit(['/d', { x: { n: 1 } }]);
  scene.commit(['/d/x/n', 2]);
  for (let n = 0; n < 20; n++) scene.commit(['/d', { x: { n } }]);
  scene.commit(['/d/x/n', -1]);
  letGo();
  await held;
  while (await turn());
  const told = batches
    .slice(1)
    .flatMap(({ changes }) => changes.flatMap(({ operations }) => operations!.map(({ path }) => path.join('/'))));
  expect(told).toEqual(['d', 'd/x/n', ...Array.from({ length: 20 }, () => 'd'), 'd/x/n']);
});

/** The pauses of a batch's making. */
function pausesOf(steps: Generator): number {
  let pauses = 0;
  while (steps.next().done !== true) pauses++;
  return pauses;
}

test('looking at many children, operations or paths is done in steps, also where nothing of it is told', () => {
  const { scene } = slowScene({ n: Object.fromEntries(Array.from({ length: COUNT }, (_, index) => [`k${index}`, { a: 0 }])) });
  const none: Pattern = ['n', any, 'none'];
  const before = scene.tree.pin();
  expect(pausesOf(presentState(none, before))).toBeGreaterThan(15);
  const operations = Array.from({ length: COUNT }, (_, index): Operation => ({ type: 'put', path: ['n', `k${index}`, 'a'], value: 1 }));
  for (const { path } of operations) scene.tree.put(path, 1);
  const after = scene.tree.pin();
  expect(pausesOf(modificationsOf(none, { before, after, operations: undefined }))).toBeGreaterThan(15);
  // One place for all operations, one for each, and places without a look for them.
  expect(pausesOf(modificationsOf(['n'], { before, after, operations }))).toBeGreaterThan(60);
  expect(pausesOf(modificationsOf(['n', any, 'a'] as Pattern, { before, after, operations }))).toBeGreaterThan(120);
});
