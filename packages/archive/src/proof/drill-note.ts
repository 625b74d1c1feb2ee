import type { Random } from '@evertree/core';
import { drillKey } from '../format/object-keys.ts';
import { movingHead } from '../publishing/head-mover.ts';
import type { Target } from '../targets/target.ts';
import { type DrillReport, encodeDrill } from './drill-report.ts';
import { reportId } from './report-file.ts';

/**
 * Writes the report of a drill, and notes it in HEAD, where sites read it.
 * @returns its key
 * @throws EvertreeError what the target throws; DAMAGED, NOT_FOUND
 */
export async function writeDrill(target: Target, random: Random, report: Omit<DrillReport, 'time'>): Promise<string> {
  const time = await target.now();
  const key = drillKey(reportId(time, random.bytes(4)));
  await target.create(key, encodeDrill({ ...report, time }));
  const { passed, milliseconds, position } = report;
  const { epoch, revision } = position ?? { epoch: 0, revision: 0 };
  await movingHead(target, () => ({ head: { drilled: { time, passed, position: { epoch, revision }, milliseconds, report: key } } }));
  return key;
}
