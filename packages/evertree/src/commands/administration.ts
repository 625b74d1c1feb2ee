import { isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import { formatProblem } from '../configuration/problem.ts';
import type { Reload } from '../configuration/running.ts';
import { UsageError } from './exit-status.ts';
import { type ClientOptions, clientOf, withClient, withSite } from './options.ts';
import { printLine } from './terminal.ts';

interface AdministrationOptions extends ClientOptions {
  readonly json?: true;
}

export function addAdministration(program: Command): void {
  withClient(program.command('snapshot'))
    .summary('write a snapshot now')
    .description(
      'Makes the site write its whole tree to its disk now. Sites do so by themselves from time to time; a snapshot shortens the next start and lets the journal shrink.',
    )
    .option('--json', 'print the answer as JSON')
    .action(async (options: AdministrationOptions) => {
      const answer = await clientOf(options).json('/admin/snapshot', { method: 'POST', patient: true });
      await printLine(options.json ? JSON.stringify(answer) : 'the snapshot is written');
    });
  withSite(program.command('reload'))
    .summary('take over new tokens and certificates')
    .description(
      "Makes the site read its configuration files again, and take over the tokens, certificates, keys and authorities that they name, as SIGHUP does. Each new connection gets them; those that are open go on, and each request over HTTP is judged by the new tokens. Whatever else differs in the files is named, and counts after a restart. If anything is wrong with a file, nothing changes. It is the site's own files that are read: ask each site.",
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExamples:\n  evertree reload\n  evertree reload --url https://127.0.0.1:8182 --token-file ops.token')
    .action(async (options: AdministrationOptions) => {
      const answer = await clientOf(options).json('/admin/reload', { method: 'POST' }).catch(told);
      await printLine(options.json ? JSON.stringify(answer) : reloadLines(answer as Reload).join('\n'));
    });
  withClient(program.command('forget <peer>'))
    .summary('take a lost secondary off the list')
    .description(
      'Takes a secondary that will not come back off the list, so that the journal keeps no history for it. If it comes back all the same, it is listed again, and gets a full copy if the journal no longer reaches back to its position.',
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExample:\n  evertree forget box-b')
    .action(async (peer: string, options: AdministrationOptions) => {
      const answer = await clientOf(options).json('/admin/forget', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ site: peer }),
      });
      await printLine(options.json ? JSON.stringify(answer) : `${peer} is forgotten`);
    });
}

/** @throws UsageError for files of the site that are wrong; any other error as it is */
function told(error: unknown): never {
  if (isEvertreeError(error, 'CONFIGURATION_INVALID')) throw new UsageError(`nothing was reloaded:\n${error.message}`);
  throw error;
}

function reloadLines({ renewed, pending, warnings }: Reload): string[] {
  const lines = renewed.map(({ source, key }) => `reloaded: ${key} of ${source}`);
  if (lines.length === 0) lines.push('tokens and certificates are the same as before');
  const restart = pending.map(problem => `not reloaded: ${formatProblem(problem)}`);
  return [...lines, ...restart, ...warnings.map(message => `warning: ${message}`)];
}
