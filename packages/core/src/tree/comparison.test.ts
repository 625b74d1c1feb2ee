import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareTrees, type DigestSource, type TreeDifference } from './comparison.ts';
import { answerDigestQuery, type DigestAnswer, type DigestQuery, LISTED_LIMIT } from './digest-query.ts';
import { hashKey, lanes } from './digest.ts';
import { importValue, sameValue } from './content.ts';
import { formatPath } from './path.ts';
import { Tree } from './tree.ts';
import type { Value } from './value.ts';

type Content = { readonly [key: string]: Value };

/** A tree that answers, and counts what it was asked. */
class Answering implements DigestSource {
  readonly digest: string;
  readonly queries: DigestQuery[] = [];
  readonly answers: DigestAnswer[] = [];
  readonly #tree: Tree;
  readonly #most: number;

  /** @param most queries that are answered at once */
  constructor(tree: Tree, most = Infinity) {
    this.#tree = tree;
    this.#most = most;
    this.digest = tree.digest();
  }

  static of(content: Content, most?: number): Answering {
    const tree = new Tree();
    tree.put([], importValue(content, [], tree.generation));
    return new Answering(tree, most);
  }

  ask(queries: readonly DigestQuery[]): Promise<readonly DigestAnswer[]> {
    const root = this.#tree.pin();
    const answers = queries.slice(0, this.#most).map(query => {
      this.queries.push(query);
      const steps = answerDigestQuery(root, query);
      for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
    });
    this.answers.push(...answers);
    return Promise.resolve(answers);
  }
}

async function differencesOf(ours: DigestSource, theirs: DigestSource): Promise<{ found: string[]; digests: number }> {
  const found: TreeDifference[] = [];
  const { digests } = await compareTrees(ours, theirs, difference => found.push(difference));
  return { found: found.map(({ path, kind }) => `${kind} ${formatPath(path)}`).toSorted(), digests };
}

function isObject(value: Value): value is Content {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The same by looking at all of both trees. */
function expected(ours: Content, theirs: Content, above = ''): string[] {
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])]
    .flatMap(key => {
      const path = above + formatPath([key]);
      const [a, b] = [ours, theirs].map(side => (Object.hasOwn(side, key) ? side[key] : undefined));
      if (a === undefined) return [`missing ${path}`];
      if (b === undefined) return [`extra ${path}`];
      if (isObject(a) && isObject(b)) return expected(a, b, path);
      return sameValue(a, b) ? [] : [`changed ${path}`];
    })
    .toSorted();
}

const key = fc.oneof(
  fc.constantFrom('', '/', '~', '~1', '😀', '__proto__', 'constructor', '.', '0', ' '),
  fc.string({ unit: 'binary', maxLength: 4 }).filter(text => text.isWellFormed()),
);
const leaf = fc.constantFrom<Value>(null, true, 0, 1, '', '1', [], [1, { a: {} }], 0.5);

const { content } = fc.letrec<{ value: Value; content: Content }>(tie => ({
  value: fc.oneof({ maxDepth: 4 }, leaf, tie('content')),
  content: fc.oneof(
    fc.dictionary(key, tie('value'), { maxKeys: 6 }),
    // Wide, so that groups are asked for; sometimes just about as wide as what is still listed.
    fc
      .record({
        base: fc.integer({ min: LISTED_LIMIT - 3, max: 4 * LISTED_LIMIT }),
        some: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      })
      .map(({ base, some }) => ({ ...Object.fromEntries(Array.from({ length: base }, (_, at) => [`k${at}`, at % 3])), ...some })),
  ),
}));

/** An object of 200,000 children, some of them changed. */
function wide(changed: readonly number[]): Answering {
  const list = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`device-${at}`, at]));
  for (const at of changed) list[`device-${at}`] = -1;
  return Answering.of({ list, other: { a: 1 } });
}

