import { expect, it } from 'vitest';
import { hashKey, lanes } from '../tree/digest.ts';
import { SpelledKeys } from './spelled-keys.ts';

it('keys are found by their numbers, also across pages', () => {
  const keys = new SpelledKeys(Buffer.alloc(0));
  const count = 20_000;
  for (let number = 1; number < count; number++) expect(keys.push(`k${number}`, number, -number)).toBe(number);
  expect(keys.length).toBe(count);
  for (let number = 1; number < count; number++) {
    expect([keys.text(number), keys.lo(number), keys.hi(number)]).toEqual([`k${number}`, number, -number]);
  }
});

it('a key that was read over is found when it is asked for, as if it had been read', () => {
  const texts = Array.from({ length: 10_000 }, (_, index) => `ключ${index}`);
  const body = Buffer.from(texts.join(''));
  const keys = new SpelledKeys(body);
  let at = 0;
  for (const [index, text] of texts.entries()) {
    const end = at + Buffer.byteLength(text);
    if (index % 3 === 0) keys.push(text, index, -index);
    else keys.pass(at, end);
    at = end;
  }
  for (const [index, text] of texts.entries()) {
    hashKey(text);
    const { lo, hi } = index % 3 === 0 ? { lo: index, hi: -index } : lanes;
    for (let times = 0; times < 2; times++) expect([keys.text(index + 1), keys.lo(index + 1), keys.hi(index + 1)]).toEqual([text, lo, hi]);
  }
});
