import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Inflight } from '../src/inflight.ts';

/** What `Inflight` must say, by looking at all frames ever sent. */
function expected(sent: number, applied: number, durable: number) {
  const bytesOf = (revision: number) => (revision > applied ? revision : 0);
  return {
    bytes: Array.from({ length: sent }, (_, index) => bytesOf(index + 1)).reduce((sum, bytes) => sum + bytes, 0),
    frames: sent - durable,
    oldestTime: durable < sent ? durable + 1 : undefined,
  };
}

function told({ bytes, frames, oldestTime }: Inflight) {
  return { bytes, frames, oldestTime };
}

describe('the frames in flight', () => {
  it('are none at first', () => {
    expect(told(new Inflight())).toEqual({ bytes: 0, frames: 0, oldestTime: undefined });
  });

  it('are the frames sent and not durable, and their bytes those not applied, however many went before', () => {
    const step = fc.record({ sends: fc.nat(900), applies: fc.nat(900), makesDurable: fc.nat(900) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 12 }), steps => {
        const inflight = new Inflight();
        let [sent, applied, durable] = [0, 0, 0];
        for (const { sends, applies, makesDurable } of steps) {
          // Frame `n` ends at revision n, has n bytes, and was committed at n.
          for (let count = 0; count < sends; count++) inflight.add(++sent, sent, sent);
          applied = Math.min(sent, applied + applies);
          durable = Math.min(applied, durable + makesDurable);
          inflight.acknowledge(applied, durable);
          expect(told(inflight)).toEqual(expected(sent, applied, durable));
        }
        inflight.clear();
        expect(told(inflight)).toEqual({ bytes: 0, frames: 0, oldestTime: undefined });
      }),
      { numRuns: 50 },
    );
  });
});
