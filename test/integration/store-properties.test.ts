import { decodeChangeSets, type Frame, type Path, type Store, type Transaction, type Value } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

const key = fc.oneof(
  fc.constantFrom('a', 'b', '', '/', '~', '__proto__', 'constructor', '0', '🌲'),
  fc.integer({ min: 0, max: 40 }).map(n => `k${n}`),
);
const path = fc.array(key, { minLength: 1, maxLength: 3 });
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: 'grapheme' }),
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map(entries => Object.fromEntries(entries) as Value),
    fc.constant(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, n])) as Value),
  ),
}));

type Operation = (tx: Transaction) => void;
interface Step {
  readonly operations: readonly Operation[];
  readonly fails: boolean;
  readonly cut: boolean;
  readonly pin: boolean;
}

function stepsOf(at: fc.Arbitrary<Path>, item: fc.Arbitrary<Value>, maxLength: number): fc.Arbitrary<Step[]> {
  const write = fc.tuple(at, item);
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    {
      weight: 5,
      arbitrary: write.map(
        ([place, written]) =>
          (tx: Transaction) =>
            tx.put(place, written),
      ),
    },
    { weight: 3, arbitrary: at.map(place => (tx: Transaction) => tx.delete(place)) },
    {
      weight: 2,
      arbitrary: write.map(
        ([place, written]) =>
          (tx: Transaction) =>
            tx.merge(place, written),
      ),
    },
    {
      weight: 1,
      arbitrary: write.map(
        ([place, written]) =>
          (tx: Transaction) =>
            tx.replace(place, written),
      ),
    },
    {
      weight: 1,
      arbitrary: at.map(
        place => (tx: Transaction) =>
          tx.update(place, (draft: Value | undefined) => (draft === undefined ? { made: [] } : undefined) as never),
      ),
    },
    // Writes that leave nothing, so that of several operations a few are left, or one.
    { weight: 1, arbitrary: at.map(place => (tx: Transaction) => restore(tx, place, tx.get(place))) },
    {
      weight: 2,
      arbitrary: write.map(
        ([place, written]) =>
          (tx: Transaction) =>
            writeAndRestore(tx, place, written),
      ),
    },
  );
  const step: fc.Arbitrary<Step> = fc.record({
    operations: fc.array(operation, { minLength: 1, maxLength: 5 }),
    fails: fc.integer({ min: 0, max: 5 }).map(n => n === 0),
    cut: fc.integer({ min: 0, max: 3 }).map(n => n === 0),
    pin: fc.boolean(),
  });
  return fc.array(step, { maxLength });
}

function restore(tx: Transaction, at: Path, present: Value | undefined): void {
  if (present === undefined) tx.delete(at);
  else tx.put(at, present);
}

function writeAndRestore(tx: Transaction, at: Path, item: Value): void {
  const present = tx.get(at);
  tx.put(at, item);
  restore(tx, at, present);
}

const wideWorld = stepsOf(path, value, 25);
/**
 * So few places and values that operations meet: the same node named, replaced, deleted and made again in one frame.
 */
const smallWorld = stepsOf(
  fc.array(fc.constantFrom('a', 'b'), { minLength: 0, maxLength: 3 }),
  fc.constantFrom<Value>(0, 1, {}, { a: 0 }, { a: { b: 0 } }, { a: {}, b: { a: 1 } }),
  12,
);

/** Keys in order, so that equal trees have equal texts. */
function text(of: Store | Value): string {
  const plain = (of as Store).get === undefined || typeof (of as Store).get !== 'function' ? (of as Value) : (of as Store).get('')!;
  return JSON.stringify(plain, (_, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    const entries = Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1));
    return ['{}', ...entries];
  });
}

function run(store: Store, { operations, fails, cut, pin }: Step): void {
  const before = text(store);
  const { position } = store;
  let finished = false;
  try {
    store.transact(tx => {
      for (const each of operations) each(tx);
      finished = true;
      if (fails) throw new Error('given up');
    });
    expect(text(store) === before).toBe(store.position.revision === position.revision);
  } catch (error) {
    // Through a leaf, into an array, or given up: nothing is left of it.
    if (finished && !fails) throw error;
    expect([text(store), store.position]).toEqual([before, position]);
  }
  if (cut) store.cut();
  if (pin) store.snapshot();
}

