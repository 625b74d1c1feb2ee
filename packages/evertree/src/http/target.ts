import { invalidPath, parsePath, type Path } from '@evertree/core';
import { RequestError } from './problem.ts';

/**
 * A request target as it came, taken apart but not decoded: URL parsers would collapse `/data/a/../b`. It is ASCII:
 * Node refuses any other.
 */
export interface RequestTarget {
  /** The path, percent-encodings untouched. */
  readonly path: string;
  /** Decoded names and values. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Host and port of a target in absolute form, as proxies send it. */
  readonly authority: string | undefined;
}

/** @throws RequestError REQUEST_INVALID */
export function parseTarget(raw: string): RequestTarget {
  const absolute = /^https?:\/\/([^/?#]*)/i.exec(raw);
  const local = absolute === null ? raw : raw.slice(absolute[0].length);
  const question = local.indexOf('?');
  const path = question < 0 ? local : local.slice(0, question);
  return {
    path: path === '' ? '/' : path,
    parameters: question < 0 ? NO_PARAMETERS : parseParameters(local.slice(question + 1)),
    authority: absolute?.[1],
  };
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();

function parseParameters(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decodeParameter(equals < 0 ? part : part.slice(0, equals));
    if (parameters.has(name)) throw new RequestError('REQUEST_INVALID', `the parameter ${JSON.stringify(name)} is there twice`);
    parameters.set(name, equals < 0 ? '' : decodeParameter(part.slice(equals + 1)));
  }
  return parameters;
}

/** As forms and URLSearchParams write them: a plus is a space. */
function decodeParameter(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new RequestError('REQUEST_INVALID', `${JSON.stringify(text.slice(0, 100))} in the query is not percent-encoded UTF-8`);
  }
}

/**
 * The path that a target means below `prefix` (`/data`): `/data` is the root, `/data/` the key "", `/data?pointer=…`
 * any.
 * @param others parameters that the target may have beside `pointer`
 * @throws EvertreeError PATH_INVALID; RequestError REQUEST_INVALID for a pointer and a path in one, or another
 *   parameter
 */
export function targetPath(target: RequestTarget, prefix: string, others: readonly string[] = []): Path {
  const rest = pathBelow(target, prefix, others);
  if (typeof rest !== 'string') return parsePath(rest.pointer);
  if (rest === '') return [];
  // A decoded segment may hold a slash of its own: as "~1" it stays within its segment.
  return parsePath(rest.split('/').slice(1).map(decodeSegment).reduce(joinSegments, ''));
}

/** What is said in a header, by names that may be tried as parameters. */
const HEADERS: Readonly<Record<string, string>> = {
  acknowledge: 'Evertree-Acknowledge',
  wait: 'Prefer: wait=SECONDS',
  author: 'Evertree-Author',
  message: 'Evertree-Message',
  token: 'Authorization: Bearer TOKEN',
};

/** @throws RequestError REQUEST_INVALID for a parameter that is not among `known` */
export function refuseOtherParameters({ parameters }: RequestTarget, known: readonly string[]): void {
  for (const name of parameters.keys()) {
    if (known.includes(name)) continue;
    const remedy = Object.hasOwn(HEADERS, name)
      ? `it is the header ${HEADERS[name]}`
      : `known here: ${known.length === 0 ? 'none' : known.join(', ')}`;
    throw new RequestError('REQUEST_INVALID', `the parameter ${JSON.stringify(name.slice(0, 100))} means nothing here; ${remedy}`);
  }
}

/** The raw text after the prefix, or the pointer that stands in the query. */
export function pathBelow(target: RequestTarget, prefix: string, others: readonly string[] = []): string | { readonly pointer: string } {
  const rest = target.path.slice(prefix.length);
  const pointer = target.parameters.get('pointer');
  refuseOtherParameters(target, ['pointer', ...others]);
  if (pointer === undefined) return rest;
  if (rest !== '') throw new RequestError('REQUEST_INVALID', `a path and ?pointer= in one target; write ${prefix}?pointer=… alone`);
  return { pointer };
}

/** @throws EvertreeError PATH_INVALID */
export function decodeSegment(raw: string): string {
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw invalidPath(`/${raw.slice(0, 100)}`, 'has a percent-encoding that is not UTF-8; write "%" itself as "%25"');
  }
}

function joinSegments(pointer: string, segment: string): string {
  return `${pointer}/${segment.replaceAll('/', '~1')}`;
}
