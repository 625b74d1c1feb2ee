import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { EvertreeError } from '../errors.ts';

const at = (revision: number) => ({ epoch: 1, epochId: '00000000000000e1', revision });

describe('Acknowledgements', () => {
  it('are counted once as many secondaries as were asked for hold the position', async () => {
    const acknowledgements = new Acknowledgements();
    const two = acknowledgements.wait(at(5), 2, new ManualClock(), undefined);
    acknowledgements.set('a', at(5));
    acknowledgements.set('b', at(4));
    expect(acknowledgements.waiting).toBe(1);
    acknowledgements.set('b', at(9));
    await expect(two).resolves.toBe(2);
    expect(acknowledgements.waiting).toBe(0);
  });

  it('keep nothing of whoever waited in vain, however many did while no secondary was there', async () => {
    const clock = new ManualClock();
    const acknowledgements = new Acknowledgements();
    const waits = Array.from({ length: 3_000 }, (_, index) =>
      acknowledgements.wait(at(1 + (index % 7)), 1 + (index % 5), clock, 1_000 - (index % 3)),
    );
    const outcomes = Promise.allSettled(waits);
    expect(acknowledgements.waiting).toBe(3_000);
    clock.advance(1_000);
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ACKNOWLEDGEMENT_TIMEOUT' } });
    expect(acknowledgements.waiting).toBe(0);
  });

  it('still come to those that wait on, after others gave up', async () => {
    const clock = new ManualClock();
    const acknowledgements = new Acknowledgements();
    const early = acknowledgements.wait(at(3), 1, clock, 10);
    const patient = acknowledgements.wait(at(2), 1, clock, undefined);
    const later = acknowledgements.wait(at(4), 1, clock, 20);
    clock.advance(10);
    await expect(early).rejects.toMatchObject({ code: 'ACKNOWLEDGEMENT_TIMEOUT' });
    acknowledgements.set('a', at(4));
    await expect(Promise.all([patient, later])).resolves.toEqual([1, 1]);
  });

  it('are refused at once where none can come any more, but for what is held already', async () => {
    const acknowledgements = new Acknowledgements();
    acknowledgements.set('a', at(5));
    acknowledgements.fail(new EvertreeError('CLOSED', 'this store is closed'));
    await expect(acknowledgements.wait(at(6), 1, new ManualClock(), undefined)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(acknowledgements.wait(at(5), 1, new ManualClock(), undefined)).resolves.toBe(1);
  });
});
