import { crc32c as theirs } from '@platformatic/kafka';
import { describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';

describe('crc32c', () => {
  it('has the check value of its definition', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });

  it('is what @platformatic/kafka computes, at every length and alignment', () => {
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, index) => (index * 151 + 7) & 0xff));
    for (let from = 0; from < 8; from++) {
      for (let to = from; to <= bytes.length; to++) expect(crc32c(bytes.subarray(from, to))).toBe(theirs(bytes.subarray(from, to)));
    }
  });
});
