import { EvertreeError } from '../errors.ts';
import type { ChangeSet, Operation } from '../frames/change-set.ts';
import { decodeFrame } from '../frames/collect-sink.ts';
import { FrameWriter } from '../frames/frame-writer.ts';
import { frameBody, frameHash, sealFrame, type Frame, type FrameHeader } from '../frames/frame.ts';
import { formatPosition, type Position } from '../position.ts';
import { importValue } from '../tree/content.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { type Tree, UNCHANGED } from '../tree/tree.ts';
import type { NetOperation } from '../transactions/net-operations.ts';
import type { RebuiltTree } from './rebuilt-tree.ts';
import { Snapshot } from './snapshot.ts';

/** An operation that can't be done in a history that lacks some commits; it is left out of it, too. */
export interface RewriteConflict {
  readonly position: Position;
  readonly path: Path;
  readonly kind: Operation['type'];
  /** `parent`: the object that holds what is put is not there. `absent`: there is nothing to delete. */
  readonly reason: 'parent' | 'absent';
}

/** A frame of the rewritten history, and what of the original frame is not in it. */
export interface RewrittenFrame {
  /** Undefined if nothing of the original is in it. */
  readonly frame: Frame | undefined;
  readonly conflicts: readonly RewriteConflict[];
}

/** What is to be different. */
export interface Rewriting {
  /** 32 hex digits: that of the original, or another one. */
  readonly stream: string;
  /** Revisions whose commits are left out: empty change sets take their places, so that all others keep theirs. */
  readonly without: ReadonlySet<number>;
  /** The history ends there, in the middle of a frame maybe. */
  readonly upTo: number;
}

/**
 * The same history with some commits left out, or up to the middle of a frame. Frames are the original's, byte by byte,
 * as long as nothing is different; then they are sealed anew.
 */
export class RewrittenHistory {
  readonly #rewriting: Rewriting;
  /** The tree of the rewritten history; undefined as long as it is that of the original. */
  #tree: Tree | undefined;
  readonly #lacking = new LackingPaths();
  /** Hash of the last frame; undefined as long as it is that of the original. */
  #chain: string | undefined;

  constructor(rewriting: Rewriting) {
    this.#rewriting = rewriting;
  }

  /**
   * Takes the next frame of the original.
   * @param before the original's tree before the frame
   * @throws EvertreeError VALUE_INVALID for a commit that can't be left out
   */
  take(frame: Frame, before: RebuiltTree): RewrittenFrame {
    const { base, last } = frame.header;
    const { without, upTo } = this.#rewriting;
    if (base.revision >= upTo) return { frame: undefined, conflicts: [] };
    const isTouched = last.revision > upTo || hasAny(without, base.revision, last.revision);
    if (isTouched) this.#tree ??= before.fork();
    if (this.#tree === undefined) return { frame: this.#seal(frame, frame.header.digest), conflicts: [] };
    return this.#rewrite(frame, this.#tree);
  }

  /** The tree after the frames that were taken. @param original that of the original at the end of the last one, or before it */
  snapshot(original: RebuiltTree, last: FrameHeader | undefined): Snapshot {
    const tree = this.#tree ?? original.fork();
    const digest = tree.digest();
    const { position, chain, time, ...rest } = original.header;
    return new Snapshot(tree.pin(), {
      ...rest,
      stream: this.#rewriting.stream,
      position: last?.last ?? position,
      digest,
      chain: this.#chain ?? chain,
      time: last?.lastTime ?? time,
    });
  }

  /** A frame that is the original's but for stream, chain and digest. */
  #seal(frame: Frame, digest: string): Frame {
    const { header } = frame;
    const { stream } = this.#rewriting;
    if (stream === header.stream && digest === header.digest && this.#chain === undefined) return frame;
    return this.#sealed(sealFrame({ ...header, stream, digest, previous: this.#chain ?? header.previous }, frameBody(frame)));
  }

  #sealed(frame: Frame): Frame {
    this.#chain = frameHash(frame);
    return frame;
  }

