import { type Command, Option } from 'commander';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { pathArgument } from './arguments.ts';
import { WHEN_HELP, tellMoment, whenOption } from './moment-text.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { SiteAnswer } from '../client/site-answer.ts';
import { targetOf } from '../client/site-client.ts';
import { print, tellNote, whileTelling } from './terminal.ts';
import { formatBytes } from './units.ts';
import { writeWholeFile } from './whole-file.ts';

export function addExport(program: Command): void {
  withClient(program.command('export [path]'))
    .summary('print the tree, or a subtree, as JSON with sorted keys')
    .description(
      'Prints the tree, or the subtree at a path, as JSON with sorted keys: equal trees give equal texts. The export is of one state, also when others write meanwhile.',
    )
    .option('--json', 'accepted as on other commands; the output is JSON in any case')
    .option('--output <file>', 'write it to a file, whole or not at all (default: print it)')
    .addOption(new Option('--at <when>', 'the tree as it was at a moment of the history').argParser(whenOption('--at')))
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree export --output tree.json\n  evertree export /devices --url http://127.0.0.1:8182 | jq .\n  evertree export --at before-upgrade --output then.json`,
    )
    .action(exportTree);
}

interface ExportOptions extends ClientOptions {
  readonly at?: string;
  readonly output?: string;
}

async function exportTree(path: string | undefined, options: ExportOptions): Promise<void> {
  const target = targetOf('data', pathArgument(path ?? ''), { at: options.at });
  // A large tree of long ago takes a while to be put together.
  const answer = await whileTelling('reading the tree …', clientOf(options).request(target, { patient: true }));
  if (options.at !== undefined) tellMoment(answer, options.at);
  const document = new ExportedDocument(answer);
  if (options.output === undefined) {
    for await (const chunk of document.chunks('what was printed is not whole')) await print(chunk);
  } else {
    await writeWholeFile(options.output, document.chunks(`nothing was written to ${options.output}`));
    tellNote(`${formatBytes(document.bytes)} written to ${options.output}`);
  }
}

/** The JSON text that a site answers, and a line break. */
class ExportedDocument {
  readonly #answer: SiteAnswer;
  /** So many were given. */
  bytes = 0;

  constructor(answer: SiteAnswer) {
    this.#answer = answer;
  }

  /** @param consequence of an answer that breaks off, for its error */
  async *chunks(consequence: string): AsyncGenerator<string | Uint8Array> {
    try {
      for await (const chunk of this.#answer.body()) {
        this.bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      throw new EvertreeError(error.code, `${error.message}; ${consequence}`, error.details, error);
    }
    this.bytes += 1;
    yield '\n';
  }
}
