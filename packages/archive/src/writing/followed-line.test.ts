import { expect, test } from 'vitest';
import { cutBytes } from './followed-line.ts';

const MEBIBYTE = 1024 * 1024;
/** JSON of a stretch in a manifest. */
const ENTRY_BYTES = 650;

test('a long line writes less manifests than frames', () => {
  let [entries, manifests, history] = [0, 0, 0];
  // A month at 100,000 bytes a second, with a stretch for each 4 MiB.
  while (history < 30 * 86_400 * 100_000) {
    const bytes = cutBytes(entries);
    history += bytes;
    entries += Math.ceil(bytes / (4 * MEBIBYTE));
    manifests += entries * ENTRY_BYTES;
  }
  expect(manifests).toBeLessThan(history / 3);
  expect(cutBytes(0)).toBe(8 * MEBIBYTE);
  expect(cutBytes(1_000_000)).toBe(64 * MEBIBYTE);
});
