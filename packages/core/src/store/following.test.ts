import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { stillClock } from '../../../../test/support/host.ts';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { EvertreeError } from '../errors.ts';
import type { PreparedFrame } from './following.ts';
import type { Frame } from '../frames/frame.ts';
import type { Store } from './store.ts';

/** Applies a frame ahead. @param meanwhile is called in each pause */
function preparedFrame(store: Store, frame: Frame, meanwhile: () => void = () => undefined): PreparedFrame {
  const preparation = store.prepareFrame(frame);
  for (;;) {
    const step = preparation.next();
    if (step.done === true) return step.value;
    meanwhile();
  }
}

const code = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof EvertreeError) return error.code;
    throw error;
  }
};

const key = fc.constantFrom('a', 'b', 'c');
const write = fc.record({
  path: fc.array(key, { minLength: 1, maxLength: 3 }),
  value: fc.option(
    fc.oneof(fc.integer(), fc.constantFrom([1, [2]], {}, { a: { b: [3] } }, 'x'.repeat(20_000), 'y'.repeat(70_000), ['z'.repeat(70_001)])),
    { nil: undefined },
  ),
});
const act = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('commit' as const), writes: fc.array(write, { minLength: 1, maxLength: 5 }) }) },
  fc.record({ type: fc.constant('mark' as const), name: key }),
  fc.record({ type: fc.constant('epoch' as const) }),
  fc.record({ type: fc.constant('cut' as const) }),
);

test('frames that are prepared make of a store what they make of it in one go', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 1, maxLength: 8 }),
      fc.constantFrom('binary' as const, 'json' as const),
      fc.boolean(),
      async (acts, encoding, listens) => {
        await using primary = (await memoryStore({ encoding })).store;
        await using whole = (await memoryStore({ role: 'secondary', site: 's', clock: stillClock })).store;
        await using stepped = (await memoryStore({ role: 'secondary', site: 's', clock: stillClock })).store;
        let number = 2;
        for (const each of acts) {
          if (each.type === 'cut') primary.cut();
          else if (each.type === 'mark') code(() => primary.mark(each.name));
          else if (each.type === 'epoch') code(() => primary.beginEpoch({ number: number++, id: '00000000000000aa' }, 'test'));
          else {
            code(() =>
              primary.transact(tx => {
                for (const { path, value } of each.writes) code(() => (value === undefined ? tx.delete(path) : tx.put(path, value)));
              }),
            );
          }
        }
        await primary.flush();
        const told: [string[], string[]] = [[], []];
        for (const [index, store] of [whole, stepped].entries()) {
          store.on('advanced', () => told[index]!.push(`advanced ${store.position.revision}`));
          if (!listens) continue;
          for (const pattern of ['/a', '/b/*']) store.listen(pattern, batch => void told[index]!.push(JSON.stringify(batch)));
        }
        for (const frame of await framesOf(primary.journal)) {
          const trailer = Uint8Array.of(frame.header.count);
          whole.applyFrame(frame, trailer);
          const prepared = preparedFrame(stepped, frame);
          expect(stepped.isFrameCurrent(prepared)).toBe(true);
          stepped.applyPrepared(prepared, trailer);
          expect(stepped.get('')).toEqual(whole.get(''));
          await new Promise(resolve => setImmediate(resolve));
        }
        await Promise.all([whole.flush(), stepped.flush()]);
        await new Promise(resolve => setTimeout(resolve));
        expect(told[1]).toEqual(told[0]);
        for (const each of ['position', 'digest', 'stream', 'epochs', 'marks', 'stable'] as const)
          expect(stepped[each]).toEqual(whole[each]);
        expect(stepped.snapshot().header).toEqual(whole.snapshot().header);
        expect((await framesOf(stepped.journal)).map(({ bytes }) => bytes)).toEqual(
          (await framesOf(whole.journal)).map(({ bytes }) => bytes),
        );
      },
    ),
    { numRuns: 200 },
  );
});

/** Frames of a primary, and a secondary that has all but the last one, which is large. */
let frames: Frame[];
let store: Store;

beforeEach(async () => {
  await using primary = (await memoryStore()).store;
  primary.put('/n', 1);
  primary.cut();
  primary.put('/large', Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { index }])));
  await primary.flush();
  frames = await framesOf(primary.journal);
  store = (await memoryStore({ role: 'secondary' })).store;
  for (const frame of frames.slice(0, -1)) store.applyFrame(frame);
});

