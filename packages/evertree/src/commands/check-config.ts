import type { Command } from 'commander';
import { WRONG_USAGE } from './exit-status.ts';
import { printLine } from './terminal.ts';

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
      const { checkFile, checkedText } = await import('./config-check.ts');
      const results = files.map(checkFile);
      if (options.json) await printLine(JSON.stringify(results));
      else for (const result of results) await printLine(checkedText(result));
      if (results.some(result => result.problems.length > 0)) process.exitCode = WRONG_USAGE;
    });
}
