import { formatScript } from './script.ts';
import type { Outcome } from './script.ts';
import { shrink } from './shrink.ts';

/** Lines of what happened last that a report shows. */
const SHOWN_LINES = 60;

/** What a person needs of a seed that broke a law: the shortened script, and what happened at its end. */
export async function explain(outcome: Outcome): Promise<string> {
  const smallest = await shrink(outcome);
  return [
    `seed ${outcome.script.seed} broke a law: ${outcome.broken?.message}`,
    `shortened from ${outcome.script.lines.length} to ${smallest.script.lines.length} lines, which break it so: ${smallest.broken?.message}`,
    '',
    formatScript(smallest.script),
    '',
    'what happened last:',
    ...smallest.trace.slice(-SHOWN_LINES),
  ].join('\n');
}
