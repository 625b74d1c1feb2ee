import { expect, test } from 'vitest';
import { endOfValue } from './value-ends.ts';

const STEP = 256 * 1024;

function endOf(text: string): { readonly end: number | undefined; readonly pauses: number } {
  const steps = endOfValue(Buffer.from(text), 0);
  for (let pauses = 0; ; pauses++) {
    const step = steps.next();
    if (step.done === true) return { end: step.value, pauses };
  }
}

test.each(['x', '"', '\\', '\\"', '[', ']', '}', '","'])('finds the end of a value, also where %j stands at a pause', piece => {
  for (let offset = -6; offset <= 2; offset++) {
    const text = 'x'.repeat(STEP + offset) + piece;
    for (const value of [text, [text], { a: [text, {}], b: [text] }].map(each => JSON.stringify(each))) {
      expect(endOf(`${value},[1]`).end).toBe(value.length);
    }
  }
});

test('looks through a container without an end in steps', () => {
  expect(endOf('['.repeat(4 * STEP))).toEqual({ end: undefined, pauses: 3 });
  expect(endOf(`["${'\\"'.repeat(2 * STEP)}`)).toEqual({ end: undefined, pauses: 4 });
});
