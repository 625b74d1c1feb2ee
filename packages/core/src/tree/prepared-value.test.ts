import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../../../test/support/stores.ts';
import { onTree } from '../../test/on-tree.ts';
import { exportValue, importValue, measure, sameSteps, sameValue } from './content.ts';
import { EvertreeError } from '../errors.ts';
import type { Path } from './path.ts';
import { type PreparedValue, prepareValue, STEP_MEMBERS, type PreparationHints } from './prepared-value.ts';
import type { Store } from '../store/store.ts';
import { digestOf, Tree } from './tree.ts';
import type { Value } from './value.ts';

function prepare(value: unknown, path: Path, hints?: PreparationHints): { readonly prepared: PreparedValue; readonly pauses: number } {
  const steps = prepareValue(value, path, hints);
  for (let pauses = 0; ; pauses++) {
    const step = steps.next();
    if (step.done === true) return { prepared: step.value, pauses };
  }
}

/** What steps return. */
function finish<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** What is put, or the error. */
function outcome(run: () => unknown): unknown {
  try {
    return { value: run() };
  } catch (error) {
    if (!(error instanceof EvertreeError)) throw error;
    return { code: error.code, message: error.message, details: error.details };
  }
}

const wide = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, { n }]));

/** JSON, and sometimes what JSON does not have. */
const { value } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.oneof(fc.constantFrom(null, true, 0, -0, 1.5), fc.string({ unit: 'grapheme' }), fc.integer()),
    { weight: 3, arbitrary: fc.array(tie('value'), { maxLength: 4 }) },
    {
      weight: 3,
      arbitrary: fc
        .array(fc.tuple(fc.constantFrom('a', 'b', '', '/', '__proto__', 'constructor', '7', 'ключ'), tie('value')), { maxLength: 5 })
        .map(entries => Object.fromEntries(entries)),
    },
    fc.constantFrom(
      wide(40),
      Array.from({ length: 40 }, (_, n) => ({ n })),
    ),
  ),
}));
const wrong = fc.constantFrom<unknown>(Number.NaN, undefined, '\ud800', new Date(0), { '\ud800': 1 }, Array(2), new Map(), {
  [Symbol('s')]: 1,
});

