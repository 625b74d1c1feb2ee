import {
  type ChildDigest,
  type DigestAnswer,
  type DigestQuery,
  digestOfList,
  groupBelow,
  type GroupDigest,
  type KeyGroup,
} from './digest-query.ts';
import { EvertreeError } from '../errors.ts';
import type { Path } from './path.ts';

/** Where two trees differ. */
export interface TreeDifference {
  readonly path: Path;
  /**
   * - `missing`: only the other tree has something there.
   * - `extra`: only this tree has.
   * - `changed`: both have, not the same, and not both an object: the differences of two objects are those below.
   */
  readonly kind: 'missing' | 'extra' | 'changed';
}

/** A tree that answers for its digests, here or far away. It does not change while it is asked. */
export interface DigestSource {
  /** Of the whole tree. */
  readonly digest: string;
  /** Answers the first queries, at least one, in order; those that it leaves are asked again. */
  ask(queries: readonly DigestQuery[]): Promise<readonly DigestAnswer[]>;
}

/** What was answered for a comparison: it grows with the number of differences and their depth, not with the trees. */
export interface ComparisonEffort {
  /** Digests that both sides sent. */
  readonly digests: number;
}

/** Queries that are asked at once. */
const QUERIES_LIMIT = 256;

/**
 * Finds every difference of two trees by descending from their roots where digests differ: `found` is called for each,
 * in no order.
 * @param doubtful objects that both trees have, to be compared child by child although their digests may be equal
 * @throws EvertreeError FORMAT_INVALID for answers that make no sense; what `ask` rejects with
 */
export async function compareTrees(
  ours: DigestSource,
  theirs: DigestSource,
  found: (difference: TreeDifference) => void,
  doubtful: readonly Path[] = [],
): Promise<ComparisonEffort> {
  const comparison = new Comparison(ours, theirs, found);
  if (ours.digest !== theirs.digest) comparison.descend([]);
  for (const path of doubtful) comparison.descend(path);
  await comparison.run();
  return comparison;
}

/** The children of one group of an object that both trees have. */
interface ComparisonStep {
  readonly path: Path;
  readonly group: KeyGroup;
  /** What is known already of either tree; undefined: it has to be asked. */
  readonly ours: readonly ChildDigest[] | undefined;
  readonly theirs: readonly ChildDigest[] | undefined;
}

class Comparison implements ComparisonEffort {
  digests = 0;
  readonly #ours: DigestSource;
  readonly #theirs: DigestSource;
  readonly #found: (difference: TreeDifference) => void;
  /** The last ones are taken first, so that what waits stays small. */
  readonly #steps: ComparisonStep[] = [];

  constructor(ours: DigestSource, theirs: DigestSource, found: (difference: TreeDifference) => void) {
    this.#ours = ours;
    this.#theirs = theirs;
    this.#found = found;
  }

  /** The objects at this path are to be compared, child by child. */
  descend(path: Path): void {
    this.#steps.push({ path, group: '', ours: undefined, theirs: undefined });
  }

  async run(): Promise<void> {
    while (this.#steps.length > 0) {
      const steps = this.#steps.splice(-QUERIES_LIMIT);
      const [ours, theirs] = await Promise.all([
        this.#answers(this.#ours, steps, step => step.ours),
        this.#answers(this.#theirs, steps, step => step.theirs),
      ]);
      for (const [index, step] of steps.entries()) this.#judge(step, ours[index]!, theirs[index]!);
    }
  }

