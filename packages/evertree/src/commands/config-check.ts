import { isEvertreeError } from '@evertree/core';
import pico from 'picocolors';
import { roleOf } from '../configuration/configuration.ts';
import { type Problem, formatProblem, problemsOf } from '../configuration/problem.ts';
import { readConfiguration } from '../configuration/reading.ts';

export interface Checked {
  readonly file: string;
  readonly kind: string | null;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
}

/** Reads a file as a site would, with the files it names. */
export function checkFile(file: string): Checked {
  try {
    const { kind, notes } = readConfiguration(file);
    return { file, kind, problems: [], notes };
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return { file, kind: null, problems: problemsOf(error), notes: [] };
    throw error;
  }
}

export function checkedText({ file, kind, problems, notes }: Checked): string {
  if (problems.length > 0) return problems.map(problem => pico.red(formatProblem(problem))).join('\n');
  const role = roleOf(kind as Parameters<typeof roleOf>[0]);
  const transport = kind?.startsWith('kafka') ? 'Kafka' : 'WebSocket';
  return [`${file}: ${pico.green('right')}, for a ${role} over ${transport}`, ...notes.map(note => `${file}: note: ${note}`)].join('\n');
}
