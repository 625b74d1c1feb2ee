import { EvertreeError, formatPath, formatPosition, type Operation, type Path, Turn } from '@evertree/core';
import type { Blame } from './answers.ts';
import { changesBackward } from './changes.ts';
import type { PathChange } from './path-change.ts';
import { childOf, keysInOrder, sizeOf } from './differences.ts';
import type { HistoryView } from './history-view.ts';
import { readPart } from './past-part.ts';
import { type Content, isAtOrAbove, isObject, setOf } from './paths.ts';
import type { Moment } from './when.ts';
import { STEP_ITEMS } from './step.ts';

/** The most leaves whose authors are looked for at once: they are held in memory. */
const MOST_LEAVES = 1_000_000;

/**
 * For each leaf at a path or below it who set it last, in the order of the paths: the history is read backwards until
 * that is known of all of them.
 * @throws EvertreeError NOT_FOUND if nothing stands at the path; TOO_LARGE for more than a million leaves
 */
export async function* blameOf(view: HistoryView, path: Path, { position }: Moment): AsyncGenerator<Blame, void, undefined> {
  const content = (await readPart(view, position, setOf(path))).pinned(path);
  if (content === undefined) {
    const message = `nothing stands at ${JSON.stringify(formatPath(path))} at ${formatPosition(position)}`;
    throw new EvertreeError('NOT_FOUND', message, { path: formatPath(path), position });
  }
  const turn = new Turn(view.clock);
  const leaves = new LeafSet();
  for (const leaf of leavesOf(content, path)) {
    leaves.add(leaf);
    if (leaves.count > MOST_LEAVES) throw tooMany(path);
    if (turn.over) await turn.rest();
  }
  const range = { after: 0, upTo: position.revision, isOpen: true };
  for await (const change of changesBackward(view, { path, author: undefined, values: false }, range)) {
    for (const [index, operation] of change.changeSet.operations.entries()) {
      for (const _ of leaves.found(operation, change)) if (turn.over) await turn.rest();
      if (index % STEP_ITEMS === 0) await turn.breathe();
    }
    if (leaves.unknown === 0) break;
  }
  for (const leaf of leaves.all()) {
    yield answerOf(view, leaf);
    if (turn.over) await turn.rest();
  }
}

function answerOf(view: HistoryView, { path, writer, kind }: Leaf): Blame {
  if (writer === undefined) {
    return { path, position: view.journal.log.base, time: undefined, author: undefined, message: undefined, kind: 'before' };
  }
  const { time, author, message } = writer.changeSet;
  return { path, position: writer.position, time, author, message, kind };
}

function tooMany(path: Path): EvertreeError {
  const message = `there are more than ${MOST_LEAVES} leaves below ${JSON.stringify(formatPath(path))}; ask for a part of them`;
  return new EvertreeError('TOO_LARGE', message, { path: formatPath(path), limit: MOST_LEAVES });
}

/** The leaves of a content: what is no object, and empty objects. In the order of their paths. */
function* leavesOf(content: Content, path: Path): Generator<Path> {
  if (!isObject(content) || sizeOf(content) === 0) {
    yield path;
    return;
  }
  for (const key of keysInOrder(content)) yield* leavesOf(childOf(content, key), [...path, key]);
}

interface Leaf {
  readonly path: Path;
  writer: PathChange | undefined;
  kind: Blame['kind'];
}

interface LeafNode {
  leaf: Leaf | undefined;
  readonly children: Map<string, LeafNode>;
  /** Leaves at this node and below it whose writer is not known. */
  unknown: number;
}

/** Leaves by their paths, and who wrote them as far as that is known. */
class LeafSet {
  count = 0;
  readonly #root: LeafNode = newNode(new Map());

  /** Leaves whose writer is not known. */
  get unknown(): number {
    return this.#root.unknown;
  }

  add(path: Path): void {
    let node = this.#root;
    node.unknown++;
    for (let level = 0; level < path.length; level++) {
      const key = path[level]!;
      let next = node.children.get(key);
      if (next === undefined) node.children.set(key, (next = newNode(level === path.length - 1 ? NO_CHILDREN : new Map())));
      node = next;
      node.unknown++;
    }
    node.leaf = { path, writer: undefined, kind: 'before' };
    this.count++;
  }

  /** An operation, the newest of those that were not told yet, wrote what is at its path. Pauses after each leaf. */
  *found(operation: Operation, writer: PathChange): Generator<void> {
    const above: LeafNode[] = [];
    let node = this.#root;
    for (let level = 0; level < operation.path.length; level++) {
      if (node.unknown === 0) return;
      above.push(node);
      const next = node.children.get(operation.path[level]!);
      if (next === undefined) {
        // What was deleted from an empty object, or put into what is an array or a part of one since.
        const { leaf } = node;
        if (leaf === undefined || level !== leaf.path.length || leaf.writer !== undefined) return;
        this.#settle(leaf, above, writer, 'below');
        return;
      }
      node = next;
    }
    yield* this.#settleAll(node, above, operation.path, writer);
  }

  *all(): Generator<Leaf> {
    yield* leavesBelow(this.#root);
  }

  *#settleAll(node: LeafNode, above: readonly LeafNode[], path: Path, writer: PathChange): Generator<void> {
    if (node.unknown === 0) return;
    const here = [...above, node];
    if (node.leaf !== undefined && node.leaf.writer === undefined) {
      this.#settle(node.leaf, here, writer, isAtOrAbove(node.leaf.path, path) ? 'put' : 'above');
      yield;
    }
    for (const child of node.children.values()) yield* this.#settleAll(child, here, path, writer);
  }

  #settle(leaf: Leaf, nodes: readonly LeafNode[], writer: PathChange, kind: Blame['kind']): void {
    leaf.writer = writer;
    leaf.kind = kind;
    for (const node of nodes) node.unknown--;
  }
}

/** Of a leaf: no other one is below it. */
const NO_CHILDREN: LeafNode['children'] = new Map();

function newNode(children: LeafNode['children']): LeafNode {
  return { leaf: undefined, children, unknown: 0 };
}

function* leavesBelow(node: LeafNode): Generator<Leaf> {
  if (node.leaf !== undefined) yield node.leaf;
  for (const child of node.children.values()) yield* leavesBelow(child);
}
