import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { lineAndColumn } from '../json/location.ts';
import { lastCharacter, remedyFor } from '../json/remedy.ts';
import { type JsonFault, type JsonNode, isFault, parseJsonTree } from '../json/tree.ts';
import { type ConfigurationProblem, configurationError } from './problem.ts';

const CONFIGURATION_LIMIT_BYTES = 1024 * 1024;
const CONFIGURATION_LIMIT_LEVELS = 64;
/** The longest quotation of a file in a message. */
const QUOTE_LIMIT_CHARACTERS = 60;
/** The same of what is not JSON. */
const FOUND_LIMIT_CHARACTERS = 20;
/** Values of such keys never appear in a message. */
const SECRET_KEY = /password|secret|jaas|keystore\.key|token$/i;

/** The place of a value in a document: object keys and array indexes from the root. */
export type KeyPath = readonly (string | number)[];

interface DocumentParts {
  readonly source: string;
  readonly folder: string;
  readonly text: string;
  readonly root: JsonNode;
  readonly value: unknown;
  /** Whether the text is a file's: messages then name line and column. */
  readonly hasLines: boolean;
  /** Misspelt sections: their key in the text, by the name that is meant. */
  readonly written: ReadonlyMap<string, string>;
}

/** A configuration as JSON, with the place of everything in it. */
export class ConfigurationDocument {
  readonly #parts: DocumentParts;

  constructor(parts: DocumentParts) {
    this.#parts = parts;
  }

  get source(): string {
    return this.#parts.source;
  }

  /** Folder that file names in it are relative to. */
  get folder(): string {
    return this.#parts.folder;
  }

  get value(): unknown {
    return this.#parts.value;
  }

