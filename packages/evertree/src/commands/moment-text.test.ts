import { describe, expect, it } from 'vitest';
import { changeLines, pathText, valueText } from './moment-text.ts';

describe('what is printed of a commit', () => {
  it('spells control characters of keys, values, authors and messages, and keeps the lines of a message', () => {
    const lines = changeLines(
      {
        position: { epoch: 1, revision: 2 },
        time: 0,
        author: 'e\u001b[2Jve',
        message: 'one\ntwo\r\u009b31m',
        operations: [{ path: '/a\nb\u001b[31m', kind: 'put', after: '\u009b0m' }],
      },
      true,
    );
    expect(lines[0]).toMatch(/ {2}e\\u001b\[2Jve: one\n {4}two\\u000d\\u009b31m$/);
    expect(lines[1]).toMatch(/ \/a\\u000ab\\u001b\[31m {2}none → "\\u009b0m"$/);
    expect([pathText(''), pathText('/é😀 x'), valueText('é😀')]).toEqual(['""', '/é😀 x', '"é😀"']);
  });
});
