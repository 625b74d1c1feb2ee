import { describe, expect, it } from 'vitest';
import { hashKey, lanes } from './digest.ts';
import { assign, spelledKey, TreeNode } from './node.ts';

function nodeWith(keys: readonly string[]): TreeNode {
  const node = new TreeNode(1);
  for (const key of keys) {
    hashKey(key);
    assign(node, key, lanes.lo, lanes.hi, undefined, 1);
  }
  return node;
}

function find(node: TreeNode, key: string): string | undefined {
  const bytes = Buffer.from(`<${key}>`);
  return spelledKey(node, bytes, 1, bytes.length - 1);
}

describe('The key that bytes spell in a wide node', () => {
  const keys = Array.from({ length: 3_000 }, (_, index) => (index % 3 === 0 ? `ключ ${index}` : `key ${index}`));
  const node = nodeWith(['', ...keys]);

  it('is found if it is ASCII, with its hash', () => {
    for (const key of ['', 'key 1', 'key 2', 'key 2999']) {
      expect(find(node, key)).toBe(key);
      const found = { ...lanes };
      hashKey(key);
      expect(found).toEqual(lanes);
    }
  });

  it('is not found where it is missing, has other characters, or the node is narrow', () => {
    for (const key of ['key 3000', 'key', 'KEY 1', 'ключ 0']) expect(find(node, key)).toBe(undefined);
    expect(find(nodeWith(['a', 'b']), 'a')).toBe(undefined);
  });

  it("is never a key with characters that equal another key's bytes", () => {
    const spelled = Array.from({ length: 2_000 }, (_, index) => `é${index}`);
    const lookalikes = nodeWith(spelled.map(key => Buffer.from(key).toString('latin1')));
    for (const key of spelled) expect(find(lookalikes, key)).toBe(undefined);
  });
});