describe('comparing two trees', () => {
  it('finds exactly the paths that differ, whatever the trees', async () => {
    await fc.assert(
      fc.asyncProperty(content, content, fc.integer({ min: 1, max: 5 }), async (ours, theirs, most) => {
        const { found } = await differencesOf(Answering.of(ours, most), Answering.of(theirs));
        expect(found).toEqual(expected(ours, theirs));
      }),
      { numRuns: 300 },
    );
  });

  it('finds exactly what a few changes changed', async () => {
    const change = fc.record({ pick: fc.nat(), value: fc.option(leaf, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(content, fc.array(change, { maxLength: 4 }), async (ours, changes) => {
        const theirs = structuredClone<{ [key: string]: Value }>(ours);
        for (const { pick, value } of changes) {
          const keys = Object.keys(theirs);
          const chosen = keys.length === 0 ? 'new' : keys[pick % keys.length]!;
          if (value === undefined) delete theirs[chosen];
          else Object.defineProperty(theirs, chosen, { value, enumerable: true, configurable: true, writable: true });
        }
        const { found } = await differencesOf(Answering.of(ours), Answering.of(theirs));
        expect(found).toEqual(expected(ours, theirs));
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, Content, Content, string[]]>([
    ['equal trees', { a: { b: 1 } }, { a: { b: 1 } }, []],
    ['one tree empty', {}, { a: { b: 1 }, c: [] }, ['missing /a', 'missing /c']],
    ['the other empty', { a: { b: 1 } }, {}, ['extra /a']],
    ['a leaf against an object', { a: 1 }, { a: { b: 1 } }, ['changed /a']],
    ['an empty object against an empty array', { a: {} }, { a: [] }, ['changed /a']],
    ['keys that are odd', { '': { '/': 1, '~': { '😀': 1 } } }, { '': { '/': 2, '~': { '😀': 2 } } }, ['changed //~0/😀', 'changed //~1']],
    ['inside an array, which is one value', { a: [{ b: 1 }] }, { a: [{ b: 2 }] }, ['changed /a']],
  ])('of %s', async (_, ours, theirs, differences) => {
    expect((await differencesOf(Answering.of(ours), Answering.of(theirs))).found).toEqual(differences);
  });

  it('asks nothing when the digests are equal', async () => {
    const [ours, theirs] = [Answering.of({ a: { b: 1 } }), Answering.of({ a: { b: 1 } })];
    expect(await differencesOf(ours, theirs)).toEqual({ found: [], digests: 0 });
    expect([...ours.queries, ...theirs.queries]).toEqual([]);
  });

  it('of an object of 200,000 children is answered with digests for the difference, not for the width', async () => {
    const plain = wide([]);
    const one = await differencesOf(wide([77_777]), plain);
    expect(one.found).toEqual(['changed /list/device-77777']);
    // Of each tree the root, three levels of groups, and the last group's children.
    expect(one.digests).toBeLessThanOrEqual(2 * (2 + 3 * 32 + LISTED_LIMIT));
    const hundred = await differencesOf(wide(Array.from({ length: 100 }, (_, at) => at * 1_999)), plain);
    expect(hundred.found).toHaveLength(100);
    expect(hundred.digests).toBeLessThanOrEqual(100 * one.digests);
  });

  it('does not depend on how a tree came about: also a wide object that lost most of its children', async () => {
    const tree = new Tree();
    for (let at = 0; at < 5_000; at++) tree.put(['list', `k${at}`], at);
    for (let at = 10; at < 5_000; at++) tree.delete(['list', `k${at}`]);
    const list = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`k${at}`, at]));
    expect((await differencesOf(new Answering(tree), Answering.of({ list }))).found).toEqual(['missing /list/k10']);
  });

  it('lists long keys in pages', async () => {
    const long = 'x'.repeat(60_000);
    const keys = Array.from({ length: 40 }, (_, at) => long + String(at).padStart(2, '0'));
    const ours = Answering.of({ list: Object.fromEntries(keys.map(name => [name, 1])) });
    const theirs = Answering.of({ list: Object.fromEntries(keys.map((name, at) => [name, at === 39 ? 2 : 1])) });
    expect((await differencesOf(ours, theirs)).found).toEqual([`changed /list/${keys[39]}`]);
    const pages = ours.answers.filter(answer => 'children' in answer && answer.next !== undefined);
    expect(pages.length).toBeGreaterThanOrEqual(40 / 5);
  });

  it('groups children by the low lane of the hash of their keys, five bits a digit, as HTTP.md says', async () => {
    const ours = Answering.of(Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`k${at}`, at])));
    const [answer] = await ours.ask([{ path: [], group: '' }]);
    const groups = answer !== undefined && 'groups' in answer ? answer.groups : [];
    const counts = new Map<number, number>();
    for (let at = 0; at < 100; at++) {
      hashKey(`k${at}`);
      counts.set(lanes.lo & 31, (counts.get(lanes.lo & 31) ?? 0) + 1);
    }
    expect(groups.map(({ group, count }) => [Number.parseInt(group, 32), count])).toEqual([...counts].toSorted(([a], [b]) => a - b));
  });

  it('refuses answers that lead nowhere', async () => {
    const silent: DigestSource = { digest: 'x', ask: () => Promise.resolve([]) };
    await expect(compareTrees(silent, Answering.of({ a: 1 }), () => undefined)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
    const circling: DigestSource = { digest: 'x', ask: queries => Promise.resolve(queries.map(() => ({ children: [], next: 'a' }))) };
    await expect(compareTrees(circling, Answering.of({ a: 1 }), () => undefined)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});