/** Applies change sets to a plain value, as FORMAT.md tells a reader to. */
function fold(frames: readonly Frame[]): Value {
  let root: unknown = {};
  for (const frame of frames) {
    for (const { operations } of decodeChangeSets(frame)) {
      for (const { type, path: at, ...rest } of operations)
        root = folded(root, at, type === 'put' ? (rest as { value: Value }).value : undefined);
    }
  }
  return root as Value;
}

function folded(node: unknown, at: Path, item: Value | undefined): unknown {
  const [first, ...below] = at;
  if (first === undefined) return item;
  const entries = new Map(Object.entries(node ?? {}));
  const child = folded(entries.get(first), below, item);
  if (child === undefined) entries.delete(first);
  else entries.set(first, child);
  return Object.fromEntries(entries);
}

describe.each(['binary', 'json'] as const)('after any transactions, with %s frames,', encoding => {
  it('replay, a secondary (with listeners and without) and a restart give the same tree and digest', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 1, arbitrary: wideWorld }, { weight: 4, arbitrary: smallWorld }),
        fc.boolean(),
        async (steps, listens) => {
          const disk = new FaultDisk();
          const { store } = await diskStore(disk, { encoding });
          if (listens) store.listen('/a', () => undefined);
          for (const one of steps) run(store, one);
          await store.flush();
          const frames = await framesOf(store.journal);
          expect(text(fold(frames))).toBe(text(store));
          await using plain = (await memoryStore({ role: 'secondary' })).store;
          await using observed = (await memoryStore({ role: 'secondary' })).store;
          observed.listen('', () => undefined);
          for (const frame of frames) {
            plain.applyFrame(frame);
            observed.applyFrame(frame);
          }
          await store.close();
          await using again = (await diskStore(disk.crash(), { encoding })).store;
          for (const other of [plain, observed, again]) {
            expect(text(other)).toBe(text(store));
            expect([other.digest, other.position, other.stream, other.epochs]).toEqual([
              store.digest,
              store.position,
              store.stream,
              store.epochs,
            ]);
          }
        },
      ),
      { numRuns: 250 },
    );
  });
});

describe('a snapshot', () => {
  it('stays what it was, whatever is committed after it, and makes the same tree elsewhere', async () => {
    await fc.assert(
      fc.asyncProperty(stepsOf(path, value, 12), stepsOf(path, value, 12), async (before, after) => {
        await using store = (await memoryStore()).store;
        for (const one of before) run(store, one);
        using snapshot = store.snapshot();
        const then = text(store);
        for (const one of after) run(store, one);
        expect(text(snapshot.get('')!)).toBe(then);
        await using other = (await memoryStore({ role: 'secondary' })).store;
        const receiver = await other.receiveSnapshot(snapshot.header);
        for (const chunk of snapshot.chunks()) await receiver.add(chunk);
        await receiver.finish();
        expect(text(other)).toBe(then);
        expect([other.digest, other.position]).toEqual([snapshot.header.digest, snapshot.position]);
      }),
      { numRuns: 80 },
    );
  });
});

describe('after a loss of power at any moment', () => {
  it('a site has every commit that it called durable, and a prefix of the others', async () => {
    await fc.assert(
      fc.asyncProperty(
        stepsOf(path, value, 20).filter(steps => steps.length > 0),
        fc.nat(),
        fc.nat({ max: 60 }),
        async (steps, seed, after) => {
          let state = (seed % 2_147_483_646) + 1;
          const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
          const disk = new FaultDisk();
          const { store } = await diskStore(disk, { limits: { frameBytes: 256 } });
          const texts = new Map<number, string>([
            [0, text({})],
            [1, text({})],
          ]);
          disk.dieAfter(after);
          let durable = 0;
          for (const one of steps) {
            if (store.state !== 'open') break;
            run(store, { ...one, pin: false });
            texts.set(store.position.revision, text(store));
            if (random() < 0.5)
              await store.flush().then(
                () => (durable = store.stable.position.revision),
                () => undefined,
              );
          }
          const found = disk.powerLoss(random);
          await store.close().catch(() => undefined);
          await using again = (await diskStore(found)).store;
          expect(again.position.revision).toBeGreaterThanOrEqual(durable);
          expect(text(again)).toBe(texts.get(again.position.revision));
        },
      ),
      { numRuns: 150 },
    );
  });
});
