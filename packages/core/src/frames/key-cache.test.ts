import { describe, expect, it } from 'vitest';
import { keyCache } from './key-cache.ts';

function read(key: string): string {
  const bytes = Buffer.from(key);
  return keyCache.read(bytes, 0, bytes.length);
}

describe('The cache of keys', () => {
  it('never mistakes the bytes of one character for several characters', () => {
    // Some of these pairs share an entry of the cache, and the second replaces the first there. The test can't know
    // which pairs do, so it tries many.
    for (let index = 0; index < 20_000; index++) {
      const key = `é${index}`;
      const lookalike = Buffer.from(key).toString('latin1');
      expect(read(lookalike)).toBe(lookalike);
      if (read(key) !== key) expect.fail(`${JSON.stringify(key)} was read as ${JSON.stringify(read(key))}`);
    }
  });

  it('reads any key as it is spelled, before and after other keys replaced it', () => {
    const keys = Array.from({ length: 30_000 }, (_, index) => (index % 3 === 0 ? `ключ ${index}` : `key ${index}`));
    for (let round = 0; round < 2; round++) expect(keys.map(read)).toEqual(keys);
  });
});
