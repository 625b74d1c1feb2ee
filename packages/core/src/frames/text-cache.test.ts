import { describe, expect, it } from 'vitest';
import { textCache } from './text-cache.ts';

function read(text: string): string {
  const bytes = Buffer.from(`<${text}>`);
  return textCache.read(bytes, 1, bytes.length - 1);
}

describe('The cache of texts', () => {
  it('reads any text as it is spelled, before and after other texts took its place', () => {
    const texts = Array.from({ length: 5_000 }, (_, index) => (index % 3 === 0 ? `é ${index}` : 'x'.repeat(index % 30) + index));
    for (let round = 0; round < 2; round++) expect(texts.map(read)).toEqual(texts);
  });

  it('never mistakes the bytes of one character for several characters', () => {
    for (let index = 0; index < 5_000; index++) {
      const lookalike = Buffer.from(`é${index}`).toString('latin1');
      expect(read(lookalike)).toBe(lookalike);
      if (read(`é${index}`) !== `é${index}`) expect.fail(`é${index} was read as ${read(`é${index}`)}`);
    }
  });

  it('reads the empty text', () => {
    expect(read('')).toBe('');
  });
});
