/** A line of `GET /history?path=/k`. */
export interface HistoryLine {
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly message?: string;
  readonly operations: readonly HistoryOperation[];
}

interface HistoryOperation {
  readonly path: string;
  readonly before?: { readonly id: string };
  readonly after?: { readonly id: string };
}

/** What stands under `/k`: by key the id of what was written there last. */
export type Ids = ReadonlyMap<string, string>;

export interface PastCommit {
  readonly position: string;
  readonly revision: number;
  /** It was applied again from a divergence. */
  readonly isReplay: boolean;
  /** Key and id. */
  readonly values: readonly (readonly [string, string])[];
}

/** What a site's history tells of `/k`: every state of it, as plain values. */
export class Past {
  /** What stood there before the first commit that the site still holds. */
  readonly base: Ids;
  /** Oldest first. */
  readonly commits: readonly PastCommit[];
  readonly isWhole: boolean;

  /**
   * Undoes the history, newest first, from the tree of now.
   * @param isWhole the site holds the history from the first commit on
   * @throws Error where what a commit tells it wrote is not what stood there then
   */
  constructor(now: Ids, lines: readonly HistoryLine[], isWhole: boolean) {
    const tree = new Map(now);
    const commits: PastCommit[] = [];
    for (const { position, message = '', operations } of lines) {
      const values: [string, string][] = [];
      for (const { path, before, after } of operations.flatMap(valuesOf).toReversed()) {
        const key = path.slice('/k/'.length);
        if (after === undefined || tree.get(key) !== after.id) {
          throw new Error(`${positionText(position)} wrote ${after?.id} at ${path}, and ${tree.get(key)} stood there then`);
        }
        values.unshift([key, after.id]);
        if (before === undefined) tree.delete(key);
        else tree.set(key, before.id);
      }
      commits.unshift({
        position: positionText(position),
        revision: position.revision,
        isReplay: message.startsWith('replay of '),
        values,
      });
    }
    this.base = tree;
    this.commits = commits;
    this.isWhole = isWhole;
    if (isWhole && tree.size > 0) throw new Error(`the first commit of a whole history follows ${JSON.stringify([...tree])}`);
  }

  /** What stood there after a commit. */
  at(position: string): Ids {
    const state = new Map(this.base);
    for (const commit of this.commits) {
      for (const [key, id] of commit.values) state.set(key, id);
      if (commit.position === position) return state;
    }
    throw new Error(`there is no commit ${position}`);
  }

  /** What stood there at a revision; undefined if that is not between the first commit and the last. */
  near(revision: number): Ids | undefined {
    const last = this.commits.findLast(commit => commit.revision <= revision);
    return last === undefined || revision > this.commits.at(-1)!.revision ? undefined : this.at(last.position);
  }

  /** The first difference to another site's history of the same end, as far as both reach. */
  differenceTo(other: Past): string | undefined {
    const count = Math.min(this.commits.length, other.commits.length);
    for (let back = 1; back <= count; back++) {
      const [ours, theirs] = [this.commits.at(-back), other.commits.at(-back)].map(commit => JSON.stringify(commit));
      if (ours !== theirs) return `${ours} and ${theirs}`;
    }
    return undefined;
  }
}

/** The first write makes `/k` itself, with the one value in it. */
function valuesOf(operation: HistoryOperation): HistoryOperation[] {
  if (operation.path !== '/k') return [operation];
  return [...idsOf(operation.after)].map(([key, id]) => ({ path: `/k/${key}`, after: { id } }));
}

/** What a document under `/k` has. */
export function idsOf(document: unknown): Ids {
  return new Map(Object.entries((document ?? {}) as Record<string, { readonly id: string }>).map(([key, { id }]) => [key, id]));
}

/** The first key at which two states differ. */
export function differenceOf(found: Ids, expected: Ids): string | undefined {
  const key = [...found.keys(), ...expected.keys()].find(each => found.get(each) !== expected.get(each));
  return key === undefined ? undefined : `${key} is ${found.get(key)} instead of ${expected.get(key)}`;
}

export function positionText({ epoch, revision }: { readonly epoch: number; readonly revision: number }): string {
  return `${epoch}-${revision}`;
}
