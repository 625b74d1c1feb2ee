import { closeSum, formatDigest, hashKey, hashLeaf, lanes } from './digest.ts';
import { adopt, assign, childAt, copyNode, hashOfKey, lookup, lookupHashed, reach, slotOf, TreeNode, type Child } from './node.ts';
import { sameContent } from './content.ts';
import { sumAgain, TouchedLevel } from './touched-level.ts';
import { UndoLog } from './undo-log.ts';
import { checkNewKeys, formatPath, invalidPath, ROOT, type Path } from './path.ts';
import type { Value } from './value.ts';

/** What `put` and `delete` did. */
export const UNCHANGED = -1;

/** The last generation of any tree. No two trees have one in common: so none changes in place what another one holds. */
let generations = 0;

/**
 * The data tree: copy-on-write by generation.
 *
 * Nodes of the present generation are changed in place. `pin` begins a new generation: from then on every node that a
 * pinned root still reaches is copied before its first change. So a commit costs the depth of its path, and a pin costs
 * only the mixing of touched nodes.
 *
 * Digests: a change adjusts the sum of the node in which it happens and marks the nodes above as touched. `mixTouched`
 * brings their sums up to date, the deepest first. It runs before a frame is cut, before a pin, and before an inner
 * node is removed or replaced, so that the term which is subtracted from the parent's sum is exact.
 */
export class Tree {
  root: TreeNode;
  generation = ++generations;
  /** The nodes that the last put, delete or reach went through, from the root; one for each segment but the last. */
  readonly trail: TreeNode[] = [];
  /**
   * For ApplySink: the nodes that a frame names. The arrays are reused, because growing them anew for each frame is
   * expensive.
   */
  readonly named: { readonly nodes: TreeNode[]; readonly parents: number[]; readonly levels: number[] } = {
    nodes: [],
    parents: [],
    levels: [],
  };
  /** Every assignment since `undo.clear()`: enough to take all of them back. */
  readonly undo = new UndoLog();
  /** Index of the trail's last node; -1 for the root's own path. */
  #trailEnd = -1;
  /** Low lane of the hash of the last key that `put` or `delete` wrote to. */
  keyLo = 0;
  /**
   * The keys along which `#reach` filled the trail, and how many of them count. Of those that do, all nodes of the trail
   * are in the tree and belong to the present generation. -1: not even the root.
   */
  readonly #reachedKeys: string[] = [];
  #reached = -1;
  /** Touched nodes by their depth. The parents of a touched node, up to the root, are touched, too. */
  readonly #touched: TouchedLevel[] = [];

  constructor(root?: TreeNode) {
    this.root = root ?? new TreeNode(this.generation);
  }

  get(path: Path): Child | Value | undefined {
    if (path.length > 0 && this.#hasReached(path)) {
      return lookup(this.trail[path.length - 1]!, path[path.length - 1]!);
    }
    return getFrom(this.root, path);
  }

