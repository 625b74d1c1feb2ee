import { NO_NOTE } from './binary-reader.ts';
import { readInSteps, type SiftingSink } from './binary-steps.ts';
import { decodeChangeSets } from './collect-sink.ts';
import type { Operation } from './change-set.ts';
import { importValue } from '../tree/content.ts';
import { frameBody, type Frame } from './frame.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { PathSet, PathSetNode } from './path-set.ts';
import { ROOT, type Path } from '../tree/path.ts';
import { prepareValue } from '../tree/prepared-value.ts';
import { Tree } from '../tree/tree.ts';
import { define, type Value } from '../tree/value.ts';
import { finishSteps } from '../turn.ts';

/** Members that are picked of a value between two pauses. */
const MEMBERS_A_STEP = 256;

/**
 * Those parts of a tree that are in a set of paths, and the objects above them: built as the whole tree would be, from
 * the chunks of a snapshot and from frames. What is not in the set is skipped without being built, which costs a tenth.
 */
export class PartialTree {
  readonly #tree: Tree;
  readonly #set: PathSet;

  /** @param tree an empty one, which is filled */
  constructor(set: PathSet, tree = new Tree()) {
    this.#set = set;
    this.#tree = tree;
  }

  /** The root, for reading. Its parts may be put into another tree: this object is of no use then. */
  take(): TreeNode {
    this.#tree.mixTouched();
    return this.#tree.root;
  }

  /**
   * Adds a snapshot's chunk, in steps.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID
   */
  *chunkSteps(chunk: Uint8Array): Generator<void> {
    const body = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const head = { count: body.readUInt32LE(0), firstTime: 0, ...NO_NOTE };
    yield* this.#sift(body.subarray(4), head, head.count);
  }

  /**
   * Adds a frame, or only so many of its first change sets, in steps.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, VALUE_INVALID
   */
  *frameSteps(frame: Frame, changeSets = frame.header.count): Generator<void> {
    if (frame.header.codec === 'binary') return yield* this.#sift(frameBody(frame), frame.header, changeSets);
    for (const { operations } of decodeChangeSets(frame).slice(0, changeSets)) {
      for (const operation of operations) {
        this.apply(operation);
        yield;
      }
    }
    this.#tree.undo.clear();
  }

  /** @throws EvertreeError PATH_INVALID, VALUE_INVALID */
  apply(operation: Operation): void {
    const { path } = operation;
    if (operation.type === 'put') this.#makeAbove(path);
    const set = this.#find(path);
    if (set === undefined) return;
    if (operation.type === 'delete') this.#tree.delete(path);
    else this.#tree.put(path, importValue(finishSteps(partOf(operation.value, set)), path, this.#tree.generation));
  }

  /** Puts a value in steps. @throws EvertreeError PATH_INVALID, VALUE_INVALID */
  *put(path: Path, value: Value): Generator<void> {
    const set = this.#find(path);
    const prepared = set === undefined ? undefined : yield* prepareValue(yield* partOf(value, set), path);
    this.#makeAbove(path);
    if (prepared !== undefined) this.#tree.put(path, prepared.take(path));
  }

  *#sift(body: Buffer, head: Parameters<typeof readInSteps>[1], changeSets: number): Generator<void> {
    const sink = new PartSink(this.#tree, this.#set);
    for (const _ of readInSteps(body, head, this.#tree.generation, { sink, sieve: sink, changeSets })) {
      this.#rest();
      yield;
    }
    this.#rest();
  }

  #rest(): void {
    this.#tree.undo.clear();
    this.#tree.mixTouched();
  }

  /** A put makes missing parents: those that are above something in the set. */
  #makeAbove(path: Path): void {
    let at: PathSetNode | undefined = this.#set.root;
    for (let length = 1; length < path.length; length++) {
      at = at.children.get(path[length - 1]!);
      if (at === undefined || at.isWhole) return;
      const above = path.slice(0, length);
      if (this.#tree.get(above) === undefined) this.#tree.put(above, new TreeNode(this.#tree.generation));
    }
  }

  /** What of the set is at a path and below it; undefined for nothing. */
  #find(path: Path): PathSetNode | undefined {
    let at: PathSetNode | undefined = this.#set.root;
    for (const key of path) {
      if (at === undefined || at.isWhole) return at;
      at = at.children.get(key);
    }
    return at;
  }
}

/** A node that a body names, if it is in the set or above something in it. */
interface Place {
  readonly path: Path;
  readonly set: PathSetNode;
}

/** Takes of a binary body what is in the set. */
class PartSink implements SiftingSink {
  readonly #tree: Tree;
  /** By the dictionary's numbers. */
  readonly #places: (Place | undefined)[];

  constructor(tree: Tree, { root }: PathSet) {
    this.#tree = tree;
    this.#places = [undefined, { path: ROOT, set: root }];
  }

  epoch(): void {
    // Epochs change nothing in the tree.
  }

  handover(): void {
    // Nor do handovers.
  }

  mark(): void {
    // Nor do marks.
  }

  changeSet(): void {
    // Only the sum of all change sets is wanted.
  }

  spelledKey(): undefined {
    return undefined;
  }

  define(parent: number, key: string): void {
    const set = this.#below(parent, key);
    if (set === undefined) {
      this.#places.push(undefined);
      return;
    }
    const path = [...this.#places[parent]!.path, key];
    this.#places.push({ path, set });
    // A definition makes the object if there is none.
    if (this.#tree.get(path) === undefined) this.#tree.put(path, new TreeNode(this.#tree.generation));
  }

  wanted(node: number, key: string): PathSetNode | undefined {
    return node === 0 ? this.#places[1]!.set : this.#below(node, key);
  }

  put(node: number, key: string, _keyLo: number, _keyHi: number, child: Child): void {
    this.#tree.put([...this.#places[node]!.path, key], child);
  }

  delete(node: number, key: string): void {
    if (this.#below(node, key) !== undefined) this.#tree.delete([...this.#places[node]!.path, key]);
  }

  putRoot(child: Child): void {
    this.#tree.put(ROOT, child);
  }

  #below(node: number, key: string): PathSetNode | undefined {
    const set = this.#places[node]?.set;
    return set === undefined || set.isWhole ? set : set.children.get(key);
  }
}

/** What of a value is in a set: of objects no other members. Pauses after some 256 members. */
function* partOf(value: Value, set: PathSetNode): Generator<undefined, Value> {
  if (set.isWhole || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const object = value as { readonly [key: string]: Value };
  const part: { [key: string]: Value } = {};
  let left = MEMBERS_A_STEP;
  for (const [key, below] of set.children) {
    if (Object.hasOwn(object, key)) define(part, key, yield* partOf(object[key]!, below));
    if (--left > 0) continue;
    left = MEMBERS_A_STEP;
    yield;
  }
  yield;
  return part;
}
