import { readInSteps } from './binary-steps.ts';
import type { FrameNote } from './body.ts';
import type { ChangeSet, Operation } from './change-set.ts';
import { CollectSink, decodeFrame } from './collect-sink.ts';
import { EvertreeError } from '../errors.ts';
import { frameBody, type BodyCodec, type Frame } from './frame.ts';
import { digestSteps } from '../tree/array-digest.ts';
import { exportValue, importValue, sameSteps } from '../tree/content.ts';
import { dropKept, isLong, keepEntering, keepLeaving, lanes } from '../tree/digest.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { UNCHANGED, type Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** A change set that concerns a listener, with the trees before and after it. */
export interface ObservedChange {
  readonly changeSet: ChangeSet;
  readonly before: TreeNode;
  readonly after: TreeNode;
}

/** Decoded objects are in no tree: a tree copies them before it changes them. */
const NO_GENERATION = 0;
/** Operations between two pauses: a millisecond of work. */
const OPERATIONS_A_STEP = 1_024;

/**
 * Applies a frame for listeners, in steps, and keeps the trees before and after each change set that concerns one. The
 * digest is not compared. After an error the tree is useless.
 */
export function* observeSteps(
  tree: Tree,
  frame: Frame,
  concerns: (path: Path) => boolean,
): Generator<void, { readonly note: FrameNote | undefined; readonly observed: readonly ObservedChange[] }> {
  const { note, changeSets } = yield* decodeSteps(frame);
  const observed: ObservedChange[] = [];
  for (const changeSet of changeSets) {
    const before = (yield* concernsAny(changeSet.operations, concerns)) ? yield* pinSteps(tree) : undefined;
    yield* changeSteps(tree, changeSet.operations, frame.header.codec);
    if (before !== undefined) observed.push({ changeSet: yield* readable(changeSet), before, after: yield* pinSteps(tree) });
  }
  return { note, observed };
}

/** A change set of a frame whose values are still to be made children of a tree, if its body is JSON. */
type DecodedChanges = ChangeSet<Child | Value>;

function* decodeSteps(
  frame: Frame,
): Generator<void, { readonly note: FrameNote | undefined; readonly changeSets: readonly DecodedChanges[] }> {
  const { header } = frame;
  if (header.codec === 'json') return decodeFrame(frame);
  const sink = new CollectSink<Child>(header.base.revision, child => child);
  yield* readInSteps(frameBody(frame), header, NO_GENERATION, { sink, sieve: undefined, changeSets: header.count });
  return sink;
}

function* concernsAny(operations: DecodedChanges['operations'], concerns: (path: Path) => boolean): Generator<void, boolean> {
  for (const [index, { path }] of operations.entries()) {
    if (concerns(path)) return true;
    if (index % OPERATIONS_A_STEP === OPERATIONS_A_STEP - 1) yield;
  }
  return false;
}

function* pinSteps(tree: Tree): Generator<void, TreeNode> {
  yield* tree.mixSteps();
  return tree.pin();
}

function* changeSteps(tree: Tree, operations: DecodedChanges['operations'], codec: BodyCodec): Generator<void> {
  for (const [index, operation] of operations.entries()) {
    const { path } = operation;
    const child = operation.type === 'delete' ? undefined : childOf(operation.value, path, codec);
    const standing = tree.get(path);
    if (isLong(child) || isLong(standing)) yield* changeLong(tree, path, standing as Child | undefined, child);
    else change(tree, path, child);
    if (index % OPERATIONS_A_STEP !== OPERATIONS_A_STEP - 1) continue;
    tree.undo.clear();
    yield* tree.mixSteps();
    yield;
  }
}

/** What is read from a binary body is nodes, leaves and frozen arrays already. */
function childOf(value: Child | Value, path: Path, codec: BodyCodec): Child {
  return codec === 'binary' ? (value as Child) : importValue(value, path, NO_GENERATION);
}

function change(tree: Tree, path: Path, child: Child | undefined): void {
  if (child !== undefined) tree.put(path, child);
  else if (tree.delete(path) === UNCHANGED) throw new EvertreeError('FORMAT_INVALID', 'a frame deletes what is not there');
}

/** Compares and digests in steps what the tree would in one go. One of the two children is an array or a long text. */
function* changeLong(tree: Tree, path: Path, standing: Child | undefined, child: Child | undefined): Generator<void> {
  if (isLong(standing)) {
    if (isLong(child) && (yield* sameSteps(child, standing))) return;
    yield* digestSteps(standing);
    keepLeaving(standing, lanes.lo, lanes.hi);
    // Taken out before another one is put: a put compares what it puts with what stands. A null keeps the key's place.
    if (child === undefined) tree.delete(path);
    else tree.put(path, null);
  }
  if (isLong(child)) {
    yield* digestSteps(child);
    keepEntering(child, lanes.lo, lanes.hi);
  }
  if (child !== undefined) tree.put(path, child);
  dropKept();
}

/** The change set with values for readers. That of an object is built when it is first read. */
function* readable({ operations, ...rest }: DecodedChanges): Generator<void, ChangeSet> {
  const made: Operation[] = [];
  for (const operation of operations) {
    if (operation.type === 'put' && operation.value instanceof TreeNode) made.push(putOf(operation.path, operation.value));
    else made.push(operation as Operation);
    if (made.length % OPERATIONS_A_STEP === 0) yield;
  }
  return { ...rest, operations: made };
}

function putOf(path: Path, node: TreeNode): Operation {
  let value: Value | undefined;
  return {
    type: 'put',
    path,
    get value() {
      return (value ??= exportValue(node));
    },
  };
}
