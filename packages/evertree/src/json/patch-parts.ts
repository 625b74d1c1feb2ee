import { EvertreeError } from '@evertree/core';
import { isObject, type DifferenceOperation } from './difference.ts';

/** A part with more operations would hold the site's event loop for long. */
const OPERATIONS_LIMIT = 10_000;

/**
 * Cuts a difference into JSON patches that are sent one after the other, each at most `limitBytes` long. An object that
 * is longer is built up from its members; an array or a string is a value of its own, so one that is longer is refused.
 * @throws EvertreeError TOO_LARGE, naming the value
 */
export function* patchParts(operations: readonly DifferenceOperation[], limitBytes: number): Generator<string> {
  let part: string[] = [];
  let partBytes = 0;
  for (const text of operationTexts(operations, limitBytes - 2)) {
    const bytes = Buffer.byteLength(text) + 1;
    if (part.length > 0 && (partBytes + bytes > limitBytes - 1 || part.length === OPERATIONS_LIMIT)) {
      yield `[${part.join(',')}]`;
      part = [];
      partBytes = 0;
    }
    part.push(text);
    partBytes += bytes;
  }
  if (part.length > 0) yield `[${part.join(',')}]`;
}

/** Each operation as JSON of at most `limitBytes`. */
function* operationTexts(operations: Iterable<DifferenceOperation>, limitBytes: number): Generator<string> {
  for (const operation of operations) {
    const text = JSON.stringify(operation);
    const bytes = Buffer.byteLength(text);
    if (bytes <= limitBytes) yield text;
    else if ('value' in operation && isObject(operation.value)) {
      yield JSON.stringify({ ...operation, value: {} });
      yield* operationTexts(membersOf(operation.path, operation.value), limitBytes);
    } else {
      const message = `the value at ${JSON.stringify(operation.path)} takes ${bytes} bytes and can't be cut; the site takes ${limitBytes} in one transaction`;
      throw new EvertreeError('TOO_LARGE', message, { path: operation.path, limitBytes });
    }
  }
}

function* membersOf(path: string, object: Readonly<Record<string, unknown>>): Generator<DifferenceOperation> {
  for (const [key, value] of Object.entries(object)) {
    yield { op: 'add', path: `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, value };
  }
}
