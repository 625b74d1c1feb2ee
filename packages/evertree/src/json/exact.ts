import { EvertreeError, formatPath, parseJson, type Path } from '@evertree/core';
import { faultOffset, lineAndColumn, locate } from './location.ts';
import type { JsonLocation } from './location.ts';
import { lastCharacter, remedyFor } from './remedy.ts';

/**
 * Reads a JSON text like JSON.parse, but refuses what that would alter: an integer that a double can't hold
 * (9007199254740993 would become …992), a number beyond every double (1e400), one that would vanish (1e-400). A
 * fraction is rounded to the nearest double, as every reader of JSON does; an integer that is written out again as it
 * came (123456789012345680000, 1e23) is taken.
 * @param at the path at which the value will stand, for errors
 * @throws EvertreeError VALUE_INVALID with `line` and `column`, from 1, and for a number `path`, the pointer to it
 */
export function parseExactJson(text: string, at: Path = []): unknown {
  return parseExcerpt(text, {
    locateFault: () => faultAt(text, faultOffset(text)),
    locateNumber: offset => withPath(locate(text, offset), at),
  });
}

/** Tells where something is in the whole text that another text is an excerpt of. Asked for errors only. */
export interface Excerpt {
  /**
   * The offset at which the excerpt is no longer JSON, and the text there; `rest` is empty at the end of the whole
   * text.
   */
  locateFault(): FaultLocation;
  /** Where the number at an offset of the excerpt is; its path begins at the root of the tree. */
  locateNumber(offset: number): JsonLocation;
}

export interface FaultLocation {
  readonly line: number;
  readonly column: number;
  readonly rest: string;
  /** The last character before it that is no blank; empty if there is none. */
  readonly before: string;
}

/** As parseExactJson, for a text that is JSON and is part of a larger one. */
export function parseExcerpt(text: string, excerpt: Excerpt): unknown {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw notJson(excerpt.locateFault(), error as Error);
  }
  // A string has no numbers, and to look through 16 MiB of escapes takes 0.1 s.
  if (typeof value !== 'string' && SUSPECT.test(text)) checkNumbers(text, excerpt);
  return value;
}

export function notJson({ line, column, rest, before }: FaultLocation, cause?: Error): EvertreeError {
  const found = rest === '' ? 'the text ends' : `there is ${JSON.stringify(rest)}`;
  const remedy = remedyFor(rest, before);
  const message = `this is not JSON: at line ${line}, column ${column}, ${found}${remedy === undefined ? '' : `; ${remedy}`}`;
  return new EvertreeError('VALUE_INVALID', message, { line, column }, cause);
}

function faultAt(text: string, offset: number): FaultLocation {
  return {
    ...lineAndColumn(text, offset),
    rest: text.slice(offset, offset + SHOWN_CHARACTERS),
    before: lastCharacter(text.slice(0, offset)),
  };
}

function withPath({ line, column, path }: JsonLocation, at: Path): JsonLocation {
  return { line, column, path: [...at, ...path] };
}

/**
 * What a number looks like that a double may not hold: many digits, or an exponent. Cheap, and also found inside
 * strings.
 */
const SUSPECT = /\d{16}|\d[eE][-+\d]/;
const NUMBER = /(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?/y;
/** An integer of so many digits is exact. */
const EXACT_DIGITS = 15;
/** A fraction of fewer digits is no smaller than the smallest double. */
const HARMLESS_DIGITS = 300;

/** How many characters of the wrong text an error shows. */
const SHOWN_DIGITS = 40;
const SHOWN_CHARACTERS = 20;

const QUOTE = 34;
const BACKSLASH = 92;
const ZERO = 48;
const NINE = 57;
const POINT = 46;
const EXPONENT = 101;
const LOWER_CASE = 32;

/** Checks each number of a text that is known to be JSON, so that only strings and numbers need to be told apart. */
function checkNumbers(text: string, excerpt: Excerpt): void {
  for (let index = 0; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character === QUOTE) index = endOfString(text, index);
    else if (character >= ZERO && character <= NINE) {
      const end = endOfHarmless(text, index);
      if (end === undefined) index = checkNumber(text, index, excerpt);
      else index = end - 1;
    }
  }
}

/**
 * Where the number that begins at `start` ends, if it has no exponent, and too few digits for anything to be wrong with
 * it.
 */
function endOfHarmless(text: string, start: number): number | undefined {
  const point = endOfDigits(text, start);
  if (point - start > EXACT_DIGITS) return undefined;
  const end = text.charCodeAt(point) === POINT ? endOfDigits(text, point + 1) : point;
  const next = text.charCodeAt(end) | LOWER_CASE;
  return next === EXPONENT || end - point > HARMLESS_DIGITS ? undefined : end;
}

function endOfDigits(text: string, start: number): number {
  let end = start;
  for (let digit = text.charCodeAt(end); digit >= ZERO && digit <= NINE; digit = text.charCodeAt(end)) end++;
  return end;
}

/** @returns the offset of the number's last character */
function checkNumber(text: string, offset: number, excerpt: Excerpt): number {
  NUMBER.lastIndex = offset;
  const [literal = ''] = NUMBER.exec(text) ?? [];
  const problem = problemOf(literal, text.charAt(offset - 1) === '-' ? '-' : '');
  if (problem !== undefined) throw inexact(text, offset, literal, problem, excerpt);
  return offset + literal.length - 1;
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  for (;;) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
    end = text.indexOf('"', end + 1);
  }
}

function problemOf(literal: string, sign: string): string | undefined {
  const number = Number(literal);
  if (!Number.isFinite(number)) return 'is beyond 1.8e308, the largest number that is held';
  const written = decimal(literal);
  if (written.digits === '') return undefined;
  if (number === 0) return 'is nearer to 0 than 5e-324, the smallest number that is held';
  if (written.exponent < 0) return undefined;
  const exact = BigInt(number).toString();
  if (same(written, decimal(String(number))) || same(written, decimal(exact))) return undefined;
  return `is an integer that a double can't hold; it would become ${sign}${exact}`;
}

/** The number `digits` × 10^`exponent`, its digits without zeros at either end. */
interface Decimal {
  readonly digits: string;
  readonly exponent: number;
}

function decimal(literal: string): Decimal {
  NUMBER.lastIndex = 0;
  const [, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(literal) ?? [];
  const digits = whole + fraction;
  let start = 0;
  while (digits.charCodeAt(start) === ZERO) start++;
  let end = digits.length;
  while (end > start && digits.charCodeAt(end - 1) === ZERO) end--;
  return { digits: digits.slice(start, end), exponent: Number(exponent) - fraction.length + (digits.length - end) };
}

function same(a: Decimal, b: Decimal): boolean {
  return a.digits === b.digits && a.exponent === b.exponent;
}

function inexact(text: string, offset: number, literal: string, problem: string, excerpt: Excerpt): EvertreeError {
  const sign = text.charAt(offset - 1) === '-' ? '-' : '';
  const { line, column, path } = excerpt.locateNumber(offset - sign.length);
  const pointer = formatPath(path);
  const shown = sign + (literal.length > SHOWN_DIGITS ? `${literal.slice(0, SHOWN_DIGITS)}…` : literal);
  return new EvertreeError(
    'VALUE_INVALID',
    `the number ${shown} at ${JSON.stringify(pointer)} (line ${line}, column ${column}) ${problem}; send it as a string`,
    { line, column, path: pointer },
  );
}
