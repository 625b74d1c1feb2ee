import { BITMAP, FIRST_PAIR, forEachInBranch, type Branch } from './branch.ts';
import { forEachChild, lookup, type Child, type TreeNode } from './node.ts';

type Visit = (key: string, before: Child | undefined, after: Child | undefined) => void;

/**
 * Calls `visit` for each key whose child is not the same object or leaf in both nodes. Wide nodes share the branches
 * that no commit between them changed, so that one change among a million keys is found in a few steps.
 */
export function forEachDifferentChild(before: TreeNode, after: TreeNode, visit: Visit): void {
  if (before.branch !== undefined && after.branch !== undefined) {
    compareBranches(before.branch, after.branch, visit);
    return;
  }
  forEachChild(before, (key, child) => {
    const other = lookup(after, key);
    if (other !== child) visit(key, child, other);
  });
  forEachChild(after, (key, child) => {
    if (lookup(before, key) === undefined) visit(key, undefined, child);
  });
}

function compareBranches(before: Branch<Child>, after: Branch<Child>, visit: Visit): void {
  if (before === after) return;
  // A branch below the last level has no bitmap, only a list of keys.
  if (before[BITMAP] === 0 || after[BITMAP] === 0) {
    compareEntries(entriesOf(before), entriesOf(after), visit);
    return;
  }
  let beforeSlot = FIRST_PAIR;
  let afterSlot = FIRST_PAIR;
  for (let index = 0; index < 32; index++) {
    const bit = 1 << index;
    const old = (before[BITMAP] & bit) === 0 ? undefined : before;
    const present = (after[BITMAP] & bit) === 0 ? undefined : after;
    if (old !== undefined || present !== undefined) compareSlots(old, beforeSlot, present, afterSlot, visit);
    if (old !== undefined) beforeSlot += 2;
    if (present !== undefined) afterSlot += 2;
  }
}

function compareSlots(
  before: Branch<Child> | undefined,
  beforeSlot: number,
  after: Branch<Child> | undefined,
  afterSlot: number,
  visit: Visit,
): void {
  const old = before?.[beforeSlot + 1];
  const present = after?.[afterSlot + 1];
  if (old === present && before?.[beforeSlot] === after?.[afterSlot]) return;
  if (isDeeper(before, beforeSlot) && isDeeper(after, afterSlot)) compareBranches(old as Branch<Child>, present as Branch<Child>, visit);
  else compareEntries(entriesAt(before, beforeSlot), entriesAt(after, afterSlot), visit);
}

/** Whether the slot holds a deeper branch and no entry. */
function isDeeper(branch: Branch<Child> | undefined, slot: number): boolean {
  return branch !== undefined && branch[slot] === undefined;
}

function compareEntries(before: ReadonlyMap<string, Child>, after: ReadonlyMap<string, Child>, visit: Visit): void {
  for (const [key, child] of before) {
    const other = after.get(key);
    if (other !== child) visit(key, child, other);
  }
  for (const [key, child] of after) if (!before.has(key)) visit(key, undefined, child);
}

function entriesAt(branch: Branch<Child> | undefined, slot: number): ReadonlyMap<string, Child> {
  if (branch === undefined) return new Map();
  const content = branch[slot + 1];
  return isDeeper(branch, slot) ? entriesOf(content as Branch<Child>) : new Map([[branch[slot] as string, content as Child]]);
}

function entriesOf(branch: Branch<Child>): ReadonlyMap<string, Child> {
  const entries = new Map<string, Child>();
  forEachInBranch(branch, (key, child) => entries.set(key, child));
  return entries;
}
