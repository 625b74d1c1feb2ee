import { formatPath, type Value } from '@evertree/core';
import type { Blame, Change, ChangeOperation, FoundMoment, PathDifference } from '@evertree/history';
import { sortedJson } from './json-slices.ts';
import { plainPosition } from './write.ts';

// The JSON texts of what a history answers. Members stand in a fixed order, and the keys of values are sorted, so that
// equal answers have equal bytes. A value that is not there has no member: `null` is a value.

export function changeJson({ position, time, author, message, begins, ends, mark, operations }: Change): string {
  const head = JSON.stringify({
    position: plainPosition(position),
    time,
    author,
    message,
    begins,
    ends,
    mark: mark === undefined ? undefined : { ...mark, position: plainPosition(mark.position) },
  });
  return `${head.slice(0, -1)},"operations":[${operations.map(operationJson).join(',')}]}`;
}

function operationJson({ path, kind, above, before, after }: ChangeOperation): string {
  return withValues({ path: formatPath(path), kind, ...(above ? { above } : {}) }, before, after);
}

export function differenceJson({ path, kind, before, after }: PathDifference): string {
  return withValues({ path: formatPath(path), kind }, before, after);
}

/** As an operation of a JSON patch (RFC 6902), which in this order turns the one state into the other. */
export function patchOperationJson({ path, before, after }: PathDifference): string {
  if (after === undefined) return JSON.stringify({ op: 'remove', path: formatPath(path) });
  return withMember(JSON.stringify({ op: before === undefined ? 'add' : 'replace', path: formatPath(path) }), 'value', after);
}

export function blameJson({ path, position, time, author, message, kind }: Blame): string {
  return JSON.stringify({ path: formatPath(path), position: plainPosition(position), time, author, message, kind });
}

export function findingJson({ path, before, change }: FoundMoment): string {
  const head = JSON.stringify({ path: formatPath(path), before: plainPosition(before) });
  return `${head.slice(0, -1)},"change":${changeJson(change)}}`;
}

function withValues(head: object, before: Value | undefined, after: Value | undefined): string {
  return withMember(withMember(JSON.stringify(head), 'before', before), 'after', after);
}

/** @param json of an object that has members */
function withMember(json: string, name: string, value: Value | undefined): string {
  return value === undefined ? json : `${json.slice(0, -1)},${JSON.stringify(name)}:${sortedJson(value)}}`;
}
