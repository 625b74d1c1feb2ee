import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { at, history, OTHER_PROMOTION, PROMOTED } from '../../test/histories.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { EvertreeError } from '../errors.ts';

const ours = history(['1a'], '1a-9');

describe('Acknowledgements', () => {
  it('resolve once as many secondaries as were asked for hold the position', async () => {
    const acknowledgements = new Acknowledgements(ours);
    const two = acknowledgements.wait(at('1a-5'), 2, new ManualClock(), undefined);
    acknowledgements.set('a', at('1a-5'));
    acknowledgements.set('b', at('1a-4'));
    expect(acknowledgements.waiting).toBe(1);
    acknowledgements.set('b', at('1a-9'));
    await expect(two).resolves.toBe(2);
    expect(acknowledgements.waiting).toBe(0);
  });

  it('keep nothing of waits that timed out, however many there were without a secondary', async () => {
    const clock = new ManualClock();
    const acknowledgements = new Acknowledgements(ours);
    const waits = Array.from({ length: 3_000 }, (_, index) =>
      acknowledgements.wait(at(`1a-${1 + (index % 7)}`), 1 + (index % 5), clock, 1_000 - (index % 3)),
    );
    const outcomes = Promise.allSettled(waits);
    expect(acknowledgements.waiting).toBe(3_000);
    clock.advance(1_000);
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ACKNOWLEDGEMENT_TIMEOUT' } });
    expect(acknowledgements.waiting).toBe(0);
  });

  it('still resolve the other waits after some have timed out', async () => {
    const clock = new ManualClock();
    const acknowledgements = new Acknowledgements(ours);
    const early = acknowledgements.wait(at('1a-3'), 1, clock, 10);
    const patient = acknowledgements.wait(at('1a-2'), 1, clock, undefined);
    const later = acknowledgements.wait(at('1a-4'), 1, clock, 20);
    clock.advance(10);
    await expect(early).rejects.toMatchObject({ code: 'ACKNOWLEDGEMENT_TIMEOUT' });
    acknowledgements.set('a', at('1a-4'));
    await expect(Promise.all([patient, later])).resolves.toEqual([1, 1]);
  });

  it('are refused at once if none can come any more, except for positions that are held already', async () => {
    const acknowledgements = new Acknowledgements(ours);
    acknowledgements.set('a', at('1a-5'));
    acknowledgements.fail(new EvertreeError('CLOSED', 'this store is closed'));
    await expect(acknowledgements.wait(at('1a-6'), 1, new ManualClock(), undefined)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(acknowledgements.wait(at('1a-5'), 1, new ManualClock(), undefined)).resolves.toBe(1);
  });

  it('count no more once their site is forgotten', async () => {
    const acknowledgements = new Acknowledgements(ours);
    acknowledgements.set('a', at('1a-5'));
    expect(acknowledgements.count(at('1a-5'))).toBe(1);
    acknowledgements.forget('a');
    expect(acknowledgements.count(at('1a-5'))).toBe(0);
    const waiting = acknowledgements.wait(at('1a-5'), 1, new ManualClock(), undefined);
    expect(acknowledgements.waiting).toBe(1);
    acknowledgements.set('b', at('1a-5'));
    await expect(waiting).resolves.toBe(1);
  });
});

describe('Acknowledgements of histories that part', () => {
  it.each([
    ['1-500 does not hold 2-452', PROMOTED, '2b-460', '1a-500', '2b-452', 0],
    ['1-500 holds what both histories have', PROMOTED, '2b-460', '1a-500', '1a-450', 1],
    ['1-440 holds nothing after it', PROMOTED, '2b-460', '1a-440', '1a-441', 0],
    ['2-455 holds it all', PROMOTED, '2b-460', '2b-455', '2b-452', 1],
    ['an epoch of the same number elsewhere holds nothing here', PROMOTED, '2b-460', '2c-500', '1a-3', 0],
    ['a site ahead in our own epoch holds no more than there is', ['1a'], '1a-450', '1a-500', '1a-450', 1],
  ])('%s', (_, entries, last, theirs, position, expected) => {
    const acknowledgements = new Acknowledgements(history(entries, last));
    acknowledgements.set('a', at(theirs));
    expect(acknowledgements.count(at(position))).toBe(expected);
  });

  it('count after a promotion only if they were made in its epoch', async () => {
    const moving = { ...history(['1a'], '1a-450') };
    const acknowledgements = new Acknowledgements(moving);
    // Ahead of this site, in the epoch that both know.
    acknowledgements.set('a', at('1a-500'));
    Object.assign(moving, history(PROMOTED, '2b-460'));
    const waiting = acknowledgements.wait(at('2b-452'), 1, new ManualClock(), undefined);
    expect(acknowledgements.count(at('2b-452'))).toBe(0);
    acknowledgements.set('a', at('1a-500'));
    expect(acknowledgements.waiting).toBe(1);
    acknowledgements.set('a', at('2b-452'));
    await expect(waiting).resolves.toBe(1);
  });

  it('do not count later what a site ahead of this one acknowledged', () => {
    const moving = { ...history(['1a'], '1a-450') };
    const acknowledgements = new Acknowledgements(moving);
    acknowledgements.set('a', at('1a-500'));
    moving.last = at('1a-470');
    expect(acknowledgements.count(at('1a-470'))).toBe(0);
    Object.assign(moving, history(['1a', '2b after 1a-470'], '2b-480'));
    expect(acknowledgements.count(at('1a-470'))).toBe(0);
    expect(acknowledgements.count(at('1a-450'))).toBe(1);
  });

  it('never come for a commit that a rewind removed: its wait is rejected with both positions', async () => {
    const moving = { ...history(PROMOTED, '2b-460') };
    const acknowledgements = new Acknowledgements(moving);
    const clock = new ManualClock();
    const lost = acknowledgements.wait(at('2b-452'), 1, clock, undefined);
    const kept = acknowledgements.wait(at('1a-450'), 1, clock, undefined);
    Object.assign(moving, history(OTHER_PROMOTION, '2c-490'));
    acknowledgements.recheck();
    const error = { code: 'FENCED', details: { position: at('2b-452'), last: at('2c-490') } };
    await expect(lost).rejects.toMatchObject(error);
    await expect(acknowledgements.wait(at('2b-452'), 1, clock, undefined)).rejects.toMatchObject(error);
    acknowledgements.set('a', at('2c-485'));
    await expect(kept).resolves.toBe(1);
  });
});