  /** The same document with another value, for instance without a part of it. */
  withValue(value: unknown): ConfigurationDocument {
    return new ConfigurationDocument({ ...this.#parts, value });
  }

  /**
   * The document with misspelt sections under their right names. Places use the right names, messages those in the
   * text.
   */
  withSections(written: ReadonlyMap<string, string>): ConfigurationDocument {
    const rightNames = new Map(Array.from(written, ([right, wrong]) => [wrong, right]));
    const entries = Object.entries(this.value as object).map(([key, value]) => [rightNames.get(key) ?? key, value]);
    return new ConfigurationDocument({ ...this.#parts, value: Object.fromEntries(entries), written });
  }

  has(place: KeyPath): boolean {
    return this.#find(place) !== undefined;
  }

  /** The value for a message: as it is written in the file, cut if it is long. Secrets are not shown. */
  quote(place: KeyPath): string {
    const node = this.#find(place);
    if (node === undefined) return 'missing';
    if (place.some(key => typeof key === 'string' && SECRET_KEY.test(key))) return 'set (not shown)';
    if (node.type === 'object') return 'an object';
    if (node.type === 'array') return 'an array';
    const text = this.#parts.text.slice(node.offset, node.offset + node.length);
    return text.length > QUOTE_LIMIT_CHARACTERS ? `${text.slice(0, QUOTE_LIMIT_CHARACTERS)}…` : text;
  }

  typeAt(place: KeyPath): JsonNode['type'] | undefined {
    return this.#find(place)?.type;
  }

  /** A problem at a place. If nothing stands there, line and column are those of what should contain it. */
  problem(place: KeyPath, message: string): ConfigurationProblem {
    const key = this.#asWritten(place).map(String).join('.');
    const { hasLines, text } = this.#parts;
    if (!hasLines) return { source: this.source, key, message };
    for (let length = place.length; length >= 0; length--) {
      const node = this.#find(place.slice(0, length));
      if (node === undefined) continue;
      const offset = node.parent?.type === 'property' ? node.parent.offset : node.offset;
      return { source: this.source, ...lineAndColumn(text, offset), key, message };
    }
    return { source: this.source, key, message };
  }

  /** Problems for keys that stand twice in one object: JSON does not say which of them counts. */
  duplicates(): ConfigurationProblem[] {
    const problems: ConfigurationProblem[] = [];
    this.#collectDuplicates(this.#parts.root, [], problems);
    return problems;
  }

  /** The place as it stands in the text. */
  #asWritten(place: KeyPath): KeyPath {
    const [section, ...rest] = place;
    const written = typeof section === 'string' ? this.#parts.written.get(section) : undefined;
    return written === undefined ? place : [written, ...rest];
  }

  #find(place: KeyPath): JsonNode | undefined {
    let node: JsonNode | undefined = this.#parts.root;
    for (const key of this.#asWritten(place)) {
      if (node?.type === 'object') node = propertyOf(node, String(key))?.children[1];
      else if (node?.type === 'array' && typeof key === 'number') node = node.children[key];
      else return undefined;
    }
    return node;
  }

  #collectDuplicates(node: JsonNode, place: KeyPath, problems: ConfigurationProblem[]): void {
    if (node.type === 'array') node.children.forEach((child, index) => this.#collectDuplicates(child, [...place, index], problems));
    if (node.type !== 'object') return;
    const seen = new Map<string, JsonNode>();
    for (const property of node.children) {
      const [name, value] = property.children;
      if (name === undefined || value === undefined) continue;
      const key = String(name.value);
      const first = seen.get(key);
      if (first === undefined) seen.set(key, property);
      else {
        const { hasLines, text } = this.#parts;
        const { line } = lineAndColumn(text, first.offset);
        const message = `stands twice (first on line ${line}); keep one of them`;
        const position = hasLines ? lineAndColumn(text, property.offset) : {};
        problems.push({ source: this.source, ...position, key: [...place, key].join('.'), message });
      }
      this.#collectDuplicates(value, [...place, key], problems);
    }
  }
}

/** The last property of that name, as JSON.parse takes it. */
function propertyOf(node: JsonNode, key: string): JsonNode | undefined {
  return node.children.findLast(property => property.children[0]?.value === key);
}

/**
 * Reads a file.
 * @throws EvertreeError CONFIGURATION_INVALID: missing, unreadable, too long, not JSON (with line and column)
 */
export function readDocument(file: string): ConfigurationDocument {
  return parseDocument(file, dirname(file), readText(file), true);
}

/**
 * An object given in code, checked like a file.
 * @param source what messages call it
 * @param wanted what to give instead of nothing
 */
export function documentOf(value: unknown, source = 'configuration', wanted = "a file's name or an object"): ConfigurationDocument {
  let text: string | undefined;
  try {
    text = JSON.stringify(value, undefined, 2) as string | undefined;
  } catch (error) {
    throw configurationError([{ source, key: '', message: `can't be written as JSON: ${messageOf(error)}` }], error);
  }
  if (text === undefined) throw configurationError([{ source, key: '', message: `is ${typeof value}; give ${wanted}` }]);
  return parseDocument(source, '.', text, false);
}

function readText(file: string): string {
  const fail = (message: string, cause?: unknown) => configurationError([{ source: file, key: '', message }], cause);
  let bytes: Buffer;
  let size: number;
  try {
    ({ size } = statSync(file));
    bytes = size > CONFIGURATION_LIMIT_BYTES ? Buffer.alloc(0) : readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw fail('does not exist; the repository has samples in configs/', error);
    if (code === 'EACCES' || code === 'EPERM') throw fail('may not be read by this user; change its permissions', error);
    if (code === 'EISDIR') throw fail('is a directory; name a file in it', error);
    throw fail(`can't be read: ${messageOf(error)}`, error);
  }
  if (size > CONFIGURATION_LIMIT_BYTES) {
    throw fail(`has ${size} bytes; a configuration has at most ${CONFIGURATION_LIMIT_BYTES}. Is it another file?`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw fail('is not UTF-8 text; save it as UTF-8', error);
  }
}

function parseDocument(source: string, folder: string, text: string, hasLines: boolean): ConfigurationDocument {
  const at = (offset: number) => (hasLines ? lineAndColumn(text, offset) : {});
  const parsed = parseJsonTree(text, CONFIGURATION_LIMIT_LEVELS);
  if (isFault(parsed)) throw configurationError([{ source, ...at(parsed.offset), key: '', message: explain(parsed, text) }]);
  return new ConfigurationDocument({ source, folder, text, root: parsed, value: JSON.parse(text), hasLines, written: new Map() });
}

/** What is wrong with the text, in words. */
function explain({ kind, offset, length, expected }: JsonFault, text: string): string {
  if (kind === 'depth') return `nests deeper than ${CONFIGURATION_LIMIT_LEVELS} levels; no configuration does`;
  const found = text.slice(offset, offset + Math.min(length, FOUND_LIMIT_CHARACTERS)).trim();
  const problem = /^\/[/*]/.test(found) ? 'invalid comment token' : `${expected} expected`;
  const remedy = remedyFor(text.slice(offset), lastCharacter(text.slice(0, offset)));
  const place = found === '' ? 'the end of the line or file' : JSON.stringify(found);
  return `is not JSON: ${problem} at ${place}${remedy === undefined ? '' : `; ${remedy}`}`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
