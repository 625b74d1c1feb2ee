import { readInSteps, type SiftingSink } from './binary-steps.ts';
import type { ChangeSetHead, FrameNote } from './body.ts';
import type { ChangeSet, Operation } from './change-set.ts';
import { decodeFrame } from './collect-sink.ts';
import { exportSteps, exportValue } from '../tree/content.ts';
import { frameBody, type Frame } from './frame.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import { WHOLE, type PathSet, type PathSetNode } from './path-set.ts';
import { ROOT, type Path } from '../tree/path.ts';

/**
 * The change sets of a frame, one after the other, each with those of its operations that concern a set of paths: they
 * are at such a path, below it or above it. Other operations are read over, and their values are not built. A change
 * set is given also without any operation left. The generator pauses, with undefined, after each step.
 * @param options without `values` every put has null in the place of its value, which is not built then
 * @throws EvertreeError FORMAT_INVALID
 */
export function* readChangeSets(
  frame: Frame,
  set: PathSet,
  { values = true }: { readonly values?: boolean } = {},
): Generator<ChangeSet | undefined, FrameNote | undefined> {
  const { header } = frame;
  if (header.codec === 'json' || header.beginsEpoch || header.endsEpoch || header.isMark) {
    const { note, changeSets } = decodeFrame(frame);
    for (const changeSet of changeSets) yield { ...changeSet, operations: changeSet.operations.filter(({ path }) => isIn(set, path)) };
    return note;
  }
  const sink = values ? new SiftedChangeSets(header.base.revision, set) : new SiftedPaths(header.base.revision, set);
  for (const _ of readInSteps(frameBody(frame), header, 0, { sink, sieve: sink, changeSets: header.count })) {
    yield* sink.exportObjects();
    yield* sink.whole();
    yield undefined;
  }
  yield* sink.exportObjects();
  yield* sink.changeSets;
  return undefined;
}

/** Whether a path is in a set of paths, or above something in it. */
function isIn(set: PathSet, path: Path): boolean {
  let at: PathSetNode | undefined = set.root;
  for (const key of path) {
    if (at === undefined || at.isWhole) break;
    at = at.children.get(key);
  }
  return at !== undefined;
}

/** A node that a body names, if it is in the set or above something in it. */
interface SiftedNode {
  readonly path: Path;
  readonly set: PathSetNode;
}

/** Collects of a binary body what concerns the set. */
class SiftedChangeSets implements SiftingSink {
  /** Those that were read and not taken yet. More operations may come for the last one. */
  changeSets: ChangeSet[] = [];
  /** By the dictionary's numbers. */
  readonly #nodes: (SiftedNode | undefined)[];
  protected operations: Operation[] = [];
  /** Operations whose objects are not exported yet: null is in their place. */
  #objects: { readonly operations: Operation[]; readonly index: number; readonly node: TreeNode }[] = [];
  #revision: number;

  constructor(base: number, { root }: PathSet) {
    this.#revision = base;
    this.#nodes = [undefined, { path: ROOT, set: root }];
  }

  /** Puts the objects that were read in their places, in steps. */
  *exportObjects(): Generator<undefined> {
    const objects = this.#objects;
    this.#objects = [];
    for (const { operations, index, node } of objects) {
      operations[index] = { type: 'put', path: operations[index]!.path, value: yield* exportSteps(node) };
    }
  }

  /** Takes those for which no more operations come. */
  whole(): readonly ChangeSet[] {
    return this.changeSets.splice(0, this.changeSets.length - 1);
  }

  epoch(): void {
    // Frames that begin an epoch are decoded whole.
  }

  handover(): void {
    // So are those that end one.
  }

  mark(): void {
    // And mark frames.
  }

  changeSet({ time, author, message }: ChangeSetHead): void {
    this.operations = [];
    this.changeSets.push({
      revision: ++this.#revision,
      time,
      operations: this.operations,
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { message }),
    });
  }

  spelledKey(): undefined {
    return undefined;
  }

  define(parent: number, key: string): void {
    const set = this.#below(parent, key);
    this.#nodes.push(set === undefined ? undefined : { path: [...this.#nodes[parent]!.path, key], set });
  }

  wanted(node: number, key: string): PathSetNode | undefined {
    return node === 0 || this.isIn(node, key) ? WHOLE : undefined;
  }

  put(node: number, key: string, _keyLo: number, _keyHi: number, child: Child): void {
    this.#put(this.pathOf(node, key), child);
  }

  delete(node: number, key: string): void {
    if (this.isIn(node, key)) this.operations.push({ type: 'delete', path: this.pathOf(node, key) });
  }

  putRoot(child: Child): void {
    this.#put(ROOT, child);
  }

  #put(path: Path, child: Child): void {
    const isObject = child instanceof TreeNode;
    if (isObject) this.#objects.push({ operations: this.operations, index: this.operations.length, node: child });
    this.operations.push({ type: 'put', path, value: isObject ? null : exportValue(child) });
  }

  protected isIn(node: number, key: string): boolean {
    return this.#below(node, key) !== undefined;
  }

  protected pathOf(node: number, key: string): Path {
    return [...this.#nodes[node]!.path, key];
  }

  #below(node: number, key: string): PathSetNode | undefined {
    const set = this.#nodes[node]?.set;
    return set === undefined || set.isWhole ? set : set.children.get(key);
  }
}

/** Collects the operations that concern the set, without values. */
class SiftedPaths extends SiftedChangeSets {
  override wanted(node: number, key: string): undefined {
    if (node === 0) this.operations.push({ type: 'put', path: ROOT, value: null });
    else if (this.isIn(node, key)) this.operations.push({ type: 'put', path: this.pathOf(node, key), value: null });
  }
}
