import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJson } from './parse-json.ts';

const KEYS = ['"', '\\', '\n', '\\n', '\\\\', 'a\\', 'a\n', 'a"', 'a', 'b/c', '', 'ä', '__proto__', '7', '🌲'];

describe('JSON', () => {
  test('has the keys that are written, whatever objects were read before', () => {
    for (const [a, b] of KEYS.flatMap(first => KEYS.map(second => [first, second] as const))) {
      for (const blanks of ['', ' \n']) {
        for (const third of ['"', '\\', '\n']) {
          const names = [...new Set([a, b, third])];
          const text = `{${names.map(name => `${JSON.stringify(name)}${blanks}:-2.5e3`).join(',')}}`;
          expect(Object.keys(parseJson(text) as object).toSorted(), text).toEqual(names.toSorted());
        }
      }
    }
  });

  test('is read as it was written', () => {
    const { value } = fc.letrec<{ value: unknown }>(tie => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, false, 0, -0, 1.5e300, -7, '', '\\":', '{"\\n":[', 'ä\u0000"\\'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.array(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4 }).map(members => Object.fromEntries(members)),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, '\t'), (written, indent) => {
        const text = JSON.stringify(written, undefined, indent);
        expect(JSON.stringify(parseJson(text), undefined, indent)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  test('has the last of several values of one key', () => {
    expect(parseJson('{"\\n":1,"a":2,"\\u000a":3}')).toEqual({ '\n': 3, a: 2 });
  });

  test('may nest deeply, and have strings of many escapes', () => {
    const deep = 20_000;
    let value = parseJson(`${'{"\\n":['.repeat(deep)}1${']}'.repeat(deep)}`) as Record<string, unknown[]> | number;
    for (let level = 0; level < deep; level++) value = (value as Record<string, unknown[]>)['\n']![0] as typeof value;
    expect(value).toBe(1);
    const text = '\n"\\'.repeat(500_000);
    expect(parseJson(JSON.stringify({ '\n': text }))).toEqual({ '\n': text });
  });

  test('is refused as JSON.parse refuses it', () => {
    for (const text of ['', '{"\\n":1', '{"\\n" 1}', '["\\n":1]', '{"\\x":1}']) expect(() => parseJson(text)).toThrow(SyntaxError);
  });
});