test('readers see nothing of a frame before it is taken, and nothing is left of one that is given up', async () => {
  const { digest, position } = store;
  const prepared = preparedFrame(store, frames.at(-1)!, () => expect([store.get(''), store.digest]).toEqual([{ n: 1 }, digest]));
  store.prepareFrame(frames.at(-1)!).next();
  expect([store.get(''), store.digest, store.position]).toEqual([{ n: 1 }, digest, position]);
  expect(await framesOf(store.journal)).toHaveLength(frames.length - 1);
  store.applyPrepared(prepared);
  expect(store.digest).toBe(frames.at(-1)!.header.digest);
});

test('a frame that came otherwise meanwhile makes its preparation void', () => {
  const prepared = preparedFrame(store, frames.at(-1)!);
  store.applyFrame(frames.at(-1)!);
  expect(store.isFrameCurrent(prepared)).toBe(false);
  expect(code(() => store.applyPrepared(prepared))).toBe('HISTORY_MISMATCH');
  expect(store.digest).toBe(frames.at(-1)!.header.digest);
});

test('a promotion makes a preparation void, whatever became of it', () => {
  const prepared = preparedFrame(store, frames.at(-1)!);
  store.beginEpoch({ number: 2, id: '00000000000000bb' }, 'test');
  expect(store.isFrameCurrent(prepared)).toBe(false);
  expect(code(() => store.applyPrepared(prepared))).toBe('WRONG_ROLE');
  expect(code(() => store.prepareFrame(frames.at(-1)!).next())).toBe('WRONG_ROLE');
  expect(store.get('')).toEqual({ n: 1 });
});

test('a rewind makes a preparation void', async () => {
  await store.flush();
  const prepared = preparedFrame(store, frames.at(-1)!);
  await store.rewind(frames[0]!.header.last);
  expect(store.isFrameCurrent(prepared)).toBe(false);
  expect(code(() => store.applyPrepared(prepared))).toBe('HISTORY_MISMATCH');
  expect(store.get('')).toEqual({});
});

test('nothing is taken of a frame after the store closed', async () => {
  const prepared = preparedFrame(store, frames.at(-1)!);
  await store.close();
  expect(code(() => store.applyPrepared(prepared))).toBe('CLOSED');
});

test('a listener that came meanwhile makes a preparation void, and hears of the frame all the same', async () => {
  const heard: number[] = [];
  const listen = () => store.listen('/large/*', ({ changes }) => void heard.push(changes.length));
  listen();
  const prepared = preparedFrame(store, frames.at(-1)!);
  listen();
  expect(store.isFrameCurrent(prepared)).toBe(false);
  store.applyPrepared(prepared);
  await new Promise(resolve => setTimeout(resolve, 0));
  await expect.poll(() => heard).toEqual([0, 0, 5_000, 5_000]);
});

test.each([0, 1])('a listener hears of a frame in whichever pause of its preparation it came, beside %i others', async others => {
  for (let pauses = 0, isPassed = false; !isPassed; pauses++) {
    const secondary = (await memoryStore({ role: 'secondary' })).store;
    for (const frame of frames.slice(0, -1)) secondary.applyFrame(frame);
    const heard: number[] = [];
    const listen = () => secondary.listen('/large/*', ({ changes }) => void heard.push(changes.length));
    for (let other = 0; other < others; other++) listen();
    let left = pauses;
    const prepared = preparedFrame(secondary, frames.at(-1)!, () => void (left-- === 0 && listen()));
    isPassed = left >= 0;
    if (isPassed) listen();
    secondary.applyPrepared(prepared);
    const everybody = others + 1;
    await expect.poll(() => heard).toEqual([...Array<number>(everybody).fill(0), ...Array<number>(everybody).fill(5_000)]);
    await secondary.close();
  }
});

test('an array that a prepared frame replaces keeps the place of its key', async () => {
  await using primary = (await memoryStore()).store;
  await using secondary = (await memoryStore({ role: 'secondary', site: 's', clock: stillClock })).store;
  using _ = secondary.listen('/at', () => undefined);
  primary.put('/at', { list: [1], other: [2], last: 3 });
  primary.cut();
  primary.put('/at/list', [4]);
  primary.put('/at/other', { is: 5 });
  await primary.flush();
  for (const frame of await framesOf(primary.journal)) secondary.applyPrepared(preparedFrame(secondary, frame), undefined);
  expect(JSON.stringify(secondary.get('/at'))).toBe('{"list":[4],"other":{"is":5},"last":3}');
  expect(secondary.digest).toBe(primary.digest);
});
