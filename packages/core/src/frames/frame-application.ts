import { ApplySink } from './apply-sink.ts';
import { readBinaryBody } from './binary-reader.ts';
import { readInSteps } from './binary-steps.ts';
import type { FrameNote } from './body.ts';
import type { ChangeSet, Operation } from './change-set.ts';
import { decodeFrame } from './collect-sink.ts';
import { observeSteps, type ObservedChange } from './observed-steps.ts';
import { importValue } from '../tree/content.ts';
import { EvertreeError } from '../errors.ts';
import { frameBody, type Frame } from './frame.ts';
import type { Path } from '../tree/path.ts';
import { formatPosition } from '../position.ts';
import { UNCHANGED, type Tree } from '../tree/tree.ts';

export interface Applied {
  /** Set if the frame begins or ends its epoch. */
  readonly note: FrameNote | undefined;
  readonly observed: readonly ObservedChange[];
}

/**
 * Applies a frame whose base is the tree's position and compares the digest after it.
 * @param concerns whether a listener watches a path; undefined if there are no listeners
 * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, VALUE_INVALID, DIGEST_MISMATCH; the tree is as it was then
 */
export function applyFrame(tree: Tree, frame: Frame, concerns: ((path: Path) => boolean) | undefined): Applied {
  if (frame.header.codec === 'binary' && concerns === undefined) return applyInPlace(tree, frame);
  const before = tree.pin();
  try {
    const { note, changeSets } = decodeFrame(frame);
    const observed: ObservedChange[] = [];
    for (const changeSet of changeSets) applyChangeSet(tree, changeSet, concerns, observed);
    compareDigest(tree, frame);
    return { note, observed };
  } catch (error) {
    tree.restore(before);
    throw error;
  }
}

/**
 * As applyFrame, in steps of about a millisecond. A text is read in one, and so is a JSON body.
 * @param tree of the caller's own: after an error it is useless
 */
export function* applySteps(tree: Tree, frame: Frame, concerns: ((path: Path) => boolean) | undefined): Generator<void, Applied> {
  const applied =
    concerns === undefined ? { note: yield* replaySteps(tree, frame), observed: [] } : yield* observeSteps(tree, frame, concerns);
  yield* tree.mixSteps();
  compareDigest(tree, frame);
  return applied;
}

function applyInPlace(tree: Tree, frame: Frame): Applied {
  tree.undo.clear();
  try {
    const note = applyBinary(tree, frame);
    compareDigest(tree, frame);
    return { note, observed: [] };
  } catch (error) {
    tree.takeBackAll();
    throw error;
  }
}

/**
 * Applies a frame without comparing digests: recovery compares once, at its end. After an error the tree is useless.
 */
export function replayFrame(tree: Tree, frame: Frame): FrameNote | undefined {
  tree.undo.clear();
  if (frame.header.codec === 'binary') return applyBinary(tree, frame);
  const { note, changeSets } = decodeFrame(frame);
  for (const { operations } of changeSets) for (const operation of operations) applyOperation(tree, operation);
  return note;
}

/** As replayFrame, in steps. Between them sums are up to date. */
export function* replaySteps(tree: Tree, frame: Frame): Generator<void, FrameNote | undefined> {
  const { header } = frame;
  tree.undo.clear();
  if (header.codec === 'binary') {
    const sink = new ApplySink(tree);
    for (const _ of readInSteps(frameBody(frame), header, tree.generation, { sink, sieve: undefined, changeSets: header.count })) {
      tree.undo.clear();
      tree.mixTouched();
      yield;
    }
    return sink.note;
  }
  const { note, changeSets } = decodeFrame(frame);
  for (const { operations } of changeSets) {
    for (const operation of operations) {
      applyOperation(tree, operation);
      yield;
    }
  }
  return note;
}

function applyBinary(tree: Tree, frame: Frame): FrameNote | undefined {
  const sink = new ApplySink(tree);
  readBinaryBody(frameBody(frame), frame.header, tree.generation, sink);
  return sink.note;
}

function applyChangeSet(
  tree: Tree,
  changeSet: ChangeSet,
  concerns: ((path: Path) => boolean) | undefined,
  observed: ObservedChange[],
): void {
  const { operations } = changeSet;
  if (concerns === undefined || !operations.some(({ path }) => concerns(path))) {
    for (const operation of operations) applyOperation(tree, operation);
    return;
  }
  const before = tree.pin();
  for (const operation of operations) applyOperation(tree, operation);
  observed.push({ changeSet, before, after: tree.pin() });
}

export function applyOperation(tree: Tree, operation: Operation): void {
  const { path } = operation;
  if (operation.type === 'put') {
    tree.put(path, importValue(operation.value, path, tree.generation));
  } else if (tree.delete(path) === UNCHANGED) {
    throw new EvertreeError('FORMAT_INVALID', 'a frame deletes what is not there');
  }
}

function compareDigest(tree: Tree, frame: Frame): void {
  const found = tree.digest();
  const { digest: expected, last } = frame.header;
  if (found === expected) return;
  const message = `the tree has the digest ${found} after ${formatPosition(last)}, where its primary had ${expected}`;
  throw new EvertreeError('DIGEST_MISMATCH', message, { expected, found, position: last });
}
