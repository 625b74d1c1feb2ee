import { type Command, Option } from 'commander';
import { secondsArgument } from './arguments.ts';
import { printLine } from './terminal.ts';

export function addCheckConfig(program: Command): void {
  program
    .command('check-config <file...>')
    .summary('find everything that is wrong with configuration files')
    .description(
      'Checks configuration files, with the files that they name, and prints every problem. Starts nothing and changes nothing. The exit status is 2 if a file is wrong.',
    )
    .option(
      '--connect',
      'also connect: ask the brokers (rights, topics and their settings), or shake hands with the consumers (TLS and token), and look at the archive; 1 if one does not answer',
    )
    .addOption(
      new Option('--timeout <seconds>', 'how long a consumer may take to answer, with --connect').default(10).argParser(secondsArgument),
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  evertree check-config configs/*.json\n  evertree check-config --connect configs/kafkaProducer.json',
    )
    .action(async (files: string[], options: { connect?: true; timeout: number; json?: true }) => {
      const { checkFile, checkedText, statusOf } = await import('./file-check.ts');
      const results = await Promise.all(files.map(file => checkFile(file, options.connect === true ? options.timeout * 1_000 : undefined)));
      if (options.json) await printLine(JSON.stringify(results));
      else for (const result of results) await printLine(checkedText(result));
      process.exitCode = statusOf(results);
    });
}