describe('a prepared value', () => {
  it('is what put makes of the value: content, digest and size', () => {
    fc.assert(
      fc.property(value, item => {
        const child = prepare(item, ['at']).prepared;
        const trees = [new Tree(), new Tree()] as const;
        trees[0].put(['at'], importValue(item, ['at'], trees[0].generation));
        const taken = child.take(['at']);
        expect(child.bytes).toBe(measure(taken));
        trees[1].put(['at'], taken);
        expect(exportValue(trees[1].root)).toEqual(exportValue(trees[0].root));
        expect(trees[1].digest()).toBe(trees[0].digest());
      }),
      { numRuns: 500 },
    );
  });

  it('carries the error of put, which names the same place', () => {
    fc.assert(
      fc.property(value, wrong, fc.constantFrom('object', 'array', 'deep'), (item, bad, kind) => {
        const whole = kind === 'object' ? { item, bad } : kind === 'array' ? [item, { bad: [bad] }] : { item: [{ bad }], rest: { bad } };
        const { prepared } = prepare(whole, ['at', 'x/y']);
        expect(outcome(() => prepared.take(['at', 'x/y']))).toEqual(outcome(() => importValue(whole, ['at', 'x/y'], 1)));
      }),
    );
  });

  it('is refused in the same words if it contains itself, or nests too deep', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = [cycle];
    let deep: unknown = {};
    for (let level = 0; level < 1_000; level++) deep = level % 2 === 0 ? [deep] : { deep };
    for (const item of [cycle, deep]) {
      expect(outcome(() => prepare(item, ['at']).prepared.take(['at']))).toEqual(outcome(() => importValue(item, ['at'], 1)));
    }
  });

  it('pauses after a bounded count of members, in wide objects, in arrays, and in what nests', () => {
    const item = { wide: wide(20_000), list: Object.values(wide(20_000)), nested: { list: [wide(20_000)] } };
    const { pauses } = prepare(item, []);
    // Each of the three has 20,000 members with one member each.
    expect(pauses).toBeGreaterThanOrEqual(Math.floor((3 * 40_000) / STEP_MEMBERS));
  });

  it('pauses for text as well', () => {
    const texts = Array.from({ length: 100 }, () => 'x'.repeat(64 * 1024));
    expect(prepare(texts, []).pauses).toBeGreaterThanOrEqual(50);
  });

  it('takes the keys of large objects from a caller who knows them', () => {
    const item = wide(1_000);
    const asked: object[] = [];
    const hints = { keysOf: (object: object) => (asked.push(object), object === item ? Object.keys(item) : undefined) };
    const { prepared } = prepare(item, [], hints);
    expect(digestOf(prepared.take([]))).toBe(digestOf(importValue(item, [], 1)));
    expect(asked).toHaveLength(1_001);
  });

  it('can be put once, and at its path only', async () => {
    await using store = (await memoryStore()).store;
    const { prepared } = prepare({ a: 1 }, ['x']);
    expect(() => store.put('/y', prepared)).toThrow('this value was prepared for "/x", and can\'t be put at "/y"');
    store.put('/x', prepared);
    expect(() => store.put('/x', prepared)).toThrow('this prepared value was put already');
    expect(() => store.transact(tx => tx.put('/x', prepared))).toThrow('this prepared value was put already');
    expect(store.get('')).toEqual({ x: { a: 1 } });
  });

  it('is no value of its own: what does not know it refuses it', async () => {
    await using store = (await memoryStore()).store;
    const { prepared } = prepare({ a: 1 }, ['x']);
    expect(() => store.put('/x', { inside: prepared })).toThrow('is a PreparedValue');
    expect(() => store.put('/x', [prepared])).toThrow('is a PreparedValue');
  });

  it('can be put after commits and pins that came while it was prepared, and changes like any other', async () => {
    await using store = (await memoryStore()).store;
    await using other = (await memoryStore()).store;
    const item = { wide: wide(3_000), list: [1, { a: 2 }] };
    const steps = prepareValue(item, ['x']);
    let step = steps.next();
    for (let n = 0; step.done !== true; n++, step = steps.next()) {
      store.put('/other', n);
      using snapshot = store.snapshot();
      expect(snapshot.position.revision).toBeGreaterThan(0);
    }
    store.put('/x', step.value);
    using before = store.snapshot();
    const beforeDigest = before.digestAt(['x']);
    for (const each of [store, other]) {
      if (each === other) each.put('/x', item);
      each.put('/x/wide/k7/n', 'changed');
      each.delete('/x/wide/k8');
      each.put('/x/wide/new', { a: 1 });
    }
    expect(store.digestAt(['x'])).toBe(other.digestAt(['x']));
    expect(before.digestAt(['x'])).toBe(beforeDigest);
    expect(store.get('/x')).toEqual(other.get('/x'));
  });

  it.each<[string, Path]>([
    ['a subtree', ['x']],
    ['the root', []],
  ])('is taken back with its transaction: %s', async (_name, path) => {
    await using store = (await memoryStore()).store;
    store.put('', { x: { old: 1 }, y: 2 });
    const digest = store.digestAt([]);
    for (const more of [false, true]) {
      const { prepared } = prepare({ wide: wide(50) }, path);
      const run = (): unknown =>
        store.transact(tx => {
          tx.put(path, prepared);
          if (more) tx.put([...path, 'wide', 'k1'], 1);
          throw new Error('no');
        });
      expect(run).toThrow('no');
      expect([store.get(''), store.digestAt([])]).toEqual([{ x: { old: 1 }, y: 2 }, digest]);
    }
  });

  it('changes nothing if its content stands there already', () => {
    const item = { wide: wide(50), list: [1] };
    const { prepared } = prepare(item, ['at', 'x']);
    const { operations } = onTree({ at: { x: item } }, tx => tx.put(['at', 'x'], prepared));
    expect(operations).toEqual([]);
  });
});

