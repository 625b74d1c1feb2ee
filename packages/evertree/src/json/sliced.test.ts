import { isEvertreeError } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseExactJson } from './exact.ts';
import { type ObjectKeys, parseSliced, PIECE_BYTES } from './sliced.ts';

const LONG = 'x'.repeat(PIECE_BYTES);

function run(text: string | Buffer, at: readonly string[] = []): { readonly value: unknown; readonly pauses: number } {
  const slices = parseSliced(Buffer.from(text as string), at);
  for (let pauses = 0; ; pauses++) {
    const slice = slices.next();
    if (slice.done === true) return { value: slice.value, pauses };
  }
}

/** What a parser makes of a text: its value, or its error. */
function outcome(parse: () => unknown): unknown {
  try {
    return { value: parse() };
  } catch (error) {
    if (!isEvertreeError(error, 'VALUE_INVALID')) throw error;
    return { message: error.message, details: error.details };
  }
}

/**
 * Few keys, long strings and blanks with line ends: what pieces are cut in the middle of. `§` stands for LONG, `¤` for
 * half as many blanks.
 */
function textOf(leaf: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const key = fc.constantFrom('"a"', '"b/c"', '"__proto__"', '""', '"\\""', '"ä"', '"7"');
  const blank = fc.constantFrom('', ' ', '\n', '\r\n\t', '¤');
  return fc.letrec<{ text: string }>(tie => {
    const member = fc.tuple(blank, key, blank, tie('text'), blank).map(([a, name, b, value, c]) => `${a}${name}${b}:${value}${c}`);
    const item = fc.tuple(blank, tie('text'), blank).map(parts => parts.join(''));
    const object = fc.tuple(fc.array(member, { maxLength: 4 }), blank).map(([members, inner]) => `{${members.join(',') || inner}}`);
    const array = fc.tuple(fc.array(item, { maxLength: 4 }), blank).map(([items, inner]) => `[${items.join(',') || inner}]`);
    return { text: fc.oneof({ maxDepth: 5 }, leaf, object, array) };
  }).text;
}

const sound = ['1', '-2.5e3', 'true', 'null', '"x"', '"\\"]}"', '"ü 🌲"', '"§"', '"§\\\\"'];
const inexact = ['9007199254740993', '12345678901234567890123', '-1e400'];
const filled = (text: string) => text.replaceAll('§', LONG).replaceAll('¤', ' '.repeat(PIECE_BYTES / 2));

describe('sliced JSON', () => {
  test('is parsed as the whole is, or is refused in the same words', () => {
    fc.assert(
      fc.property(textOf(fc.constantFrom(...sound, ...inexact)), fc.boolean(), (text, padded) => {
        const whole = filled(padded ? `{"pad":"§","given":${text}}` : text);
        expect(outcome(() => run(whole, ['at']).value)).toEqual(outcome(() => parseExactJson(whole, ['at'])));
      }),
      { numRuns: 300 },
    );
  });

  test('is refused in the same words wherever it is invalid', () => {
    const damage = fc.constantFrom('', ',', ']', '}', ':', '"', '{', '[', '1', 'tru', '\\', '\n');
    fc.assert(
      fc.property(textOf(fc.constantFrom(...sound)), fc.nat(), damage, (text, place, instead) => {
        const whole = `[{"pad":"§","given":${text}},[${text}, 1]]`;
        const at = whole.length - 1 - (place % (text.length + 20));
        // Half a surrogate pair is no character in UTF-8.
        const broken = Buffer.from(filled(whole.slice(0, at) + instead + whole.slice(at + 1))).toString();
        expect(outcome(() => run(broken).value)).toEqual(outcome(() => parseExactJson(broken)));
      }),
      { numRuns: 500 },
    );
  });

  test('that nests without an end is refused in steps, in the same words', () => {
    for (const opening of ['[', '{"a":', '[1,', '[ ']) {
      const text = `[{"pad":"${LONG}"},\n${opening.repeat(200_000)}`;
      const slices = parseSliced(Buffer.from(text));
      let pauses = 0;
      const sliced = outcome(() => {
        while (slices.next().done !== true) pauses++;
      });
      expect(sliced).toEqual(outcome(() => parseExactJson(text)));
      expect(pauses).toBeGreaterThan(200_000 / 16_384);
    }
  });

  test('pauses after each piece, in wide objects, in arrays, and in what nests', () => {
    const wide = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, index) => [`key ${index}`, { n: index, text: 'a value of some length' }]),
    );
    const whole = JSON.stringify({ wide, list: Object.values(wide), inner: { inner: { wide } } });
    const { value, pauses } = run(whole);
    expect(value).toEqual(JSON.parse(whole));
    expect(pauses).toBeGreaterThanOrEqual(whole.length / PIECE_BYTES);
  });

  test('takes an empty container with more blanks than a piece has bytes', () => {
    const blanks = ' '.repeat(2 * PIECE_BYTES);
    for (const text of [`[${blanks}]`, `{${blanks}}`, `{"a":[1,{${blanks}}],"b":[${blanks}]}`]) {
      expect(run(text).value).toEqual(JSON.parse(text));
    }
    for (const text of [`[${blanks}}`, `[1,${blanks}]`, `[${blanks},]`]) expect(() => run(text)).toThrow('this is not JSON');
  });

  test('tells the keys of objects that are larger than a piece, each once', () => {
    const text = `{"a":{"x":1,"pad":"${LONG}","x":2,"__proto__":3},"7":[{"pad":"${LONG}"}],"a2":{"small":1},"a2":4}`;
    const keys: ObjectKeys = new Map();
    const steps = parseSliced(Buffer.from(text), [], keys);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    expect(step.value).toEqual(JSON.parse(text));
    for (const [object, known] of keys) expect(known.toSorted()).toEqual(Object.keys(object).toSorted());
    expect([...keys.values()].map(known => known.length)).toEqual([3, 3, 1]);
  });

  test('looks at no byte too often, however deep it nests', () => {
    const levels = 200_000;
    const { value, pauses } = run('['.repeat(levels) + ']'.repeat(levels));
    expect(value).toBeInstanceOf(Array);
    expect(pauses).toBeLessThan(20);
  });

  test('names what is not UTF-8, and skips a byte order mark', () => {
    const bytes = Buffer.from(`{"a":"${LONG}","b":"ä"}`);
    expect(run(Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), bytes])).value).toEqual(JSON.parse(bytes.toString()));
    bytes[bytes.length - 4] = 0xff;
    expect(() => run(bytes)).toThrow('the body is not UTF-8');
  });
});
