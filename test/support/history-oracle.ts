import { type ChangeSet, decodeFrame, type ExactPosition, type Operation, type Path, type Store, type Value } from '@evertree/core';
import { framesOf } from './stores.ts';

/** A commit as a list of all of them has it. */
export interface KnownCommit {
  readonly position: ExactPosition;
  readonly changeSet: ChangeSet;
}

interface PlainTree {
  [key: string]: Value;
}

interface Writer {
  readonly revision: number;
  readonly kind: 'put' | 'above' | 'below';
}

/**
 * A history as nobody would build it for use: a list of all commits, and of all states as plain values. What the
 * questions answer is compared with it. It needs the whole history in the journal.
 */
export class HistoryOracle {
  readonly commits: readonly KnownCommit[];
  /** By revision: the first one is the empty tree. */
  readonly states: readonly Value[];
  /** By revision, and then by the JSON of a leaf's path. */
  readonly #writers: readonly ReadonlyMap<string, Writer>[];

  private constructor(commits: readonly KnownCommit[]) {
    this.commits = commits;
    const states: Value[] = [plain({})];
    const writers: ReadonlyMap<string, Writer>[] = [new Map()];
    for (const { changeSet } of commits) {
      const state = structuredCopy(states.at(-1)!) as PlainTree;
      let root: Value = state;
      const written = new Map(writers.at(-1));
      for (const operation of changeSet.operations) {
        root = applyPlainly(root, operation);
        noteWriter(written, operation, changeSet.revision, root);
      }
      states.push(root);
      writers.push(written);
    }
    this.states = states;
    this.#writers = writers;
  }

  static async of(store: Store): Promise<HistoryOracle> {
    await store.flush();
    const commits: KnownCommit[] = [];
    for (const frame of await framesOf(store.journal)) {
      const { last } = frame.header;
      for (const changeSet of decodeFrame(frame).changeSets)
        commits.push({ position: { ...last, revision: changeSet.revision }, changeSet });
    }
    return new HistoryOracle(commits);
  }

  get last(): number {
    return this.commits.length;
  }

  exact(revision: number): ExactPosition {
    return this.commits[revision - 1]?.position ?? { epoch: 0, epochId: '0'.repeat(16), revision: 0 };
  }

  valueAt(path: Path, revision: number): Value | undefined {
    return valueIn(this.states[revision], path);
  }

  /** The commits that concern a path, oldest first; all of them for the root. */
  concerning(path: Path): readonly KnownCommit[] {
    return this.commits.filter(({ changeSet }) => path.length === 0 || this.operationsAt(changeSet, path).length > 0);
  }

  operationsAt({ operations }: ChangeSet, path: Path): readonly Operation[] {
    return operations.filter(operation => isPrefix(operation.path, path) || isPrefix(path, operation.path));
  }

  /** Who wrote each leaf at a path or below it last, by the JSON of its path. */
  writersAt(path: Path, revision: number): ReadonlyMap<string, Writer> {
    const found = new Map<string, Writer>();
    for (const [leaf, writer] of this.#writers[revision]!) if (isPrefix(path, JSON.parse(leaf) as Path)) found.set(leaf, writer);
    return found;
  }
}

/** Makes operations on a plain value, as their documentation says and nothing else. */
export function applyPlainly(
  root: Value,
  operation: { readonly type: 'put' | 'delete'; readonly path: Path; readonly value?: Value },
): Value {
  const { path, type } = operation;
  if (path.length === 0) return type === 'delete' ? plain({}) : structuredCopy(operation.value!);
  const whole = structuredCopy(root) as PlainTree;
  let at = whole;
  for (const key of path.slice(0, -1)) {
    if (!Object.hasOwn(at, key)) {
      if (type === 'delete') return whole;
      at[key] = plain({});
    }
    at = at[key] as PlainTree;
  }
  if (type === 'delete') delete at[path.at(-1)!];
  else at[path.at(-1)!] = structuredCopy(operation.value!);
  return whole;
}

/** What is at a path of a plain value, also in arrays. */
export function valueIn(root: Value | undefined, path: Path): Value | undefined {
  let at = root;
  for (const key of path) {
    if (Array.isArray(at)) at = /^(0|[1-9]\d*)$/.test(key) ? (at[Number(key)] as Value | undefined) : undefined;
    else if (typeof at === 'object' && at !== null && Object.hasOwn(at, key)) at = (at as PlainTree)[key];
    else return undefined;
  }
  return at;
}

/** The paths of all leaves: arrays and empty objects are some. */
export function leafPaths(value: Value, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  const keys = Object.keys(value);
  if (keys.length === 0) return [path];
  return keys.flatMap(key => leafPaths((value as PlainTree)[key]!, [...path, key]));
}

export function isPrefix(upper: Path, path: Path): boolean {
  return upper.length <= path.length && upper.every((key, level) => key === path[level]);
}

/** An object for which `__proto__` is a key like any other. */
function plain(entries: { readonly [key: string]: Value }): PlainTree {
  return Object.assign(Object.create(null) as PlainTree, entries);
}

function structuredCopy(value: Value): Value {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const copy = plain({});
  for (const key of Object.keys(value)) copy[key] = structuredCopy((value as PlainTree)[key]!);
  return copy;
}

function noteWriter(written: Map<string, Writer>, operation: Operation, revision: number, root: Value): void {
  const { path } = operation;
  for (const leaf of written.keys()) {
    const at = JSON.parse(leaf) as Path;
    if (isPrefix(path, at) || isPrefix(at, path)) written.delete(leaf);
  }
  if (operation.type === 'put') {
    for (const leaf of leafPaths(operation.value, path)) {
      written.set(JSON.stringify(leaf), { revision, kind: leaf.length === path.length ? 'put' : 'above' });
    }
    return;
  }
  const parent = path.slice(0, -1);
  const left = valueIn(root, parent);
  const isEmptied = path.length > 0 && typeof left === 'object' && left !== null && Object.keys(left).length === 0;
  if (isEmptied) written.set(JSON.stringify(parent), { revision, kind: 'below' });
}
