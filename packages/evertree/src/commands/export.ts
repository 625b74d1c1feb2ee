import type { Command } from 'commander';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { pathArgument } from './arguments.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import { targetOf } from '../client/site-client.ts';
import { print } from './terminal.ts';

export function addExport(program: Command): void {
  withClient(program.command('export [path]'))
    .summary('print the tree, or a subtree, as JSON with sorted keys')
    .description(
      'Prints the tree, or the subtree at a path, as JSON with sorted keys: equal trees give equal texts. The export is of one state, also when others write meanwhile.',
    )
    .option('--json', 'accepted as on other commands; the output is JSON in any case')
    .addHelpText('after', '\nExamples:\n  evertree export > tree.json\n  evertree export /devices --url http://127.0.0.1:8182 | jq .')
    .action(async (path: string | undefined, options: ClientOptions) => {
      const answer = await clientOf(options).request(targetOf('data', pathArgument(path ?? '')));
      try {
        for await (const chunk of answer.body()) await print(chunk);
      } catch (error) {
        if (!isEvertreeError(error)) throw error;
        throw new EvertreeError(error.code, `${error.message}; what was printed is not whole`, error.details, error);
      }
      await print('\n');
    });
}
