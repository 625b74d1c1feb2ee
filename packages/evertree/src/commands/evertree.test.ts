import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { COMMAND_FILES, evertreeCommand } from './evertree.ts';

const files = Object.values(COMMAND_FILES).flat();

describe('a command line', () => {
  test.each(files)('finds the file of $names', async ({ names, load }) => {
    const program = new Command();
    (await load())(program);
    expect(program.commands.map(command => command.name())).toEqual(names);
  });

  test('has the chosen command, and what stands beside it in its file', async () => {
    const { commands } = await evertreeCommand(['promote', '--help']);
    expect(commands.map(command => command.name())).toEqual(['switchover', 'promote']);
  });

  test.each([[[]], [['--help']], [['no-such-command']]])('has all commands where none is chosen: %j', async args => {
    const { commands } = await evertreeCommand(args);
    expect(commands.map(command => command.name())).toEqual(files.flatMap(({ names }) => names));
  });
});
