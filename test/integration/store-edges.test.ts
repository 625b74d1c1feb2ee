import type { CommitOptions } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../support/stores.ts';

describe('what a commit says of itself', () => {
  it.each<[string, CommitOptions, string]>([
    ['an author that is no text', { author: 5 as unknown as string }, 'VALUE_INVALID'],
    ['a message that is no text', { message: null as unknown as string }, 'VALUE_INVALID'],
    ['an author with a lone surrogate', { author: 'a\ud800' }, 'VALUE_INVALID'],
    ['a message beyond the limit', { message: 'm'.repeat(64 * 1024 + 1) }, 'TOO_LARGE'],
  ])('is refused before anything changes: %s', async (_, options, expected) => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    const { position, digest } = store;
    expect(() => store.put('/a', 2, options)).toThrow(expect.objectContaining({ code: expected }));
    expect([store.get(''), store.position, store.digest]).toEqual([{ a: 1 }, position, digest]);
    store.put('/b', 2);
    store.cut();
    expect(store.get('')).toEqual({ a: 1, b: 2 });
  });
});

describe('a commit', () => {
  it('tells its own position, also where somebody commits on hearing of its frame', async () => {
    await using store = (await memoryStore()).store;
    store.put('/before', 1);
    let heard = 0;
    store.on('advanced', () => {
      if (heard++ === 0) store.put('/reaction', 1);
    });
    const commit = store.put('/long', 'x'.repeat(200_000));
    expect(commit.position.revision).toBe(3);
    expect(store.position.revision).toBe(4);
  });
});
