import { afterEach, expect, test, vi } from 'vitest';
import { MovingLines } from './terminal.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('moving lines are erased from the first column on, wherever an echoed key has left the cursor', () => {
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    written.push(String(text));
    return true;
  });
  const lines = new MovingLines();
  lines.draw(['one', 'two']);
  lines.clear();
  lines.clear();
  expect(written.slice(1)).toEqual(['\r\u001b[2A\u001b[0J', '']);
});
