import { formatPath, type Value } from '@evertree/core';
import type { Blame, Change, ChangeOperation, FoundMoment, PathDifference } from '@evertree/history';
import { isOneSlice, valueSlices } from './json-slices.ts';
import { plainPosition } from './write.ts';

/** Small items are put together until they have so many characters: each slice is waited for. Empty ones are pauses. */
const SLICE_CHARACTERS = 4 * 1024;

// The JSON texts of what a history answers, in slices that take a millisecond or two to make. Members stand in a fixed
// order, and the keys of values are sorted, so that equal answers have equal bytes. A value that is not there has no
// member: `null` is a value.

/** The slices of one JSON text. */
export type JsonText = Iterable<string>;

export function* changeJson({ position, time, author, message, begins, ends, mark, operations }: Change): Generator<string> {
  const head = JSON.stringify({
    position: plainPosition(position),
    time,
    author,
    message,
    begins,
    ends,
    mark: mark === undefined ? undefined : { ...mark, position: plainPosition(mark.position) },
  });
  let text = `${head.slice(0, -1)},"operations":[`;
  let isFirst = true;
  for (const operation of operations) {
    if (!isFirst) text += ',';
    isFirst = false;
    for (const slice of operationJson(operation)) {
      text += slice;
      if (text.length >= SLICE_CHARACTERS) {
        yield text;
        text = '';
      } else if (slice === '') {
        yield '';
      }
    }
  }
  yield `${text}]}`;
}

function operationJson({ path, kind, above, before, after }: ChangeOperation): Generator<string> {
  return withValues({ path: formatPath(path), kind, ...(above ? { above } : {}) }, { before, after });
}

export function differenceJson({ path, kind, before, after }: PathDifference): Generator<string> {
  return withValues({ path: formatPath(path), kind }, { before, after });
}

/** As an operation of a JSON patch (RFC 6902), which in this order turns the one state into the other. */
export function patchOperationJson({ path, before, after }: PathDifference): Generator<string> {
  const op = after === undefined ? 'remove' : before === undefined ? 'add' : 'replace';
  return withValues({ op, path: formatPath(path) }, { value: after });
}

export function blameJson({ path, position, time, author, message, kind }: Blame): JsonText {
  return [JSON.stringify({ path: formatPath(path), position: plainPosition(position), time, author, message, kind })];
}

export function* findingJson({ path, before, change }: FoundMoment): Generator<string> {
  const head = JSON.stringify({ path: formatPath(path), before: plainPosition(before) });
  yield `${head.slice(0, -1)},"change":`;
  yield* changeJson(change);
  yield '}';
}

/** @param head has members */
function* withValues(head: object, values: Readonly<Record<string, Value | undefined>>): Generator<string> {
  let text = JSON.stringify(head).slice(0, -1);
  for (const name in values) {
    const value = values[name];
    if (value === undefined) continue;
    text += `,${JSON.stringify(name)}:`;
    if (isOneSlice(value)) {
      text += JSON.stringify(value);
      continue;
    }
    yield text;
    text = '';
    yield* valueSlices(value);
  }
  yield `${text}}`;
}
