import { JsonScanner, type TokenKind } from './scanner.ts';

/**
 * A value of a JSON text, or a property (its `children` are the key and the value), and where it stands in the text.
 */
export interface JsonNode {
  readonly type: 'object' | 'array' | 'property' | 'string' | 'number' | 'boolean' | 'null';
  readonly parent: JsonNode | undefined;
  readonly offset: number;
  length: number;
  /** The value of a string, without escapes. */
  readonly value?: string;
  /** Properties of an object, values of an array; empty for any other. */
  readonly children: JsonNode[];
}

/** The place at which a text is not JSON, and what is expected there; or at which it nests too deep. */
export interface JsonFault {
  readonly kind: 'syntax' | 'depth';
  readonly offset: number;
  readonly length: number;
  readonly expected: string;
}

/**
 * Parses a JSON text into nodes with their places. Keys that stand twice are both there.
 * @param levels how deep it may nest
 */
export function parseJsonTree(text: string, levels: number): JsonNode | JsonFault {
  const parser = new TreeParser(text, levels);
  try {
    return parser.parse();
  } catch (fault) {
    if (fault instanceof Unparsable) return fault.fault;
    throw fault;
  }
}

export function isFault(parsed: JsonNode | JsonFault): parsed is JsonFault {
  return 'kind' in parsed;
}

class Unparsable extends Error {
  readonly fault: JsonFault;

  constructor(fault: JsonFault) {
    super('the text is not JSON');
    this.fault = fault;
  }
}

class TreeParser {
  readonly #scanner: JsonScanner;
  readonly #levels: number;
  #token: TokenKind = 'end';

  constructor(text: string, levels: number) {
    this.#scanner = new JsonScanner(text);
    this.#levels = levels;
  }

  parse(): JsonNode {
    this.#advance();
    const root = this.#value(undefined, 0);
    if (!this.#is('end')) throw this.#fault('end of file');
    return root;
  }

  #value(parent: JsonNode | undefined, level: number): JsonNode {
    switch (this.#token) {
      case '{':
        return this.#container('object', parent, level + 1);
      case '[':
        return this.#container('array', parent, level + 1);
      case 'string':
        return this.#string(parent);
      case 'number':
      case 'null':
        return this.#leaf(this.#token, parent);
      case 'true':
      case 'false':
        return this.#leaf('boolean', parent);
      default:
        throw this.#fault('value');
    }
  }

  #container(type: 'object' | 'array', parent: JsonNode | undefined, level: number): JsonNode {
    const { offset } = this.#scanner;
    if (level > this.#levels) throw new Unparsable({ kind: 'depth', offset, length: 1, expected: '' });
    const node: JsonNode = { type, parent, offset, length: 0, children: [] };
    const close = type === 'object' ? '}' : ']';
    this.#advance();
    while (!this.#is(close) || node.children.length > 0) {
      node.children.push(type === 'object' ? this.#property(node, level) : this.#value(node, level));
      if (this.#is(close)) break;
      if (!this.#is(',')) throw this.#fault('comma');
      this.#advance();
    }
    return this.#finish(node);
  }

  #property(parent: JsonNode, level: number): JsonNode {
    if (!this.#is('string')) throw this.#fault('property name');
    const { offset } = this.#scanner;
    const node: JsonNode = { type: 'property', parent, offset, length: 0, children: [] };
    node.children.push(this.#string(node));
    if (!this.#is(':')) throw this.#fault('colon');
    this.#advance();
    const value = this.#value(node, level);
    node.children.push(value);
    node.length = value.offset + value.length - offset;
    return node;
  }

  #string(parent: JsonNode | undefined): JsonNode {
    const { offset, written } = this.#scanner;
    return this.#finish({ type: 'string', parent, offset, length: 0, value: JSON.parse(written) as string, children: [] });
  }

  #leaf(type: JsonNode['type'], parent: JsonNode | undefined): JsonNode {
    return this.#finish({ type, parent, offset: this.#scanner.offset, length: 0, children: [] });
  }

  /** The present token is the node's last. */
  #finish(node: JsonNode): JsonNode {
    node.length = this.#scanner.end - node.offset;
    this.#advance();
    return node;
  }

  #is(kind: TokenKind): boolean {
    return this.#token === kind;
  }

  #advance(): void {
    this.#token = this.#scanner.next();
  }

  #fault(expected: string): Unparsable {
    const { offset, end } = this.#scanner;
    return new Unparsable({ kind: 'syntax', offset, length: end - offset, expected });
  }
}
