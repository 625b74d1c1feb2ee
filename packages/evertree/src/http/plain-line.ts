import { keyOfBytes } from '@evertree/core';

/** What a plain line puts, and where. One object for all lines: what it holds is used up before the next is read. */
export interface PlainPut {
  path: string[];
  value: string | number;
}

const OPENING = Buffer.from('["put","/');
/** Longer lines are for the parser of any line: limits of pointers and depths lie beyond. */
const LONGEST_BYTES = 1_024;
/** A number of so many digits is exact. */
const EXACT_DIGITS = 15;

const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const SLASH = 47;
const ZERO = 48;
const NINE = 57;
const BACKSLASH = 92;
const CLOSING = 93;
const TILDE = 126;
const NEWLINE = 10;
const SPACE = 32;

/**
 * Reads `["put","/a/b",12.5]` or `["put","/a/b","text"]`, written just so, without escapes: by far the most lines of a
 * batch. It makes neither a text of the line nor new strings of the keys, which is half of what a line costs otherwise.
 * @param bytes lines of ASCII
 * @returns where the next line begins; undefined for any other line, which parseExactJson is to read, or to refuse
 */
export function readPlainPut(bytes: Buffer, start: number, put: PlainPut): number | undefined {
  for (let index = 0; index < OPENING.length; index++) if (bytes[start + index] !== OPENING[index]) return undefined;
  const pathEnd = readPath(bytes, start + OPENING.length, put);
  if (pathEnd === undefined || bytes[pathEnd + 1] !== COMMA) return undefined;
  const valueEnd = readValue(bytes, pathEnd + 2, put);
  if (valueEnd === undefined || bytes[valueEnd] !== CLOSING) return undefined;
  return valueEnd + 1 === bytes.length || bytes[valueEnd + 1] === NEWLINE ? valueEnd + 2 : undefined;
}

/** @returns where the closing quote is */
function readPath(bytes: Buffer, start: number, put: PlainPut): number | undefined {
  const path: string[] = [];
  const most = Math.min(bytes.length, start + LONGEST_BYTES);
  let from = start;
  for (let at = start; at < most; at++) {
    const byte = bytes[at]!;
    if (byte === SLASH || byte === QUOTE) {
      path.push(keyOfBytes(bytes, from, at));
      from = at + 1;
      if (byte === SLASH) continue;
      put.path = path;
      return at;
    }
    if (byte < SPACE || byte === BACKSLASH || byte >= TILDE) return undefined;
  }
  return undefined;
}

/** @returns where the value ends */
function readValue(bytes: Buffer, start: number, put: PlainPut): number | undefined {
  if (bytes[start] === QUOTE) return readText(bytes, start + 1, put);
  const negative = bytes[start] === MINUS;
  const digits = negative ? start + 1 : start;
  const point = endOfDigits(bytes, digits);
  const whole = point - digits;
  // No leading zeros in JSON.
  if (whole === 0 || (bytes[digits] === ZERO && whole > 1) || whole > EXACT_DIGITS) return undefined;
  if (bytes[point] !== POINT) {
    let value = 0;
    for (let at = digits; at < point; at++) value = value * 10 + (bytes[at]! - ZERO);
    put.value = negative ? -value : value;
    return point;
  }
  const end = endOfDigits(bytes, point + 1);
  if (end === point + 1 || end - point > EXACT_DIGITS) return undefined;
  put.value = Number(bytes.toString('latin1', start, end));
  return end;
}

function endOfDigits(bytes: Buffer, start: number): number {
  let end = start;
  for (let byte = bytes[end]!; byte >= ZERO && byte <= NINE; byte = bytes[end]!) end++;
  return end;
}

/** @returns the offset behind the closing quote */
function readText(bytes: Buffer, start: number, put: PlainPut): number | undefined {
  const most = Math.min(bytes.length, start + LONGEST_BYTES);
  for (let at = start; at < most; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      put.value = bytes.toString('latin1', start, at);
      return at + 1;
    }
    if (byte < SPACE || byte === BACKSLASH || byte > TILDE) return undefined;
  }
  return undefined;
}
