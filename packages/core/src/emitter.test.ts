import { describe, expect, it } from 'vitest';
import { collectReports, expectErrors } from '../../../test/support/reports.ts';
import { Emitter, type ErrorEvents } from './emitter.ts';

interface Events extends ErrorEvents {
  moved(to: number): void;
}

const failure = new Error('mine');

function throwing(): never {
  throw failure;
}

describe('an emitter', () => {
  it('calls its listeners in order, each registration for itself, until it ends', () => {
    const emitter = new Emitter<Events>(() => undefined);
    const told: string[] = [];
    const listener = (to: number): void => void told.push(`same ${to}`);
    const first = emitter.on('moved', listener);
    emitter.on('moved', to => void told.push(`other ${to}`));
    emitter.on('moved', listener);
    emitter.emit('moved', 1);
    first[Symbol.dispose]();
    emitter.emit('moved', 2);
    expect(told).toEqual(['same 1', 'other 1', 'same 1', 'other 2', 'same 2']);
  });

  it('reports a listener that throws, calls the error listeners, and calls the other listeners', () => {
    expectErrors('listener-threw');
    const { reports, report } = collectReports();
    const emitter = new Emitter<Events>(report);
    const told: unknown[] = [];
    emitter.on('moved', throwing);
    emitter.on('moved', to => void told.push(to));
    emitter.emit('moved', 1);
    emitter.on('error', (error, listener) => void told.push([error, listener]));
    emitter.emit('moved', 2);
    expect(told).toEqual([1, [failure, 'of the event "moved"'], 2]);
    expect(reports.map(({ event, details }) => [event, details])).toEqual(
      [false, true].map(heard => ['listener-threw', { listener: 'of the event "moved"', error: failure, heard }]),
    );
  });

  it('does not call an error listener for its own error', () => {
    expectErrors('listener-threw');
    const { reports, report } = collectReports();
    const emitter = new Emitter<Events>(report);
    emitter.on('error', throwing);
    emitter.on('moved', throwing);
    emitter.emit('moved', 1);
    expect(reports.map(({ details }) => [details!['listener'], details!['heard']])).toEqual([
      ['of the event "moved"', true],
      ['of the event "error"', false],
    ]);
  });
});
