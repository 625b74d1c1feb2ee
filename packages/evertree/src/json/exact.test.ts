import { isEvertreeError } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseExactJson } from './exact.ts';

function refusal(text: string): { message: string; details: Readonly<Record<string, unknown>> } {
  try {
    parseExactJson(text);
  } catch (error) {
    if (isEvertreeError(error, 'VALUE_INVALID')) return { message: error.message, details: error.details };
    throw error;
  }
  throw new Error(`${text.slice(0, 40)} was not refused`);
}

describe('exact JSON', () => {
  test('reads what JSON.parse reads, and what is written as JSON comes back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const text = JSON.stringify(value);
        expect(parseExactJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('reads every double as it was written', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), number => {
        expect(parseExactJson(`[${number}]`)).toEqual([Object.is(number, -0) ? 0 : number]);
      }),
    );
  });

  test('takes an integer exactly if no double beside it is nearer', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 70n), 2n ** 70n), integer => {
        const held = BigInt(Number(integer)) === integer || String(Number(integer)) === String(integer);
        if (held) expect(parseExactJson(String(integer))).toBe(Number(integer));
        else expect(refusal(String(integer)).message).toContain(String(integer));
      }),
    );
  });

  test.each(['9007199254740992', '123456789012345680000', '1e21', '1e23', '-1.5e3', '0e-999', '-0', '0.1234567890123456789', '1E5'])(
    'takes %s',
    text => expect(parseExactJson(text)).toBe(Number(text)),
  );

  test.each([
    ['{"a":{"b":[1,9007199254740993]}}', '/a/b/1', 1, 14],
    ['{"a/b":[0,\n{"":-1e400}]}', '/a~1b/1/', 2, 5],
    ['[1e-400]', '/0', 1, 2],
    ['90071992547409930e-1', '', 1, 1],
    [`{"~":"\\"1e999","":1${'0'.repeat(400)}}`, '/', 1, 19],
    [`0.${'0'.repeat(400)}1`, '', 1, 1],
  ])('refuses %s and names the place', (text, path, line, column) => {
    expect(refusal(text).details).toEqual({ path, line, column });
  });

  test('names the path in the tree that the value is for', () => {
    expect(() => parseExactJson('[1e400]', ['a', 'b'])).toThrow('at "/a/b/0"');
  });

  test('is not misled by numbers in strings', () => {
    const text = '{"9007199254740993":"1e400 \\\\","\\"":"\\\\\\"12345678901234567891"}';
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  });

  test.each([
    ['', 1, 1],
    ['{"a":\n}', 2, 1],
    ['[1,]', 1, 4],
    ['[1,\n2,\n,3]', 3, 1],
    ['{"a" 1}', 1, 6],
    ['{"a":1}}', 1, 8],
    ['[/* no */1]', 1, 2],
    ['{"a":tru}', 1, 6],
    ['{a:1}', 1, 2],
    ['["a\nb"]', 1, 2],
    ['{"a":1,}', 1, 8],
    ['[1}', 1, 3],
  ])('says where %j is not JSON', (text, line, column) => {
    expect(refusal(text).details).toEqual({ line, column });
  });

  test.each([
    ['[1,]', 'remove the comma before ]'],
    ['{"a":1,\n}', 'remove the comma before }'],
    ["['a']", 'JSON has double quotes only'],
    ['{a:1}', 'a key has double quotes: "a"'],
    ['{"a":1, // mine\n"b":2}', 'JSON has no comments; remove it'],
    ['[undefined]', 'JSON has no such value; write null, or leave it out'],
    ['[NaN]', 'JSON has no such value; write null or a string'],
    ['{"up":True}', 'write true'],
  ])('says what to write instead of %j', (text, remedy) => {
    expect(refusal(text).message).toMatch(/^this is not JSON: at line /);
    expect(refusal(text).message.endsWith(`; ${remedy}`)).toBe(true);
  });

  test.each(['{"a":}', '[1}', '[constructor]', '[toString]', '{"a" 1}', '', '[/]'])('has no remedy for %j', text => {
    expect(refusal(text).message).not.toContain(';');
  });

  test('reads and refuses what nests deep without overflowing', () => {
    const levels = 100_000;
    expect(parseExactJson('['.repeat(levels) + ']'.repeat(levels))).toBeInstanceOf(Array);
    expect(refusal('['.repeat(levels)).details).toEqual({ line: 1, column: levels + 1 });
    expect(refusal(`${'['.repeat(levels)}1e400${']'.repeat(levels)}`).details['column']).toBe(levels + 1);
  });

  test('keeps "__proto__" an ordinary key', () => {
    const value = parseExactJson('{"__proto__":{"polluted":1e0}}') as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});