const items = (last: number): Value[] => [...Array.from({ length: 10_000 }, (_, n) => ({ n, tags: [n, 'x'] })), { n: last, tags: [] }];

/** Prepares an array, lets others commit, and puts it. */
async function put(
  stands: Value | undefined,
  item: Value,
  meanwhile?: (store: Store) => void,
): Promise<{ changed: boolean; sameArray: boolean }> {
  await using store = (await memoryStore()).store;
  if (stands !== undefined) store.put('/x', stands);
  const before = store.get('/x');
  const prepared = finish(prepareValue(item, ['x'], { standing: () => store.get('/x') }));
  meanwhile?.(store);
  const { changed } = store.put('/x', prepared);
  expect(store.get('/x')).toEqual(item);
  expect(store.digestAt(['x'])).toBe(digestOf(importValue(item, ['x'], 1)));
  return { changed, sameArray: store.get('/x') === before };
}

describe('a prepared array, and the array that stands at its path', () => {
  it('is that array if they are equal: nothing changes', async () => {
    expect(await put(items(1), items(1))).toEqual({ changed: false, sameArray: true });
    const standing = importValue(items(1), ['x'], 1);
    const prepared = finish(prepareValue(items(1), ['x'], { standing: () => standing }));
    expect(prepared.bytes).toBe(measure(standing));
    expect(prepared.take(['x'])).toBe(standing);
  });

  it.each<[string, Value | undefined]>([
    ['differs at the last item', items(2)],
    ['is shorter', items(1).slice(0, -1)],
    ['has an item with another key', [...items(1).slice(0, -1), { n: 1, tag: [] }]],
    ['has an item of another type', [...items(1).slice(0, -1), [1, []]]],
    ['is an object', Object.fromEntries(items(1).entries())],
    ['is missing', undefined],
  ])('is put if what stands %s', async (_name, stands) => {
    expect(await put(stands, items(1))).toEqual({ changed: true, sameArray: false });
  });

  it('changes nothing if an equal one took its place before the commit', async () => {
    const replace = (store: Store): void => {
      store.delete('/x');
      store.put('/x', items(1));
    };
    expect(await put(items(1), items(1), replace)).toEqual({ changed: false, sameArray: false });
  });

  it('is put if another value took its place before the commit', async () => {
    expect((await put(items(1), items(1), store => store.put('/x', items(2)))).changed).toBe(true);
    expect((await put(items(1), items(1), store => store.put('/x', { a: 1 }))).changed).toBe(true);
    expect((await put(items(1), items(1), store => store.delete('/x'))).changed).toBe(true);
  });

  it('is compared in steps', () => {
    const pauses = (standing: Value): number => {
      const steps = prepareValue(items(1), ['x'], { standing: () => standing });
      let count = 0;
      while (steps.next().done !== true) count++;
      return count;
    };
    // 10,000 items with 4 members each.
    expect(pauses(items(1)) - pauses([])).toBeGreaterThanOrEqual(Math.floor(40_000 / STEP_MEMBERS));
  });
});

describe('the comparison in steps', () => {
  it('finds what the one without pauses finds', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        for (const [left, right] of [
          [a, b],
          [a, structuredClone(a)],
          [
            [a, { b }],
            [structuredClone(a), { b: a }],
          ],
        ] as [Value, Value][]) {
          expect(finish(sameSteps(left, right))).toBe(sameValue(left, right));
        }
      }),
    );
  });

  it('takes only own members for members', () => {
    const ofPrototype = JSON.parse('{ "__proto__": {} }') as Value;
    expect(finish(sameSteps([ofPrototype], [{ a: 1 }]))).toBe(false);
    expect(finish(sameSteps([ofPrototype], [JSON.parse('{ "__proto__": {} }') as Value]))).toBe(true);
  });
});
