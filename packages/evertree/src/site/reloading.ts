import type { Reporter } from '@evertree/core';
import { formatProblem } from '../configuration/problem.ts';
import type { Reload, RunningConfigurations } from '../configuration/running.ts';
import { describe } from '../roles/role-context.ts';

/** Takes the credentials of the files over, and reports what came of it. Throws as `RunningConfigurations.reload`. */
export function reloadTold(configurations: RunningConfigurations, report: Reporter): Reload {
  let reload: Reload;
  try {
    reload = configurations.reload();
  } catch (error) {
    const message = `nothing was reloaded, and the site goes on as before: ${describe(error)}`;
    report({ level: 'error', event: 'reload-refused', message, details: { error } });
    throw error;
  }
  const { renewed, pending, warnings } = reload;
  for (const message of warnings) report({ level: 'warn', event: 'configuration-warning', message });
  for (const problem of pending) report({ level: 'warn', event: 'restart-needed', message: formatProblem(problem) });
  const what = renewed.map(({ source, key }) => `${key} of ${source}`).join(', ');
  const message =
    renewed.length === 0
      ? 'reloaded: tokens and certificates are the same as before'
      : `reloaded: new connections take ${what}, as written now; those that are open go on`;
  report({ level: 'info', event: 'reloaded', message, details: { renewed } });
  return reload;
}
