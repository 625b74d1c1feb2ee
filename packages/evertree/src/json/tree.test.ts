import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type JsonNode, isFault, parseJsonTree } from './tree.ts';

const LEVELS = 64;

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parse(text: string): JsonNode {
  const parsed = parseJsonTree(text, LEVELS);
  if (isFault(parsed)) throw new Error(`${parsed.expected} expected at ${parsed.offset}`);
  return parsed;
}

/** The value that the pieces of the text give, found only by their positions in the text. */
function valueOf(text: string, node: JsonNode): unknown {
  if (node.type === 'array') return node.children.map(child => valueOf(text, child));
  if (node.type !== 'object') return JSON.parse(text.slice(node.offset, node.offset + node.length));
  const entries = node.children.map(({ children: [key, value] }) => [key?.value, valueOf(text, value!)]);
  return Object.fromEntries(entries as [string, unknown][]);
}

describe('parseJsonTree', () => {
  test('finds each value at its place in the text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(3), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(valueOf(text, parse(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test('takes a text when JSON.parse does, and no other', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"\\u00e9\\n"',
      '0',
      '-1.5e+3',
      '01',
      '1.',
      'true',
      'nul',
      ' ',
      '\n',
      '"',
      '\\',
      '//',
      '\u00a0',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), parts => {
        const text = parts.join('');
        expect(isFault(parseJsonTree(text, LEVELS)), text).toBe(!isJson(text));
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.nat(), fc.string({ maxLength: 2 }), (value, at, noise) => {
        const whole = JSON.stringify(value);
        const text = whole.slice(0, at % whole.length) + noise + whole.slice((at % whole.length) + noise.length);
        expect(isFault(parseJsonTree(text, LEVELS)), text).toBe(!isJson(text));
      }),
    );
  });

  test('stops where it nests too deep', () => {
    expect(parse('[[1]]').children[0]?.type).toBe('array');
    expect(parseJsonTree('[[[1]]]', 2)).toMatchObject({ kind: 'depth', offset: 2 });
    expect(parseJsonTree('['.repeat(1_000_000), LEVELS)).toMatchObject({ kind: 'depth', offset: LEVELS });
  });
});
