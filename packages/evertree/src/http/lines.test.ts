import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lines } from './lines.ts';

/** Cuts bytes at the given places. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map(cut => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

test('lines come whole and in order, wherever the body is cut', async () => {
  const line = fc.string({ unit: 'binary' }).map(text => text.replaceAll('\n', ' '));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1 }), fc.array(fc.nat()), fc.boolean(), fc.boolean(), async (sent, cuts, ended, long) => {
      const taken: string[] = [];
      const takeLong = async (bytes: Buffer): Promise<void> => {
        await Promise.resolve();
        taken.push(bytes.toString());
      };
      const lines = new Lines(1_000_000, text => taken.push(text), undefined, long ? { bytes: 4, take: takeLong } : undefined);
      const text = sent.join('\n').toWellFormed() + (ended ? '\n' : '');
      for (const chunk of chunksOf(Buffer.from(text), cuts)) await lines.add(chunk);
      await lines.finish();
      const expected = text.split('\n');
      expect(taken).toEqual(expected.at(-1) === '' ? expected.slice(0, -1) : expected);
    }),
  );
});

test('the lines before one that is not UTF-8 are handed out', () => {
  const taken: string[] = [];
  const lines = new Lines(1_000, text => taken.push(text));
  const bytes = Buffer.concat([Buffer.from('eins\nzwölf\n'), Buffer.of(0xc3), Buffer.from('\nafter\n')]);
  expect(() => lines.add(bytes)).toThrow('not UTF-8');
  expect(taken).toEqual(['eins', 'zwölf']);
});

test('a line beyond the limit is refused, however it is cut', () => {
  for (const size of [10, 64]) {
    const lines = new Lines(100, () => undefined);
    const send = (): void => {
      for (let sent = 0; sent < 200; sent += size) void lines.add(Buffer.alloc(size, 'x'));
    };
    expect(send).toThrow('longer than 100 bytes');
  }
});
