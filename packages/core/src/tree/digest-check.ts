import { closeSum, hashKey, hashLeaf, lanes, mix } from './digest.ts';
import { eachChild, TreeNode, type Child } from './node.ts';
import type { Path } from './path.ts';

/** Children that are looked at between two pauses: some 2 ms of work. */
const CHILDREN_A_STEP = 2_048;
/** The most damaged objects that one check names. */
export const DAMAGED_LIMIT = 1_024;

/** What a check of a tree found. */
export interface DigestCheck {
  /** How many objects were looked at. */
  readonly objects: number;
  /** Objects whose children do not give the sum that is kept for them; at most DAMAGED_LIMIT. */
  readonly damaged: readonly Path[];
}

interface Unchecked {
  readonly node: TreeNode;
  readonly above: Unchecked | undefined;
  readonly key: string;
}

/**
 * Adds up the children of every object of a pinned tree anew, and compares with the sum that is kept. Digests answer
 * from the kept sums, so that nothing else finds a value that changed in memory after its sum. The generator pauses
 * after each step.
 */
export function* checkDigests(root: TreeNode): Generator<void, DigestCheck, void> {
  const damaged: Path[] = [];
  const left: Unchecked[] = [{ node: root, above: undefined, key: '' }];
  let objects = 0;
  let work = 0;
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    objects++;
    let lo = 0;
    let hi = 0;
    for (const [key, child] of eachChild(next.node)) {
      if (child instanceof TreeNode) left.push({ node: child, above: next, key });
      addTerm(key, child);
      lo = (lo + lanes.lo) | 0;
      hi = (hi + lanes.hi) | 0;
      if (++work % CHILDREN_A_STEP === 0) yield;
    }
    const { sumLo, sumHi } = next.node;
    if ((lo !== (sumLo | 0) || hi !== (sumHi | 0)) && damaged.length < DAMAGED_LIMIT) damaged.push(pathOf(next));
  }
  return { objects, damaged };
}

/** Leaves the child's term in `lanes`. */
function addTerm(key: string, child: Child): void {
  hashKey(key);
  const { lo: keyLo, hi: keyHi } = lanes;
  if (child instanceof TreeNode) closeSum(child.sumLo, child.sumHi);
  else hashLeaf(child);
  mix(keyLo, keyHi);
}

function pathOf(unchecked: Unchecked): Path {
  const path: string[] = [];
  for (let at = unchecked; at.above !== undefined; at = at.above) path.push(at.key);
  return path.toReversed();
}
