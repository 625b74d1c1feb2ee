import { finishSteps } from '@evertree/core';
import { JsonScanner, type TokenKind } from './scanner.ts';

/** Where something stands in a JSON text. */
export interface JsonLocation {
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
  const walk = new Walk(true);
  for (;;) {
    const token = scanner.next();
    const { offset } = scanner;
    if (offset >= until || !walk.take(token, scanner)) return { ...lineAndColumn(text, offset), path: walk.path.map(String) };
  }
}

/** The offset of the first token that JSON does not allow; the length of a text that ends too early. */
export function faultOffset(text: string): number {
  return finishSteps(faultSteps(text));
}

/** As faultOffset, in steps. */
export function* faultSteps(text: string): Generator<void, number, void> {
  const scanner = new JsonScanner(text);
  const walk = new Walk(false);
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
  /** An index for each array, a key for each object that is open; empty if it is not kept. */
  readonly path: (string | number)[] = [];
  readonly #keepsPath: boolean;
  readonly #open = new OpenContainers();
  #expected: Expected = 'value';

  constructor(keepsPath: boolean) {
    this.#keepsPath = keepsPath;
  }

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
        if (this.#keepsPath) this.path[this.path.length - 1] = JSON.parse(scanner.written) as string;
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
    if (token !== '[' && token !== '{') return false;
    this.#open.push(token === '[');
    if (this.#keepsPath) this.path.push(token === '[' ? 0 : '');
    return this.#expect(token === '[' ? 'first-value' : 'first-key');
  }

  #takeAfterValue(token: TokenKind): boolean {
    if (this.#open.depth === 0) return false;
    const { isArray } = this.#open;
    if (token === (isArray ? ']' : '}')) return this.#close();
    if (token !== ',') return false;
    if (!isArray) return this.#expect('key');
    if (this.#keepsPath) this.path[this.path.length - 1] = (this.path.at(-1) as number) + 1;
    return this.#expect('value');
  }

  #close(): boolean {
    this.#open.pop();
    this.path.pop();
    return this.#expect('comma');
  }

  #expect(next: Expected): true {
    this.#expected = next;
    return true;
  }
}

/** The open containers of a page: what JSON does not allow may nest as deep as it is long. */
const PAGE_CONTAINERS = 64 * 1024;

/** What is open: an array or an object at each level. It grows by a page: an array of 16 million copies itself for 0.1 s. */
class OpenContainers {
  depth = 0;
  /** 1 for an array, the outermost first. */
  readonly #pages: Uint8Array[] = [];

  push(isArray: boolean): void {
    const page = (this.#pages[Math.floor(this.depth / PAGE_CONTAINERS)] ??= new Uint8Array(PAGE_CONTAINERS));
    page[this.depth++ % PAGE_CONTAINERS] = isArray ? 1 : 0;
  }

  pop(): void {
    this.depth--;
  }

  /** Whether the innermost one is an array. */
  get isArray(): boolean {
    const level = this.depth - 1;
    return this.#pages[Math.floor(level / PAGE_CONTAINERS)]![level % PAGE_CONTAINERS] === 1;
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
