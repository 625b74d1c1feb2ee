import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { Bench, Measure } from '../../bench/bench.ts';
import { atLeast } from '../../bench/figure.ts';
import { chosenMeasures, MEASURES } from '../../bench/measures/all.ts';
import { Progress } from '../../bench/progress.ts';
import { runMeasures, secondsLeft } from '../../bench/run.ts';
import { interleave } from '../../bench/statistics.ts';
import { summary } from '../../bench/summary.ts';

/** A stream that is no terminal, and what was written to it. */
function paper(): { readonly stream: NodeJS.WriteStream; readonly text: () => string } {
  const stream = new PassThrough();
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => String(stream.read() ?? '') };
}

/** A bench that notes what happens. */
function benchOf(events: string[]): Bench {
  const bench = {
    options: { quick: true },
    progress: new Progress(paper().stream),
    reset: async () => void events.push('reset'),
  };
  return bench as unknown as Bench;
}

function measureOf(events: string[], name: string, rest: Partial<Measure> = {}): Measure {
  return { name, about: '', seconds: 1, run: async () => (events.push(name), []), ...rest };
}

test('contestants are ended when no later measure shares them', async () => {
  const events: string[] = [];
  const shared = { shares: 'pair' } as const;
  const measures = [measureOf(events, 'first', shared), measureOf(events, 'second', shared), measureOf(events, 'alone')];
  await runMeasures(benchOf(events), measures);
  expect(events).toEqual(['first', 'second', 'reset', 'alone', 'reset']);
});

test('a measure that fails is told of, leaves no contestants, and the next one runs', async () => {
  const events: string[] = [];
  const fails = measureOf(events, 'fails', { shares: 'pair', run: () => Promise.reject(new Error('no disk')) });
  const { failures } = await runMeasures(benchOf(events), [fails, measureOf(events, 'next', { shares: 'pair' })]);
  expect(failures.map(({ measure, error }) => [measure, error.includes('no disk')])).toEqual([['fails', true]]);
  expect(events).toEqual(['reset', 'next', 'reset']);
});

test('the time left is scaled by how fast this machine was so far', () => {
  const measures = [60, 40, 20];
  expect(secondsLeft(measures, 0, 0)).toBe(120);
  expect(secondsLeft(measures, 1, 90)).toBe(90);
  expect(secondsLeft(measures, 2, 50)).toBe(10);
});

test('measures that share contestants follow one another', () => {
  const changes = MEASURES.filter(({ shares }, index) => shares !== MEASURES[index + 1]?.shares).map(({ shares }) => shares);
  expect(changes.filter(shares => shares === 'pair')).toHaveLength(1);
  expect(changes.filter(shares => shares === 'broker')).toHaveLength(1);
});

test('a quick run has no measure that needs another server, nor one of a full run', () => {
  const quick = chosenMeasures(undefined, true).map(({ name }) => name);
  expect(quick).toEqual(['visible', 'cpu', 'batch', 'lag', 'ack', 'wide']);
  expect(chosenMeasures('cold,restart', true)).toHaveLength(2);
  expect(chosenMeasures('archive-s3', true)).toHaveLength(1);
  expect(() => chosenMeasures('fast', true)).toThrow('there is no measure fast');
});

test('each round begins with another contestant, and its result is told', async () => {
  const told: string[] = [];
  const progress = { tell: (what: string) => told.push(what), found: (result: number) => told.push(String(result)) };
  const results = await interleave({ a: async () => 1, b: async () => 2, absent: undefined }, 2, progress);
  expect(results).toEqual({ a: [1, 1], b: [2, 2], absent: [] });
  expect(told).toEqual(['round 1, a', '1', 'round 1, b', '2', 'round 2, b', '2', 'round 2, a', '1']);
});

test('steps are lines that stay, each with its measure and the result of a round', () => {
  const { stream, text } = paper();
  const progress = new Progress(stream, true);
  progress.measure('visible', 0, 2, 125);
  progress.tell('round 1, ours');
  progress.found(1_234_567);
  const lines = text().trimEnd().split('\n');
  expect(lines[0]).toBe('[1/2] visible: about 2 min left');
  expect(lines.slice(1).map(line => line.replace(/^ *[\d.]+ s {2}/, ''))).toEqual([
    '[1/2] visible: begins',
    '[1/2] visible: round 1, ours',
    '[1/2] visible:   → 1.23M',
  ]);
});

test('without steps, and where there is no terminal, only the time left is told', () => {
  const { stream, text } = paper();
  const progress = new Progress(stream);
  progress.measure('visible', 0, 2);
  progress.tell('round 1, ours');
  progress.found(1);
  progress.measure('wide', 1, 2, 40);
  expect(text()).toBe('[2/2] wide: about 40 s left\n');
});

test('a summary names what was missed, failed or left out, and the command that runs it alone', () => {
  const row = { unit: '×', detail: 'PostgreSQL is not here' };
  const text = summary({
    figures: [
      { ...row, measure: 'wide', title: 'wide rows', value: 1.5, floor: atLeast(2) },
      { ...row, measure: 'lag', title: 'good', value: 3, floor: atLeast(2) },
      { ...row, measure: 'history', title: 'beside PostgreSQL', value: Number.NaN },
    ],
    failures: [{ measure: 'cold', error: 'Error: gone' }],
    omissions: [{ measures: ['kafka-lag', 'kafka-cold'], reason: 'There is no Java.' }],
    command: 'pnpm bench --quick',
  });
  expect(text.split('\n')).toEqual([
    'MISSED wide rows: 1.50 ×, not ≥ 2',
    '    pnpm bench --quick --only wide',
    'FAILED cold: Error: gone',
    '    pnpm bench --quick --only cold',
    'NOT MEASURED beside PostgreSQL: PostgreSQL is not here',
    '    pnpm bench --quick --only history',
    'NOT MEASURED kafka-lag, kafka-cold: There is no Java.',
    '    pnpm bench --quick --only kafka-lag,kafka-cold',
    '',
  ]);
});
