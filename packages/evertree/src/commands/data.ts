import { formatPosition } from '@evertree/core';
import { type Command, Option } from 'commander';
import { jsonInput, pathArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { WHEN_HELP, tellMoment, whenOption } from './moment-text.ts';
import { type ClientOptions, type WriteOptions, clientOf, writeHeaders, withClient, withWrite } from './options.ts';
import { type WriteAnswer, targetOf } from '../client/site-client.ts';
import { SEARCHING, printLine, whileTelling } from './terminal.ts';
import { type WholeTreeOptions, confirmWholeTree, withYes } from './whole-tree.ts';

export function addDataCommands(program: Command): void {
  addGet(program);
  addPut(program);
  addMerge(program);
  addDelete(program);
  addPatch(program);
}

function addGet(program: Command): void {
  withClient(program.command('get <path>'))
    .summary('print the value at a path')
    .description('Prints the value at a path: a JSON pointer, such as /devices/r1, or "" for the whole tree.')
    .addOption(new Option('--at <when>', 'as it was at a moment of the history').argParser(whenOption('--at')))
    .option('--json', 'on one line')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree get /host/load\n  evertree get "" --json --url http://127.0.0.1:8182\n  evertree get /devices/r1 --at -10m\n  evertree get /devices/r1 --at 4-1201`,
    )
    .action(async (path: string, options: ClientOptions & { at?: string; json?: true }) => {
      const answer = await whileTelling(
        SEARCHING,
        clientOf(options).request(targetOf('data', pathArgument(path), { at: options.at }), { patient: true }),
      );
      const value = await answer.json();
      if (options.at !== undefined) tellMoment(answer, options.at);
      await printLine(JSON.stringify(value, undefined, options.json ? undefined : 2));
    });
}

function addPut(program: Command): void {
  withYes(withWrite(program.command('put <path> [json]')))
    .summary('replace what is at a path')
    .description(
      'Replaces what is at a path with a JSON value, and creates missing parents. Without JSON, or with -, reads the standard input.',
    )
    .addHelpText(
      'after',
      `\nExamples:\n  evertree put /devices/r1 '{"mtu": 1500, "up": true}'\n  evertree put /devices/r1/up false\n  evertree put /motd '"hello"'   # a string has quotes of its own`,
    )
    .action(async (argument: string, json: string | undefined, options: WriteOptions & WholeTreeOptions) => {
      const path = pathArgument(argument);
      const { text } = await jsonInput(json, 'a JSON value');
      const client = clientOf(options);
      if (path.length === 0) await confirmWholeTree(client, 'replaces', options);
      const headers = { 'Content-Type': 'application/json', ...writeHeaders(options) };
      await printAnswer(await client.write(targetOf('data', path), { method: 'PUT', headers, body: text }), options);
    });
}

function addMerge(program: Command): void {
  withWrite(program.command('merge <path> [json]'))
    .summary('merge a JSON object into what is at a path')
    .description(
      'Merges a JSON object into what is at a path (RFC 7396): null deletes a key. Without JSON, or with -, reads the standard input.',
    )
    .addHelpText('after', `\nExample:\n  evertree merge /devices/r1 '{"up": true, "alarm": null}'`)
    .action(async (path: string, json: string | undefined, options: WriteOptions) => {
      const target = targetOf('data', pathArgument(path));
      const { text } = await jsonInput(json, 'a JSON object');
      const headers = { 'Content-Type': 'application/merge-patch+json', ...writeHeaders(options) };
      await printAnswer(await clientOf(options).write(target, { method: 'PATCH', headers, body: text }), options);
    });
}

function addDelete(program: Command): void {
  withYes(withWrite(program.command('delete <path>')))
    .summary('remove what is at a path')
    .description('Removes what is at a path. Fails if nothing is there.')
    .addHelpText('after', '\nExample:\n  evertree delete /devices/r1')
    .action(async (argument: string, options: WriteOptions & WholeTreeOptions) => {
      const path = pathArgument(argument);
      const client = clientOf(options);
      if (path.length === 0) await confirmWholeTree(client, 'removes', options);
      await printAnswer(await client.write(targetOf('data', path), { method: 'DELETE', headers: writeHeaders(options) }), options);
    });
}

function addPatch(program: Command): void {
  withYes(withWrite(program.command('patch [json]')))
    .summary('apply a JSON patch, as one transaction')
    .description('Applies a JSON patch (RFC 6902) to the whole tree as one transaction. Without JSON, or with -, reads the standard input.')
    .addHelpText(
      'after',
      `\nExample:\n  echo '[{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}]' | evertree patch -`,
    )
    .action(async (json: string | undefined, options: WriteOptions & WholeTreeOptions) => {
      const { text, value } = await jsonInput(json, 'a JSON patch');
      if (!Array.isArray(value)) throw new UsageError('a JSON patch is an array of operations (RFC 6902); for an object use merge');
      const client = clientOf(options);
      if (value.some(touchesWholeTree)) await confirmWholeTree(client, 'replaces', options);
      const headers = { 'Content-Type': 'application/json-patch+json', ...writeHeaders(options) };
      await printAnswer(await client.write('/data', { method: 'PATCH', headers, body: text }), options);
    });
}

/** Whether an operation of a JSON patch removes or replaces the whole tree. */
function touchesWholeTree(operation: unknown): boolean {
  const { op, path } = (operation ?? {}) as { readonly op?: unknown; readonly path?: unknown };
  return path === '' && op !== 'test';
}

/** Prints the position of the commit, so that scripts can wait for it. */
async function printAnswer(answer: WriteAnswer, options: { readonly json?: true }): Promise<void> {
  await printLine(options.json ? JSON.stringify(answer) : formatPosition(answer.position));
}
