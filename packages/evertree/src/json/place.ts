import { createScanner } from 'jsonc-parser';

/** Where something stands in a JSON text. */
export interface Place {
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Keys and indexes of the value there, or of the value that is being read there. */
  readonly path: readonly string[];
}

/**
 * Walks a JSON text up to the token at `until`, or up to the first token that JSON does not allow. Only errors need it: it is
 * slow, and never deeper than one function however deep the text nests.
 */
export function findPlace(text: string, until = Infinity): Place {
  const scanner = createScanner(text, false);
  const walk = new Walk();
  for (;;) {
    const token = scanner.scan() as number;
    if (BLANKS.includes(token)) continue;
    const offset = scanner.getTokenOffset();
    const wrong = (scanner.getTokenError() as number) !== NO_ERROR || offset >= until;
    if (wrong || !walk.take(token, scanner.getTokenValue())) return { offset, ...lineAndColumn(text, offset), path: walk.path.map(String) };
  }
}

// jsonc-parser declares these as const enums, which type stripping can't read: its SyntaxKind and ScanError.
const NO_ERROR = 0;
const OPEN_BRACE = 1;
const CLOSE_BRACE = 2;
const OPEN_BRACKET = 3;
const CLOSE_BRACKET = 4;
const COMMA = 5;
const COLON = 6;
const LITERALS: readonly number[] = [7, 8, 9, 11];
const STRING = 10;
const BLANKS: readonly number[] = [14, 15];

/** What may come next; `first-…`: the container may also be closed at once. */
type Expected = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'comma';

class Walk {
  /** An index for each array, a key for each object that is open. */
  readonly path: (string | number)[] = [];
  #expected: Expected = 'value';

  /** Whether JSON allows the token here. */
  take(token: number, text: string): boolean {
    switch (this.#expected) {
      case 'value':
      case 'first-value':
        return this.#takeValue(token);
      case 'key':
      case 'first-key':
        if (token === CLOSE_BRACE && this.#expected === 'first-key') return this.#close();
        if (token !== STRING) return false;
        this.path[this.path.length - 1] = text;
        return this.#expect('colon');
      case 'colon':
        return token === COLON && this.#expect('value');
      case 'comma':
        return this.#takeAfterValue(token);
      default:
        return false;
    }
  }

  #takeValue(token: number): boolean {
    if (token === STRING || LITERALS.includes(token)) return this.#expect('comma');
    if (token === CLOSE_BRACKET && this.#expected === 'first-value') return this.#close();
    if (token === OPEN_BRACKET) {
      this.path.push(0);
      return this.#expect('first-value');
    }
    if (token !== OPEN_BRACE) return false;
    this.path.push('');
    return this.#expect('first-key');
  }

  #takeAfterValue(token: number): boolean {
    const place = this.path.at(-1);
    if (place === undefined) return false;
    if (token === (typeof place === 'number' ? CLOSE_BRACKET : CLOSE_BRACE)) return this.#close();
    if (token !== COMMA) return false;
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