  #rewrite(frame: Frame, tree: Tree): RewrittenFrame {
    const { header } = frame;
    const { changeSets } = decodeFrame(frame);
    if (header.beginsEpoch || header.endsEpoch || header.isMark) {
      this.#assertKept(header);
      return { frame: this.#seal(frame, tree.digest()), conflicts: [] };
    }
    const writer = new FrameWriter(header.codec, header.firstTime);
    const conflicts: RewriteConflict[] = [];
    for (const changeSet of changeSets) {
      if (changeSet.revision > this.#rewriting.upTo) break;
      const operations = this.#apply(changeSet, header, tree, conflicts);
      writer.changeSet(changeSet.time, changeSet.author, changeSet.message, operations.length);
      for (const { path, child } of operations) {
        tree.follow(path);
        writer.body.operation(tree.trail, path, child);
      }
    }
    tree.undo.clear();
    const base = { stream: this.#rewriting.stream, last: header.base, chain: this.#chain ?? header.previous };
    return { frame: this.#sealed(writer.seal(base, tree.digest())), conflicts };
  }

  /** Does what can be done of a change set. */
  #apply({ revision, operations }: ChangeSet, { epoch }: FrameHeader, tree: Tree, conflicts: RewriteConflict[]): NetOperation[] {
    const isKept = !this.#rewriting.without.has(revision);
    const done: NetOperation[] = [];
    for (const operation of operations) {
      const { path, type: kind } = operation;
      const reason = isKept ? obstacle(operation, tree, this.#lacking) : undefined;
      if (reason !== undefined) conflicts.push({ position: { epoch, revision }, path, kind, reason });
      this.#lacking.drop(path);
      if (isKept && reason === undefined) {
        if (change(tree, operation) !== UNCHANGED) done.push({ path, child: tree.get(path) as Child | undefined });
      } else if (kind === 'put') {
        this.#lacking.add(path);
      }
    }
    return done;
  }

  #assertKept({ last, beginsEpoch, endsEpoch }: FrameHeader): void {
    if (!this.#rewriting.without.has(last.revision)) return;
    const what = beginsEpoch ? 'begins an epoch' : endsEpoch ? 'hands over to another site' : 'sets a mark';
    throw new EvertreeError('VALUE_INVALID', `${formatPosition(last)} ${what} and changes nothing in the tree: it can't be left out`);
  }
}

function change(tree: Tree, operation: Operation): number {
  const { path } = operation;
  return operation.type === 'delete' ? tree.delete(path) : tree.put(path, importValue(operation.value, path, tree.generation));
}

/** Why an operation can't be done in a tree: the object that holds its path is not there, or something else is. */
function obstacle({ type, path }: Operation, tree: Tree, lacking: LackingPaths): RewriteConflict['reason'] | undefined {
  if (type === 'delete') return tree.get(path) === undefined ? 'absent' : undefined;
  for (let length = 0; length < path.length; length++) {
    const here = tree.get(path.slice(0, length));
    // A put makes missing parents, but for those that a commit put which is not in this history.
    if (here === undefined) return lacking.holds(path.slice(0, -1)) ? 'parent' : undefined;
    if (!(here instanceof TreeNode)) return 'parent';
  }
  return undefined;
}

interface LackingNode {
  isPut: boolean;
  readonly below: Map<string, LackingNode>;
}

/** Paths at which the original has what a commit put that is not in the rewritten history. */
class LackingPaths {
  #root: LackingNode = { isPut: false, below: new Map() };

  add(path: Path): void {
    let at = this.#root;
    for (const key of path) {
      let next = at.below.get(key);
      if (next === undefined) at.below.set(key, (next = { isPut: false, below: new Map() }));
      at = next;
    }
    at.isPut = true;
  }

  /** The original has something else at the path now. */
  drop(path: Path): void {
    const key = path.at(-1);
    if (key === undefined) this.#root = { isPut: false, below: new Map() };
    else this.#at(path.slice(0, -1))?.below.delete(key);
  }

  /** Whether what is at a path was put there, or above it. */
  holds(path: Path): boolean {
    let at: LackingNode | undefined = this.#root;
    for (const key of path) {
      if (at.isPut) return true;
      at = at.below.get(key);
      if (at === undefined) return false;
    }
    return at.isPut;
  }

  #at(path: Path): LackingNode | undefined {
    return path.reduce<LackingNode | undefined>((at, key) => at?.below.get(key), this.#root);
  }
}

function hasAny(revisions: ReadonlySet<number>, after: number, upTo: number): boolean {
  for (const revision of revisions) if (revision > after && revision <= upTo) return true;
  return false;
}
