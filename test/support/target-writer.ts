import { writeSync } from 'node:fs';
import { openTarget } from '@evertree/archive';
import type { Clock } from '@evertree/core';
import { systemClock, systemRandom } from './host.ts';

/**
 * Writes objects into the archive that the argument names, and counts in its HEAD, until it is killed; writes a line
 * for each object and each count that is there.
 */
const [name, own] = process.argv.slice(2) as [string, string];
const clock: Clock = { ...systemClock, after: (delayMs, task) => setTimeout(task, delayMs) };
const target = await openTarget(name, { clock, random: systemRandom });
for (let number = 1; ; number++) {
  const key = `objects/${own}/${number}`;
  await target.create(key, Buffer.alloc(64 * 1024, number % 256));
  writeSync(1, `${key}\n`);
  const head = await target.get('HEAD');
  const count = Number(head?.bytes.toString() ?? 0) + 1;
  const outcome = await target.replace('HEAD', Buffer.from(String(count).padStart(20_000, '0')), head?.tag);
  if (outcome !== 'changed') writeSync(1, `HEAD ${count}\n`);
}
