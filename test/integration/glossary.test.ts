import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const ROOT = `${import.meta.dirname}/../..`;
const DECLARATION = /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type) (\w+)/gm;
/** A row of GLOSSARY.md's second table: name and place. */
const ROW = /^\| `(\w+)` \| .* \| ([\w/.-]+) \|$/gm;

/** The files of the packages that declare a type, by its name, as `core/store/store.ts`. */
function declarations(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of globSync('packages/*/src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts', '**/*.d.ts'] })) {
    const place = file.replace('packages/', '').replace('/src/', '/');
    for (const [, name] of readFileSync(`${ROOT}/${file}`, 'utf8').matchAll(DECLARATION)) {
      found.set(name!, [...(found.get(name!) ?? []), place]);
    }
  }
  return found;
}

describe('the glossary', () => {
  const types = declarations();
  const rows = [...readFileSync(`${ROOT}/GLOSSARY.md`, 'utf8').matchAll(ROW)].map(([, name, where]) => ({ name: name!, where: where! }));

  it('can rely on one meaning for each name: no two files declare a type of the same name', () => {
    expect(types.size).toBeGreaterThan(300);
    expect([...types].filter(([, files]) => files.length > 1)).toEqual([]);
  });

  it('names types that are declared where it says', () => {
    expect(rows.length).toBeGreaterThan(100);
    const untrue = rows.filter(({ name, where }) => types.get(name)?.some(file => file.startsWith(`${where}/`)) !== true);
    expect(untrue).toEqual([]);
  });

  it('has each name once, in the order of the alphabet', () => {
    const names = rows.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)].toSorted((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)));
  });
});