  /**
   * Puts a child at a path and makes missing parents.
   * @returns the length of the path at which the tree changed: that of `path`, or that of the topmost parent that was
   *   made; UNCHANGED for an equal value
   * @throws EvertreeError PATH_INVALID for a path through a leaf or an array; nothing changed then
   */
  put(path: Path, child: Child): number {
    if (path.length === 0) return this.#putRoot(child);
    const last = path.length - 1;
    const made = this.#reach(path, last, true);
    const parent = this.trail[last]!;
    const key = path[last]!;
    const slot = slotOf(parent, key);
    hashOfKey(parent, slot, key);
    const { lo, hi } = lanes;
    this.keyLo = lo;
    const old = childAt(parent, slot, key, lo);
    if (old === undefined) {
      if (made === 0) checkNewKeys(path, last);
    } else if (old === child || (typeof child === 'object' && this.#isSame(old, child))) {
      return UNCHANGED;
    }
    this.change(parent, key, lo, hi, old, child, slot);
    this.#touch(last);
    return made === 0 ? path.length : made;
  }

  /** Removes the child at a path. @returns the path's length, or UNCHANGED when there was none */
  delete(path: Path): number {
    if (path.length === 0) return this.#putRoot(new TreeNode(this.generation));
    const last = path.length - 1;
    if (this.#reach(path, last, false) < 0) return UNCHANGED;
    const parent = this.trail[last]!;
    const key = path[last]!;
    const slot = slotOf(parent, key);
    hashOfKey(parent, slot, key);
    const { lo, hi } = lanes;
    this.keyLo = lo;
    const old = childAt(parent, slot, key, lo);
    if (old === undefined) return UNCHANGED;
    this.change(parent, key, lo, hi, old, undefined, slot);
    this.#touch(last);
    return path.length;
  }

  /**
   * Changes one child of a node of this generation and logs how to take that back. The caller marks the nodes above as
   * touched. Before an inner node is removed or replaced it mixes all touched nodes.
   * @param slot as slotOf tells, for who asked it already
   */
  change(
    parent: TreeNode,
    key: string,
    keyLo: number,
    keyHi: number,
    old: Child | undefined,
    child: Child | undefined,
    slot?: number,
  ): void {
    if (old instanceof TreeNode) {
      this.mixTouched();
      this.#reached = -1;
    }
    assign(parent, key, keyLo, keyHi, old, child, slot);
    this.undo.push(parent, key, old);
  }

  /**
   * The child of a node under a key, as a node of this generation; it is made if there is none.
   * @param level the parent's depth
   */
  step(parent: TreeNode, key: string, keyLo: number, keyHi: number, level: number, present: Child | undefined): TreeNode {
    if (present === undefined) {
      const made = new TreeNode(this.generation);
      this.change(parent, key, keyLo, keyHi, undefined, made);
      return made;
    }
    if (!(present instanceof TreeNode)) throw throughLeaf(key, level, present);
    if (present.generation === this.generation) return present;
    const copy = copyNode(present, this.generation);
    adopt(parent, key, copy);
    return copy;
  }

  /** The root, as a node of this generation. */
  ownRoot(): TreeNode {
    if (this.root.generation !== this.generation) this.root = copyNode(this.root, this.generation);
    return this.root;
  }

  /**
   * Marks a node, but not its parents, as touched.
   * @param level its depth, at least 1: the root has no parent whose sum would change
   */
  markTouched(node: TreeNode, parent: TreeNode, level: number): void {
    node.touched = true;
    while (this.#touched.length <= level) this.#touched.push(new TouchedLevel());
    this.#touched[level]!.push(node, parent);
  }

  /** Brings the sums of all nodes up to date. */
  mixTouched(): void {
    for (let level = this.#touched.length - 1; level > 0; level--) this.#touched[level]!.mix();
  }

  /** As mixTouched, in steps. Nothing may change the tree between them. */
  *mixSteps(): Generator<void> {
    for (let level = this.#touched.length - 1; level > 0; level--) yield* this.#touched[level]!.mixSteps();
  }

  /** Digest of the whole tree, 16 hex digits. */
  digest(): string {
    this.mixTouched();
    return digestOf(this.root);
  }

  /** Digest of what stands at a path, 16 hex digits; undefined if there is nothing. */
  digestAt(path: Path): string | undefined {
    this.mixTouched();
    const child = this.get(path);
    return child === undefined ? undefined : digestOf(child);
  }

  /** Freezes the present state: the root that is returned never changes again, and its sums are up to date. */
  pin(): TreeNode {
    this.mixTouched();
    this.undo.clear();
    this.#reached = -1;
    // A root of an earlier generation is frozen already: nothing changed since it was pinned.
    if (this.root.generation === this.generation) this.generation = ++generations;
    return this.root;
  }

  /** Another tree with the same content. Each of the two copies what both have before it changes it. */
  fork(): Tree {
    return new Tree(this.pin());
  }

  /** Goes back to a pinned root. Everything that came after it is dropped. */
  restore(root: TreeNode): void {
    for (const level of this.#touched) level.clear();
    this.root = root;
    this.undo.clear();
    this.#reached = -1;
  }

  /** Takes back the put or delete at this path, which has to be the only one since `undo.clear()`. */
  takeBackLast(path: Path): void {
    if (this.undo.empty) return;
    this.#takeBack();
    for (let level = 1; level <= this.#trailEnd; level++) {
      const node = this.trail[level]!;
      const parent = this.trail[level - 1]!;
      if (lookup(parent, path[level - 1]!) !== node) break;
      if (!node.touched) this.markTouched(node, parent, level);
    }
  }

  /**
   * Fills the trail along a path whose parents all exist. The nodes are for reading only.
   * @param previous the path that was followed just before, if nothing changed since: its parents are not looked up again
   */
  follow(path: Path, previous: Path = ROOT): void {
    const last = path.length - 1;
    let level = 0;
    while (level < last && level < previous.length - 1 && path[level] === previous[level]) level++;
    this.trail[0] = this.root;
    this.#trailEnd = last;
    this.#reached = -1;
    let node = this.trail[level]!;
    for (; level < last; level++) this.trail[level + 1] = node = lookup(node, path[level]!) as TreeNode;
  }

  /** Takes back every change since `undo.clear()`. Costs a pass over the whole tree. */
  takeBackAll(): void {
    this.#takeBack();
    for (const level of this.#touched) level.clear();
    sumAgain(this.root);
  }

  #takeBack(): void {
    this.#reached = -1;
    this.undo.takeBack((node, key, old) => {
      if (node === undefined) {
        this.root = old as TreeNode;
        return;
      }
      hashKey(key);
      const { lo, hi } = lanes;
      const present = lookupHashed(node, key, lo);
      if (present instanceof TreeNode) this.mixTouched();
      assign(node, key, lo, hi, present, old);
    });
  }

  /** Whether a child that is in no tree yet equals one of this tree. Objects whose sums differ are not walked. */
  #isSame(present: Child, child: Child): boolean {
    if (!(present instanceof TreeNode) || !(child instanceof TreeNode)) return sameContent(present, child);
    this.mixTouched();
    return present.sumLo === child.sumLo && present.sumHi === child.sumHi && sameContent(present, child);
  }

  #putRoot(child: Child): number {
    if (!(child instanceof TreeNode)) throw invalidPath('', 'is the root, which is always an object; put an object there');
    if (this.#isSame(this.root, child)) return UNCHANGED;
    this.mixTouched();
    this.undo.push(undefined, '', this.root);
    this.root = child;
    this.#trailEnd = -1;
    this.#reached = -1;
    return 0;
  }

  /**
   * Fills the trail with nodes of this generation along a path.
   * @returns 0, or the length of the path of the first node that was made; -1 if one is missing and none is to be made
   */
  #reach(path: Path, last: number, make: boolean): number {
    const trail = this.trail;
    const keys = this.#reachedKeys;
    // Paths that follow one another often have parents in common.
    const most = Math.min(last, this.#reached);
    let level = 0;
    while (level < most && path[level] === keys[level]) level++;
    this.#trailEnd = last;
    if (this.#reached < 0) trail[0] = this.ownRoot();
    else if (level === last) return 0;
    this.#reached = -1;
    let node = trail[level]!;
    let made = 0;
    for (; level < last; level++) {
      const key = path[level]!;
      let child = reach(node, key);
      if (!(child instanceof TreeNode) || child.generation !== this.generation) {
        if (child !== undefined && !(child instanceof TreeNode)) throw throughLeaf(path, level, child);
        if (child === undefined && !make) return -1;
        if (child === undefined && made === 0) {
          checkNewKeys(path, level);
          made = level + 1;
        }
        hashKey(key);
        child = this.step(node, key, lanes.lo, lanes.hi, level, child);
      }
      keys[level] = key;
      trail[level + 1] = child;
      node = child;
    }
    this.#reached = last;
    return made;
  }

  /** Whether the trail leads to the parent of a path. Compared from the lowest key: as a rule that one differs. */
  #hasReached(path: Path): boolean {
    if (path.length - 1 > this.#reached) return false;
    const keys = this.#reachedKeys;
    for (let level = path.length - 2; level >= 0; level--) if (path[level] !== keys[level]) return false;
    return true;
  }

  /** Marks the trail's nodes from `level` up to the first one that is marked already. */
  #touch(level: number): void {
    const trail = this.trail;
    for (let at = level; at > 0; at--) {
      const node = trail[at]!;
      if (node.touched) return;
      this.markTouched(node, trail[at - 1]!, at);
    }
  }
}

/**
 * The value at a path below a root, or undefined. A path may lead into arrays, by index, and into objects inside them.
 */
export function getFrom(root: TreeNode, path: Path): Child | Value | undefined {
  let at: Child | Value | undefined = root;
  for (const key of path) {
    if (at instanceof TreeNode) at = lookup(at, key);
    else if (typeof at === 'object' && at !== null) at = getInside(at, key);
    else return undefined;
  }
  return at;
}

/** An item of an array, or a member of an object inside one. */
export function getInside(value: Value & object, key: string): Value | undefined {
  if (Array.isArray(value)) return isIndex(key) ? (value[Number(key)] as Value | undefined) : undefined;
  return Object.hasOwn(value, key) ? (value as { readonly [key: string]: Value })[key] : undefined;
}

/** An index of an array, as RFC 6901 writes it: without leading zeros. */
export function isIndex(key: string): boolean {
  return /^(?:0|[1-9]\d{0,9})$/.test(key);
}

/** Digest of a child whose touched nodes are mixed, 16 hex digits. */
export function digestOf(child: Child | Value): string {
  if (child instanceof TreeNode) closeSum(child.sumLo, child.sumHi);
  else hashLeaf(child);
  return formatDigest(lanes.lo, lanes.hi);
}

function throughLeaf(path: Path | string, level: number, child: Child): Error {
  const kind = Array.isArray(child) ? 'an array, which is replaced whole' : 'a value, not an object';
  if (typeof path === 'string') return invalidPath([path], `leads through ${kind} (at depth ${level + 1})`);
  const through = path.slice(0, level + 1);
  const remedy = `; put the whole array, or change what is in it with patch at ${JSON.stringify(formatPath(through))}`;
  return invalidPath(path, `leads through ${JSON.stringify(through.at(-1))}, which is ${kind}${Array.isArray(child) ? remedy : ''}`);
}
