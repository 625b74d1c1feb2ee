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

  test('shows what a command has of its own before what others have, too', async () => {
    const { commands } = await evertreeCommand(['revert', '--help']);
    const help = commands[0]!.helpInformation();
    const headings = help.split('\n').filter(line => /^[A-Z][\w ]{1,30}:$/.test(line));
    expect(headings).toEqual(['Options:', 'The site that is asked:', 'Every write:']);
    expect(help.indexOf('--commit <position>')).toBeLessThan(help.indexOf('--url <url>'));
    expect(help.indexOf('--help')).toBeLessThan(help.indexOf('--url <url>'));
  });

  test.each([[[]], [['--help']], [['no-such-command']]])('has all commands where none is chosen: %j', async args => {
    const { commands } = await evertreeCommand(args);
    expect(commands.map(command => command.name())).toEqual(files.flatMap(({ names }) => names));
  });
});
