import { isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import { roleOf } from '../configuration/configuration.ts';
import { type Problem, formatProblem, problemsOf } from '../configuration/problem.ts';
import { readConfiguration } from '../configuration/reading.ts';
import { WRONG_USAGE } from './exit-status.ts';
import { printLine } from './terminal.ts';

interface Checked {
  readonly file: string;
  readonly kind: string | null;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
}

export function addCheckConfig(program: Command): void {
  program
    .command('check-config <file...>')
    .summary('tell all that is wrong with configuration files')
    .description(
      'Checks configuration files whole, with the files they name, and tells everything that is wrong at once. Starts nothing. Ends with 2 if one is wrong.',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  evertree check-config configs/*.json')
    .action(async (files: string[], options: { json?: true }) => {
      const results = files.map(checkFile);
      if (options.json) await printLine(JSON.stringify(results));
      else for (const result of results) await printLine(textOf(result));
      if (results.some(result => result.problems.length > 0)) process.exitCode = WRONG_USAGE;
    });
}

function checkFile(file: string): Checked {
  try {
    const { kind, notes } = readConfiguration(file);
    return { file, kind, problems: [], notes };
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return { file, kind: null, problems: problemsOf(error), notes: [] };
    throw error;
  }
}

function textOf({ file, kind, problems, notes }: Checked): string {
  if (problems.length > 0) return problems.map(problem => pico.red(formatProblem(problem))).join('\n');
  const role = roleOf(kind as Parameters<typeof roleOf>[0]);
  const transport = kind?.startsWith('kafka') ? 'Kafka' : 'WebSocket';
  return [`${file}: ${pico.green('right')}, for a ${role} over ${transport}`, ...notes.map(note => `${file}: note: ${note}`)].join('\n');
}
