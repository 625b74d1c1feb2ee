import { type Store, EvertreeError } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commitLine, readLongLine } from './batch-line.ts';

/** What the error of a line shows of it. @param read has to refuse the line */
function shownBy(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof EvertreeError) return error.message.slice(0, error.message.indexOf(' is no operation'));
    throw error;
  }
  throw new Error('the line is taken');
}

describe('what is no operation', () => {
  test('is shown whole up to 80 characters, and cut behind them', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const line = JSON.stringify({ value });
        const text = JSON.stringify(JSON.parse(line));
        const shown = shownBy(() => commitLine({} as Store, line, {}));
        expect(shown).toBe(text.length > 80 ? `${text.slice(0, 80)}…` : text);
        expect(shownBy(() => readLongLine(JSON.parse(line), {}).next())).toBe(shown);
      }),
    );
  });

  test('is not read behind the beginning that is shown', () => {
    const read: string[] = [];
    const large = new Proxy(Array.from<unknown>({ length: 100_000 }).fill('value'), {
      get: (target, key) => {
        read.push(String(key));
        return Reflect.get(target, key) as unknown;
      },
    });
    expect(shownBy(() => readLongLine(['set', '/x', large], {}).next())).toMatch(/^\["set","\/x",\["value",.*…$/);
    expect(read.length).toBeLessThan(100);
  });

  test('may nest deep', () => {
    const deep = '['.repeat(900);
    expect(shownBy(() => commitLine({} as Store, `{"x":${deep}${']'.repeat(900)}}`, {}))).toBe(`{"x":${deep.slice(0, 75)}…`);
  });
});
