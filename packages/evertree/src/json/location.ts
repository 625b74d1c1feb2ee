import { finishSteps } from '@evertree/core';
import { JsonScanner, type TokenKind } from './scanner.ts';

/** Where something stands in a JSON text. */
export interface JsonLocation {
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Keys and indexes of the value there, or of the value that is being read there. */
  readonly path: readonly string[];
}

/** Tokens between two pauses of `faultSteps`: a millisecond of work. */
const TOKENS_A_STEP = 16_384;

/**
 * Walks a JSON text up to the token at `until`, or up to the first token that JSON does not allow. Only errors need it:
 * it is slow, and never deeper than one function however deep the text nests.
 */
export function locate(text: string, until: number): JsonLocation {
  const scanner = new JsonScanner(text);
  const walk = new Walk();
  for (;;) {
    const token = scanner.next();
    const { offset } = scanner;
    if (offset >= until || !walk.take(token, scanner)) return { offset, ...lineAndColumn(text, offset), path: walk.path.map(String) };
  }
}

/** The offset of the first token that JSON does not allow; the length of a text that ends too early. */
export function faultOffset(text: string): number {
  return finishSteps(faultSteps(text));
}

/** As faultOffset, in steps. */
export function* faultSteps(text: string): Generator<void, number, void> {
  const scanner = new JsonScanner(text);
  const walk = new Walk();
  for (let left = TOKENS_A_STEP; walk.take(scanner.next(), scanner);) {
    if (--left > 0) continue;
    left = TOKENS_A_STEP;
    yield;
  }
  return scanner.offset;
}

const SCALARS: readonly TokenKind[] = ['string', 'number', 'true', 'false', 'null'];

/** What may come next; `first-…`: the container may also be closed at once. */
type Expected = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'comma';

class Walk {
  /** An index for each array, a key for each object that is open. */
  readonly path: (string | number)[] = [];
  #expected: Expected = 'value';

  /** Whether JSON allows the token here. */
  take(token: TokenKind, scanner: JsonScanner): boolean {
    switch (this.#expected) {
      case 'value':
      case 'first-value':
        return this.#takeValue(token);
      case 'key':
      case 'first-key':
        if (token === '}' && this.#expected === 'first-key') return this.#close();
        if (token !== 'string') return false;
        this.path[this.path.length - 1] = JSON.parse(scanner.written) as string;
        return this.#expect('colon');
      case 'colon':
        return token === ':' && this.#expect('value');
      case 'comma':
        return this.#takeAfterValue(token);
      default:
        return false;
    }
  }

  #takeValue(token: TokenKind): boolean {
    if (SCALARS.includes(token)) return this.#expect('comma');
    if (token === ']' && this.#expected === 'first-value') return this.#close();
    if (token === '[') {
      this.path.push(0);
      return this.#expect('first-value');
    }
    if (token !== '{') return false;
    this.path.push('');
    return this.#expect('first-key');
  }

  #takeAfterValue(token: TokenKind): boolean {
    const place = this.path.at(-1);
    if (place === undefined) return false;
    if (token === (typeof place === 'number' ? ']' : '}')) return this.#close();
    if (token !== ',') return false;
    if (typeof place === 'string') return this.#expect('key');
    this.path[this.path.length - 1] = place + 1;
    return this.#expect('value');
  }

  #close(): boolean {
    this.path.pop();
    return this.#expect('comma');
  }

  #expect(next: Expected): true {
    this.#expected = next;
    return true;
  }
}

/** Where an offset is, both from 1. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let end = text.indexOf('\n'); end !== -1 && end < offset; end = text.indexOf('\n', start)) {
    line++;
    start = end + 1;
  }
  return { line, column: offset - start + 1 };
}
