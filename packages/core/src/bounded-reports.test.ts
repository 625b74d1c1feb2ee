import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/host.ts';
import { BoundedReports } from './bounded-reports.ts';
import type { Report } from './seams/host.ts';

const summary = (count: number, seconds: number): Report => ({ level: 'warn', event: 'x', message: `${count} more in ${seconds} s` });

function start() {
  const clock = new ManualClock();
  const told: string[] = [];
  const reports = new BoundedReports(clock, report => void told.push(report.message), summary);
  const burst = (count: number) => {
    for (let index = 1; index <= count; index++) reports.tell({ level: 'warn', event: 'x', message: `${index}` });
  };
  return { clock, told, reports, burst };
}

test('76 reports at once make a few lines, and one line with the count of the others', () => {
  const { clock, told, burst } = start();
  burst(76);
  expect(told).toEqual(['1', '2', '3', '4']);
  clock.advance(10_000);
  expect(told.slice(4)).toEqual(['72 more in 10 s']);
  burst(1);
  clock.advance(100_000);
  expect(told.slice(5)).toEqual(['1']);
});

test('reports that were only counted are reported at the end', () => {
  const { clock, told, reports, burst } = start();
  burst(5);
  reports[Symbol.dispose]();
  clock.advance(100_000);
  expect(told).toEqual(['1', '2', '3', '4', '1 more in 10 s']);
});
