import { EvertreeError } from '../errors.ts';
import type { TreeNode } from '../tree/node.ts';
import { formatPath, ROOT, type Path } from '../tree/path.ts';
import { PatternTrie } from '../listeners/pattern-trie.ts';
import { formatPattern, parsePattern, type Pattern, type PatternLike } from '../listeners/pattern.ts';
import { exportMatched, matchesBelow } from '../listeners/matched-value.ts';
import { getFrom } from '../tree/tree.ts';

/** The part of a zod schema that a guard needs. */
export interface GuardSchema {
  safeParse(value: unknown): { readonly success: boolean; readonly error?: unknown };
}

interface Guard {
  readonly pattern: Pattern;
  readonly schema: GuardSchema;
}

/**
 * Schemas bound to paths: a commit is refused if a value at such a path would not parse after it. Absent values are not
 * checked.
 */
export class Guards {
  readonly #guards = new PatternTrie<Guard>();

  get size(): number {
    return this.#guards.size;
  }

  /**
   * @param root the present tree. It has to satisfy the guard: otherwise commits that have nothing to do with the fault
   *   would be refused
   * @throws EvertreeError PATH_INVALID; CONFIGURATION_INVALID if the schema has no `safeParse`; GUARD_FAILED if a value
   *   there does not parse
   */
  add(patternLike: PatternLike, schema: GuardSchema, root: TreeNode): Disposable {
    const pattern = parsePattern(patternLike);
    checkSchema(pattern, schema);
    const guard = { pattern, schema };
    checkGuard(root, guard, ROOT, new Set(), 'stands');
    this.#guards.add(pattern, guard);
    return { [Symbol.dispose]: () => this.#guards.delete(pattern, guard) };
  }

  /**
   * Checks the tree after operations, at the paths that they may have changed.
   * @throws EvertreeError GUARD_FAILED naming the guard, the place and the schema's issues
   */
  check(root: TreeNode, operations: readonly { readonly path: Path }[]): void {
    const judged = new Map<Guard, Set<string>>();
    for (const { path } of operations) {
      this.#guards.visit(path, guard => {
        let places = judged.get(guard);
        if (places === undefined) judged.set(guard, (places = new Set()));
        checkGuard(root, guard, path, places, 'would stand');
      });
    }
  }
}

/** Callers without types may pass anything. Without this check the fault would show at a later commit. */
function checkSchema(pattern: Pattern, schema: Partial<GuardSchema> | null | undefined): void {
  if (typeof schema?.safeParse === 'function') return;
  const name = JSON.stringify(formatPattern(pattern));
  const message = `the schema of the guard on ${name} has no function safeParse; pass a zod schema, or an object with safeParse(value)`;
  throw new EvertreeError('CONFIGURATION_INVALID', message, { guard: formatPattern(pattern), option: 'schema' });
}

/** Checks what a guard's pattern matches at, above or below a path. @param judged paths that were checked already */
function checkGuard(root: TreeNode, guard: Guard, path: Path, judged: Set<string>, tense: 'stands' | 'would stand'): void {
  const { pattern } = guard;
  const judge = (place: Path): void => {
    const pointer = formatPath(place);
    if (judged.has(pointer)) return;
    judged.add(pointer);
    const value = exportMatched(getFrom(root, place));
    const result = value === undefined ? undefined : guard.schema.safeParse(value);
    if (result?.success === false) throw refused(pattern, pointer, tense, result.error);
  };
  if (path.length >= pattern.length) {
    judge(path.slice(0, pattern.length));
    return;
  }
  for (const match of matchesBelow(root, pattern, path)) if (match !== undefined) judge(match.path);
}

/** How many issues an error's message tells; its details have all of them, up to ISSUES_LIMIT. */
const TOLD_ISSUES = 5;
const ISSUES_LIMIT = 1_000;

function refused(pattern: Pattern, pointer: string, tense: 'stands' | 'would stand', error: unknown): EvertreeError {
  const issues = issuesOf(error);
  const told = issues.slice(0, TOLD_ISSUES).map(({ path, message }) => `${JSON.stringify(pointer + formatPath(path))}: ${message}`);
  if (told.length === 0) told.push(JSON.stringify(pointer));
  if (issues.length > told.length) told.push(`and ${issues.length - told.length} more`);
  const message = `the guard on ${JSON.stringify(formatPattern(pattern))} refuses what ${tense} at ${told.join('; ')}`;
  return new EvertreeError('GUARD_FAILED', message, { guard: formatPattern(pattern), path: pointer, issues }, error);
}

/** zod's issues: where and what, without the values. */
function issuesOf(error: unknown): { path: string[]; message: string }[] {
  const issues = (error as { issues?: unknown } | undefined)?.issues;
  if (!Array.isArray(issues)) return [];
  return issues.slice(0, ISSUES_LIMIT).map((issue: { path?: unknown[]; message?: unknown }) => ({
    path: (issue.path ?? []).map(String),
    message: String(issue.message),
  }));
}
