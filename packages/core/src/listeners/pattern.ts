import { parsePath } from '../tree/path.ts';

/** A wildcard in an array of segments: matches any one key. In a pointer it is a segment that is `*`. */
export const any: unique symbol = Symbol('any key');

export type Pattern = readonly (string | typeof any)[];

/** A pointer such as `/devices/*\/status`, or segments, in which `'*'` is a key like any other. */
export type PatternLike = string | Pattern;

/** @throws EvertreeError PATH_INVALID */
export function parsePattern(pattern: PatternLike): Pattern {
  if (typeof pattern === 'string') return parsePath(pattern).map(segment => (segment === '*' ? any : segment));
  // Without its wildcards it has to be a path.
  if (Array.isArray(pattern)) parsePath(pattern.map(segment => (segment === any ? '' : segment)) as string[]);
  else parsePath(pattern as unknown as string[]);
  return [...pattern];
}

/** For people. */
export function formatPattern(pattern: Pattern): string {
  return pattern.map(segment => `/${segment === any ? '*' : segment.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

export function hasWildcard(pattern: Pattern): boolean {
  return pattern.includes(any);
}
