import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Assembly } from './assembly.ts';

test('pieces of any length make the message, and the next one begins without any of it', () => {
  const assembly = new Assembly();
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1, maxLength: 12 }),
      fc.nat(12),
      (pieces, dropped) => {
        const message = Buffer.concat(pieces);
        assembly.begin(message.length + 1);
        for (const piece of pieces.slice(0, dropped)) assembly.add(Buffer.from(piece));
        assembly.begin(message.length);
        for (const [index, piece] of pieces.entries()) {
          expect(assembly.open).toBe(true);
          const whole = assembly.add(Buffer.from(piece));
          expect(whole).toEqual(index === pieces.length - 1 ? message : undefined);
          if (whole === undefined) expect(assembly.bytes).toBe(Buffer.concat(pieces.slice(0, index + 1)).length);
        }
        expect(assembly.open).toBe(false);
      },
    ),
  );
});
