import { expect, test } from 'vitest';
import { ByteWriter } from './byte-writer.ts';

test('what follows a long text needs no other buffer', () => {
  const writer = new ByteWriter(256);
  const text = 'x'.repeat(1_000_000);
  writer.text(text);
  const { bytes } = writer;
  writer.reserve(64);
  expect(writer.bytes).toBe(bytes);
  expect(bytes.length).toBeLessThan(text.length + 4_096);
  expect(bytes.toString('latin1', writer.length - text.length, writer.length)).toBe(text);
});
