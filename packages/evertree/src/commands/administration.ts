import type { Command } from 'commander';
import { type ClientOptions, clientOf, withClient } from './options.ts';
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
