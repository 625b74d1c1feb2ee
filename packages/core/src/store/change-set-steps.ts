import { readInSteps } from '../frames/binary-steps.ts';
import type { ChangeSet, Operation } from '../frames/change-set.ts';
import { CollectSink, decodeChangeSets } from '../frames/collect-sink.ts';
import { frameBody, type Frame } from '../frames/frame.ts';
import { SnapshotNode } from './snapshot.ts';
import { importValue } from '../tree/content.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { Value } from '../tree/value.ts';

/** The decoded nodes are in no tree. */
const NO_GENERATION = 0;

/**
 * The change sets of a frame, decoded in steps of about a millisecond; a JSON body is one step. Objects that are put can
 * be read piece by piece.
 * @throws EvertreeError FORMAT_INVALID
 */
export function* changeSetSteps(frame: Frame): Generator<void, readonly ChangeSet<SnapshotNode | Value>[], void> {
  const { header } = frame;
  if (header.codec === 'json') return decodeChangeSets(frame).map(withNodes);
  const sink = new CollectSink<SnapshotNode | Value>(header.base.revision, readable);
  yield* readInSteps(frameBody(frame), header, NO_GENERATION, { sink, sieve: undefined, changeSets: header.count });
  return sink.changeSets;
}

function readable(child: Child): SnapshotNode | Value {
  return child instanceof TreeNode ? new SnapshotNode(child) : child;
}

function withNodes(changeSet: ChangeSet): ChangeSet<SnapshotNode | Value> {
  return { ...changeSet, operations: changeSet.operations.map(withNode) };
}

function withNode(operation: Operation): Operation<SnapshotNode | Value> {
  if (operation.type === 'delete') return operation;
  const { path, value } = operation;
  return { type: 'put', path, value: readable(importValue(value, path, NO_GENERATION)) };
}
