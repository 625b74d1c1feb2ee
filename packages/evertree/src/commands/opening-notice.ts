import type { Reporter } from '@evertree/core';
import { formatDuration } from './units.ts';

/** How often a site that opens for long says so. */
const NOTICE_MS = 5_000;

/** Says again and again that a site is being opened, until it is disposed of: nobody shall take a recovery for a hang. */
export function tellWhileOpening(data: string, report: Reporter): Disposable {
  const begun = performance.now();
  const timer = setInterval(() => {
    const elapsedMs = Math.round(performance.now() - begun);
    const message =
      `opens ${data}, for ${formatDuration(elapsedMs)} so far: the tree is rebuilt from the newest snapshot and the history after it; ` +
      'HTTP answers when that is done';
    report({ level: 'info', event: 'opening', message, details: { data, elapsedMs } });
  }, NOTICE_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
