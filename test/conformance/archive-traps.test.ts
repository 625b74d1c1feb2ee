import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ROOT = `${import.meta.dirname}/../..`;
/** A row of the list of traps in the room's DESIGN.md: number, and the file that plants it. */
const ROW = /^\| (\d+) \| .* \| `(test\/[\w/.-]+\.ts)` \|$/gm;
const TRAPS = 19;

const rows = [...readFileSync(`${ROOT}/packages/archive/DESIGN.md`, 'utf8').matchAll(ROW)].map(([, number, file]) => ({
  number: Number(number),
  file: file!,
}));

test('each trap of archives is listed once', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: TRAPS }, (_, index) => index + 1));
});

test.each(rows)('trap $number is planted in $file', ({ number, file }) => {
  const titles = [...readFileSync(`${ROOT}/${file}`, 'utf8').matchAll(/\b(?:it|test|describe)(?:\.\w+\([^)]*\))?\(\s*'([^'\n]*)'/g)];
  const planted = new RegExp(`^(?:trap )?${number}: |\\btrap ${number}\\b`);
  expect(titles.map(([, title]) => title!).filter(title => planted.test(title))).not.toEqual([]);
});