  /** What is known of each step's children in one tree; what is not known yet is asked. */
  async #answers(
    source: DigestSource,
    steps: readonly ComparisonStep[],
    known: (step: ComparisonStep) => readonly ChildDigest[] | undefined,
  ): Promise<readonly DigestAnswer[]> {
    const asked = steps.filter(step => known(step) === undefined).map(({ path, group }) => ({ path, group }));
    const answers = (await this.#askAll(source, asked)).values();
    return steps.map(step => {
      const children = known(step);
      return children === undefined ? answers.next().value! : { children };
    });
  }

  /** Asks until every query has its whole answer. */
  async #askAll(source: DigestSource, queries: readonly DigestQuery[]): Promise<readonly DigestAnswer[]> {
    const whole = queries.map((): DigestAnswer => ({ children: [] }));
    let left: { readonly index: number; readonly query: DigestQuery }[] = queries.map((query, index) => ({ index, query }));
    while (left.length > 0) {
      const answers = await source.ask(left.map(({ query }) => query));
      if (answers.length === 0 || answers.length > left.length) throw senseless(`${answers.length} answers to ${left.length} queries`);
      const pages: typeof left = [];
      for (const [at, answer] of answers.entries()) {
        const { index, query } = left[at]!;
        this.digests += 'groups' in answer ? answer.groups.length : answer.children.length;
        whole[index] = joined(whole[index]!, answer);
        if ('groups' in answer || answer.next === undefined) continue;
        if (query.after !== undefined && answer.next <= query.after) throw senseless('a list that does not go on');
        pages.push({ index, query: { ...query, after: answer.next } });
      }
      left = [...pages, ...left.slice(answers.length)];
    }
    return whole;
  }

  #judge(step: ComparisonStep, ours: DigestAnswer, theirs: DigestAnswer): void {
    if ('children' in ours && 'children' in theirs) {
      this.#judgeChildren(step, ours.children, theirs.children);
      return;
    }
    const left = partsOf(step.group, ours);
    const right = partsOf(step.group, theirs);
    for (const group of new Set([...left.keys(), ...right.keys()])) {
      const [a, b] = [left.get(group), right.get(group)];
      if (a?.digest === b?.digest && a?.count === b?.count) continue;
      this.#steps.push({ path: step.path, group, ours: a === undefined ? [] : a.children, theirs: b === undefined ? [] : b.children });
    }
  }

  #judgeChildren({ path }: ComparisonStep, ours: readonly ChildDigest[], theirs: readonly ChildDigest[]): void {
    const others = new Map(theirs.map(child => [child.key, child]));
    for (const { key, kind, digest } of ours) {
      const other = others.get(key);
      others.delete(key);
      if (other === undefined) this.#found({ path: [...path, key], kind: 'extra' });
      else if (kind === 'object' && other.kind === 'object') this.#descend([...path, key], digest, other.digest);
      else if (kind !== other.kind || digest !== other.digest) this.#found({ path: [...path, key], kind: 'changed' });
    }
    for (const key of others.keys()) this.#found({ path: [...path, key], kind: 'missing' });
  }

  #descend(path: Path, ours: string, theirs: string): void {
    if (ours !== theirs) this.descend(path);
  }
}

/** A group of one tree, with its children where they are known. */
interface GroupPart extends Pick<GroupDigest, 'count' | 'digest'> {
  readonly children: readonly ChildDigest[] | undefined;
}

/** The groups that an answer gives, or those of the children that it lists: one tree may list what the other groups. */
function partsOf(group: KeyGroup, answer: DigestAnswer): ReadonlyMap<KeyGroup, GroupPart> {
  if ('groups' in answer)
    return new Map(answer.groups.map(({ group: name, count, digest }) => [name, { count, digest, children: undefined }]));
  const lists = Map.groupBy(answer.children, ({ key }) => groupBelow(group, key));
  return new Map(
    Array.from(lists, ([name, children]): [KeyGroup, GroupPart] => [
      name,
      { count: children.length, digest: digestOfList(children), children },
    ]),
  );
}

function joined(before: DigestAnswer, page: DigestAnswer): DigestAnswer {
  if ('groups' in page || 'groups' in before || before.children.length === 0) return page;
  return { children: [...before.children, ...page.children] };
}

function senseless(what: string): EvertreeError {
  return new EvertreeError('FORMAT_INVALID', `a site answers for its digests with ${what}: is it another version?`);
}
