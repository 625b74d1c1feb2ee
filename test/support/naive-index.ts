import { getInside, type Path, type Value } from '@evertree/core';
import { type ChangeIndex, type FoundChange, IndexOutdated, type Touch, type TouchedValue } from '@evertree/history';
import { type HistoryOracle, isPrefix, type KnownCommit } from './history-oracle.ts';
import { comparePaths } from './random-history.ts';

/** An index that is a list of all commits, of which it answers for some. */
export class NaiveIndex implements ChangeIndex {
  after: number;
  upTo: number;
  shrinks = 0;
  /** Answers that it still gives before it says that it is outdated and covers less; Infinity for always. */
  answers = Infinity;
  readonly #oracle: HistoryOracle;

  constructor(oracle: HistoryOracle, after: number, upTo: number) {
    this.#oracle = oracle;
    this.after = after;
    this.upTo = upTo;
  }

  async newest(path: Path, atOrBefore: number): Promise<Touch | undefined> {
    this.#answer();
    return this.#touches(this.after, Math.min(atOrBefore, this.upTo)).find(({ touch }) => isPrefix(touch.path, path))?.touch;
  }

  async *newestBelow(path: Path, atOrBefore: number): AsyncIterable<readonly Touch[]> {
    const seen = new Map<string, Touch>();
    for (const { touch } of this.#touches(this.after, Math.min(atOrBefore, this.upTo))) {
      const name = JSON.stringify(touch.path);
      if (isPrefix(path, touch.path) && !seen.has(name)) seen.set(name, touch);
    }
    for (const touch of [...seen.values()].toSorted((a, b) => comparePaths(a.path, b.path))) {
      this.#answer();
      yield [touch];
    }
  }

  async *touches(path: Path, { after, upTo }: { readonly after: number; readonly upTo: number }): AsyncIterable<readonly Touch[]> {
    for (const { touch } of this.#touches(Math.max(after, this.after), Math.min(upTo, this.upTo))) {
      this.#answer();
      if (isPrefix(touch.path, path) || isPrefix(path, touch.path)) yield [touch];
    }
  }

  async weight(path: Path): Promise<number> {
    return this.#touches(this.after, this.upTo).filter(({ touch }) => isPrefix(path, touch.path)).length;
  }

  async timeOf(revision: number): Promise<number> {
    this.#answer();
    return this.#oracle.commits[revision - 1]!.changeSet.time;
  }

  async valueAt(touch: Touch, path: Path): Promise<Value | undefined> {
    this.#answer();
    const operation = this.#oracle.commits[touch.revision - 1]!.changeSet.operations[touch.operation]!;
    let value = operation.type === 'put' ? (operation.value as Value | undefined) : undefined;
    for (const key of path.slice(touch.path.length)) {
      value = typeof value === 'object' && value !== null ? getInside(value, key) : undefined;
    }
    return value;
  }

  async *read(touches: readonly Touch[]): AsyncIterable<FoundChange> {
    let found: TouchedValue[] = [];
    for (const [at, touch] of touches.entries()) {
      const commit = this.#oracle.commits[touch.revision - 1]!;
      const operation = commit.changeSet.operations[touch.operation]!;
      found.push({ touch, value: operation.type === 'put' ? operation.value : undefined });
      if (touches[at + 1]?.revision === touch.revision) continue;
      this.#answer();
      const { time, author, message } = commit.changeSet;
      yield { position: commit.position, time, author, message, touches: found };
      found = [];
    }
  }

  /** Newest first. */
  #touches(after: number, upTo: number): TouchedValue[] {
    return this.#oracle.commits.slice(after, Math.max(upTo, after)).flatMap(touchesOf).toReversed();
  }

  #answer(): void {
    if (--this.answers > 0) return;
    this.answers = Infinity;
    this.shrinks++;
    this.after = Math.ceil((this.after + this.upTo) / 2);
    throw new IndexOutdated('it covers less from now on');
  }
}

function touchesOf({ changeSet: { revision, operations } }: KnownCommit): TouchedValue[] {
  return operations.map((each, operation) => ({
    touch: { revision, operation, kind: each.type, path: each.path },
    value: each.type === 'put' ? each.value : undefined,
  }));
}
