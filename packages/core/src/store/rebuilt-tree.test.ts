import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frames, step } from '../../test/made-frames.ts';
import { FRAME_HEADER_BYTES, frameBody, sealFrame, type Frame } from '../frames/frame.ts';
import { RebuiltTree } from './rebuilt-tree.ts';
import { exportValue, sameValue } from '../tree/content.ts';
import { Tree } from '../tree/tree.ts';

const runs = fc.array(fc.array(step, { minLength: 1, maxLength: 15 }), { minLength: 1, maxLength: 6 });

function withDigest({ header, bytes }: Frame, digest: string): Frame {
  return sealFrame({ ...header, digest }, bytes.subarray(FRAME_HEADER_BYTES, -4));
}

describe('a tree that is rebuilt from its frames', () => {
  it.each(['binary', 'json'] as const)('is that of the primary, wherever digests are compared (%s)', codec => {
    fc.assert(
      fc.property(runs, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (steps, compared) => {
        const primary = new Tree();
        const made = frames(primary, steps, codec);
        const rebuilt = RebuiltTree.empty();
        for (const [index, frame] of made.entries()) {
          const compares = compared[index % compared.length]!;
          rebuilt.apply(frame, compares);
          expect(rebuilt.head.last).toEqual(frame.header.last);
          if (compares) expect(rebuilt.digest).toBe(frame.header.digest);
        }
        expect(rebuilt.operations).toBe(made.reduce((sum, { header }) => sum + header.count, -1));
        expect(rebuilt.digest).toBe(primary.digest());
        expect(sameValue(exportValue(rebuilt.fork().root), exportValue(primary.root))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses a frame after which the digest differs, also where frames before it were not compared', () => {
    const steps = [1, 2, 3].map(value => [{ path: ['a', 'b'], value, pin: false }]);
    const made = frames(new Tree(), steps, 'binary');
    const last = withDigest(made.at(-1)!, '0'.repeat(16));
    const rebuilt = RebuiltTree.empty();
    for (const frame of made.slice(0, -1)) rebuilt.apply(frame, false);
    expect(() => rebuilt.apply(last)).toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
  });

  it.each([true, false])('refuses a frame whose times go back within it, in JSON, too (digest compared: %s)', compares => {
    const steps = [1, 2, 3].map(value => ({ path: ['a'], value, pin: false }));
    const [epoch, made] = frames(new Tree(), [steps], 'json') as [Frame, Frame];
    let count = 0;
    const body = frameBody(made)
      .toString()
      .replaceAll('"time":100', time => (++count === 2 ? '"time":99' : time));
    const rebuilt = RebuiltTree.empty();
    rebuilt.apply(epoch, compares);
    expect(() => rebuilt.apply(sealFrame(made.header, Buffer.from(body)), compares)).toThrow(
      expect.objectContaining({ code: 'FORMAT_INVALID' }),
    );
  });
});
