import { parsePath } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExactJson } from '../json/exact.ts';
import { readPlainPut, type PlainPut } from './plain-line.ts';

function read(line: string): { next: number | undefined; put: PlainPut } {
  const put: PlainPut = { path: [], value: 0 };
  return { next: readPlainPut(Buffer.from(line), 0, put), put };
}

/** What the parser of any line makes of it. */
function readAsAny(line: string): PlainPut {
  const [, pointer, value] = parseExactJson(line) as [string, string, string | number];
  return { path: [...parsePath(pointer)], value };
}

describe('a plain line', () => {
  it.each([
    ['["put","/a/b",0]'],
    ['["put","/a/b",-0]'],
    ['["put","/a",123456789012345]'],
    ['["put","/a",-12.5]'],
    ['["put","/a",0.10000000000000]'],
    ['["put","/",7]'],
    ['["put","//a//",7]'],
    ['["put","/__proto__/0/constructor",1]'],
    ['["put","/a b/:,[]","x y ~/"]'],
    [`["put","/${'long'.repeat(20)}",""]`],
  ])('%s is read as any line is', line => {
    const { next, put } = read(line);
    expect(next).toBe(line.length + 1);
    expect(put).toEqual(readAsAny(line));
  });

  it.each([
    ['["put","",1]'],
    ['["put","a",1]'],
    ['["put","/a~1b",1]'],
    ['["put","/a\\n",1]'],
    ['["put","/a\u0001",1]'],
    ['["put","/ä",1]'],
    ['["put","/a",01]'],
    ['["put","/a",-]'],
    ['["put","/a",1.]'],
    ['["put","/a",.5]'],
    ['["put","/a",1e3]'],
    ['["put","/a",1234567890123456]'],
    ['["put","/a",1.2345678901234567]'],
    ['["put","/a","x\\u0041"]'],
    ['["put","/a","ä"]'],
    ['["put","/a","x]'],
    ['["put","/a",true]'],
    ['["put","/a",1'],
    ['["put","/a",1]]'],
    ['["put","/a",1] '],
    ['["put","/a",1,2]'],
    ['["put","/a"]'],
    ['["put","/a'],
    ['[ "put","/a",1]'],
    ['["delete","/a"]'],
    [''],
  ])('%s is none', line => {
    expect(read(line).next).toBeUndefined();
  });

  it('is never a long line', () => {
    expect(read(`["put","${'/a'.repeat(600)}",1]`).next).toBeUndefined();
    expect(read(`["put","/a","${'a'.repeat(2_000)}"]`).next).toBeUndefined();
  });

  it('is read as the general parser reads it, or is left to that parser', () => {
    const characters = fc.string({ unit: fc.constantFrom(...Array.from('/~"\\[], 019-.eEaé\n')) });
    const value = fc.oneof(fc.integer().map(String), fc.double({ noNaN: true }).map(String), characters);
    fc.assert(
      fc.property(characters, value, fc.boolean(), (path, text, quoted) => {
        const lines = `["put","/${path}",${quoted ? `"${text}"` : text}]`;
        const { next, put } = read(lines);
        if (next === undefined) return;
        const [line = ''] = lines.split('\n');
        expect(next).toBe(line.length + 1);
        expect(put).toEqual(readAsAny(line));
      }),
      { numRuns: 2_000 },
    );
  });

  it('ends where the next begins', () => {
    const bytes = Buffer.from('["put","/a",1]\n["put","/b/c","x"]\nrest');
    const put: PlainPut = { path: [], value: 0 };
    const second = readPlainPut(bytes, 0, put)!;
    expect(put).toEqual({ path: ['a'], value: 1 });
    const third = readPlainPut(bytes, second, put)!;
    expect(put).toEqual({ path: ['b', 'c'], value: 'x' });
    expect(bytes.toString('utf8', third)).toBe('rest');
  });
});
