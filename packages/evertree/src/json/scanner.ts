/** `wrong`: what JSON does not allow: an unfinished string, a number with a leading zero, any other word. */
export type TokenKind = '{' | '}' | '[' | ']' | ':' | ',' | 'string' | 'number' | 'true' | 'false' | 'null' | 'comment' | 'wrong' | 'end';

const BLANKS = /[ \t\n\r]*/y;
const SPACE = 32;
const PUNCTUATION = '{}[]:,';
/** Every character from the blank on, but the quote and the backslash. */
const PLAIN_CHARACTERS = /[ !#-[\]-\uffff]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.+-])/y;
const COMMENT = /\/\/[^\n\r]*|\/\*[^]*?(?:\*\/|$)/y;
const WORD = /[^\s{}[\]:,"]+|[^]/y;

/** The tokens of a JSON text, one after the other. It is for finding places in a text: JSON.parse is much faster. */
export class JsonScanner {
  readonly #text: string;
  /** Where the present token begins and ends; both 0 before the first `next`. */
  offset = 0;
  end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The token's text, as it is written. */
  get written(): string {
    return this.#text.slice(this.offset, this.end);
  }

  next(): TokenKind {
    this.offset = this.end;
    // A match costs more than all else that is done for a bracket.
    if (this.#text.charCodeAt(this.offset) <= SPACE) this.offset = this.#match(BLANKS, this.end);
    const character = this.#text.charAt(this.offset);
    if (character === '') return this.#ends(this.offset, 'end');
    if (PUNCTUATION.includes(character)) return this.#ends(this.offset + 1, character as TokenKind);
    if (character === '"') return this.#string();
    const number = this.#match(NUMBER, this.offset);
    if (number > this.offset) return this.#ends(number, 'number');
    const comment = this.#match(COMMENT, this.offset);
    if (comment > this.offset) return this.#ends(comment, 'comment');
    this.end = this.#match(WORD, this.offset);
    const word = this.written;
    return word === 'true' || word === 'false' || word === 'null' ? word : 'wrong';
  }

  #string(): TokenKind {
    let at = this.offset + 1;
    for (;;) {
      at = this.#match(PLAIN_CHARACTERS, at);
      if (this.#text.charAt(at) === '"') return this.#ends(at + 1, 'string');
      const escaped = this.#match(ESCAPE, at);
      if (escaped === at) return this.#ends(at, 'wrong');
      at = escaped;
    }
  }

  #ends(end: number, kind: TokenKind): TokenKind {
    this.end = end;
    return kind;
  }

  /** Where what the sticky pattern matches at an offset ends; the offset itself when it does not match. */
  #match(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    return pattern.test(this.#text) ? pattern.lastIndex : at;
  }
}
