import type { ExactPosition, Report } from '@evertree/core';

// What an index tells of itself. It never takes more than speed from anybody: so these are warnings.

export function droppedReport(file: string, problem: string): Report {
  const message = `a file of the index is of no use and is made anew (${problem}); until then questions about the history take longer`;
  return { level: 'warn', event: 'index-dropped', message, details: { file } };
}

export function stuckReport(position: ExactPosition): Report {
  const message = `the index can't go on after the revision ${position.revision}: the segments do not hold what follows; verify this directory`;
  return { level: 'warn', event: 'index-stuck', message, details: { position } };
}

export function failedReport(error: Error): Report {
  const message = `the index of the history can't be written (${error.message}); it is tried again, and until then questions about the history take longer`;
  return { level: 'warn', event: 'index-failed', message, details: { error } };
}

export function unreadableReport(file: string, error: Error): Report {
  return { level: 'warn', event: 'index-unreadable', message: `${file} can't be read (${error.message})`, details: { file, error } };
}
