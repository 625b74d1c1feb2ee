import { z } from 'zod';
import { alternatives, keysAt, remedyFor } from '../json/schema-keys.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import type { ConfigurationProblem } from './problem.ts';

export interface Checked<T> {
  readonly problems: readonly ConfigurationProblem[];
  readonly value: T;
}

/**
 * Checks a document against a schema and collects everything that is wrong with it.
 *
 * If something is wrong, `value` is the document without it, so that later checks can find their problems too. The
 * caller throws when all checks are done.
 */
export function checkSchema<T>(document: ConfigurationDocument, schema: z.ZodType<T>): Checked<T> {
  const result = schema.safeParse(document.value);
  if (result.success) return { value: result.data, problems: [] };
  const found = translate(document, schema, result.error.issues, []);
  const problems = new Map(found.map(({ problem }) => [`${problem.key}\n${problem.message}`, problem]));
  const left: unknown = structuredClone(document.value);
  for (const { place } of found) prune(left, place);
  return { value: left as T, problems: [...problems.values()] };
}

/** Removes the value at a path; a section, or an entry of an array, is replaced by an empty object. */
function prune(value: unknown, place: KeyPath): void {
  let parent = value;
  for (const key of place.slice(0, -1)) {
    if (typeof parent !== 'object' || parent === null) return;
    parent = (parent as Record<string | number, unknown>)[key];
  }
  const last = place.at(-1);
  if (typeof parent !== 'object' || parent === null || last === undefined) return;
  if (place.length === 1 || Array.isArray(parent)) (parent as Record<string | number, unknown>)[last] = {};
  else Reflect.deleteProperty(parent, last);
}

interface Found {
  readonly place: KeyPath;
  readonly problem: ConfigurationProblem;
}

function translate(document: ConfigurationDocument, schema: z.ZodType, issues: readonly z.core.$ZodIssue[], above: KeyPath): Found[] {
  return issues.flatMap(issue => {
    const place = [...above, ...(issue.path as (string | number)[])];
    if (issue.code === 'unrecognized_keys') return issue.keys.map(key => unknownKey(document, schema, place, key));
    if (issue.code === 'invalid_union') {
      const branch = meantBranch(issue.errors);
      if (branch !== undefined) return translate(document, schema, branch, place);
    }
    return [wrongValue(document, place, issue.message)];
  });
}

/** The alternative of a union whose type fits the value, so that the problems inside it are worth reporting. */
function meantBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | undefined {
  return branches.find(issues => !issues.some(issue => issue.path.length === 0 && issue.code !== 'unrecognized_keys'));
}

function wrongValue(document: ConfigurationDocument, place: KeyPath, expected: string): Found {
  const message = document.has(place) ? `is ${document.quote(place)}; write ${expected}` : `is missing; it is ${expected}`;
  return { place, problem: document.problem(place, message) };
}

/** Keys at the top that only a primary's file has, and what to do where a secondary's has them. */
const PRIMARYS_KEYS: Readonly<Record<string, string>> = {
  acknowledgement:
    "it belongs into the primary's file: move it there; where this site may become the primary, that is its --standby-config",
};

function unknownKey(document: ConfigurationDocument, schema: z.ZodType, place: KeyPath, key: string): Found {
  const known = keysAt(schema, place);
  const elsewhere = homesOf(schema, key);
  let remedy: string;
  if (place.length === 0 && key in PRIMARYS_KEYS) remedy = PRIMARYS_KEYS[key]!;
  else if (elsewhere.length > 0)
    remedy = `it belongs ${elsewhere.map(home => (home === '' ? 'at the top' : `into "${home}"`)).join(' or ')}`;
  else remedy = known.length === 0 ? 'remove it' : remedyFor(key, known);
  return { place: [...place, key], problem: document.problem([...place, key], `is not known; ${remedy}`) };
}

/** The sections, as dotted keys, that have a key of this name. */
function homesOf(schema: z.ZodType, key: string): string[] {
  const homes = new Set<string>();
  const visit = (node: z.ZodType, place: string): void => {
    for (const candidate of alternatives(node)) {
      if (candidate instanceof z.ZodArray) visit(candidate.element as z.ZodType, place);
      if (!(candidate instanceof z.ZodObject)) continue;
      for (const [name, child] of Object.entries(candidate.shape)) {
        if (name === key) homes.add(place);
        visit(child, place === '' ? name : `${place}.${name}`);
      }
    }
  };
  visit(schema, '');
  return [...homes];
}
