import { type Command, Option } from 'commander';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { pathArgument } from './arguments.ts';
import { WHEN_HELP, tellMoment, whenOption } from './moment-text.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import { targetOf } from '../client/site-client.ts';
import { print, whileTelling } from './terminal.ts';

export function addExport(program: Command): void {
  withClient(program.command('export [path]'))
    .summary('print the tree, or a subtree, as JSON with sorted keys')
    .description(
      'Prints the tree, or the subtree at a path, as JSON with sorted keys: equal trees give equal texts. The export is of one state, also when others write meanwhile.',
    )
    .option('--json', 'accepted as on other commands; the output is JSON in any case')
    .addOption(new Option('--at <when>', 'the tree as it was at a moment of the history').argParser(whenOption('--at')))
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree export > tree.json\n  evertree export /devices --url http://127.0.0.1:8182 | jq .\n  evertree export --at before-upgrade > then.json`,
    )
    .action(async (path: string | undefined, options: ClientOptions & { at?: string }) => {
      const target = targetOf('data', pathArgument(path ?? ''), { at: options.at });
      // A large tree of long ago takes a while to be put together.
      const answer = await whileTelling('reading the tree …', clientOf(options).request(target, { patient: true }));
      if (options.at !== undefined) tellMoment(answer, options.at);
      try {
        for await (const chunk of answer.body()) await print(chunk);
      } catch (error) {
        if (!isEvertreeError(error)) throw error;
        throw new EvertreeError(error.code, `${error.message}; what was printed is not whole`, error.details, error);
      }
      await print('\n');
    });
}
