import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionScript } from './completion.ts';
import { evertreeCommand } from './evertree.ts';

/** Real shells complete with the scripts that are printed. */

async function scriptFor(shell: 'bash' | 'zsh' | 'fish'): Promise<string> {
  return completionScript(shell, await evertreeCommand([]));
}

function printedBy(shell: string, args: readonly string[]): string {
  return execFileSync(shell, args, { encoding: 'utf8' });
}

/** What bash offers for the last of the words. */
function offered(script: string, words: readonly string[]): string[] {
  const run = `${script}\nCOMP_WORDS=(evertree "$@"); COMP_CWORD=$#; _evertree; printf '%s\n' "\${COMPREPLY[@]}"`;
  return printedBy('bash', ['-c', run, 'bash', ...words])
    .trim()
    .split('\n');
}

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

describe('completion', () => {
  test.each([
    [['rev'], ['revert']],
    [['div'], ['divergences']],
    [['divergences', 're'], ['replay']],
    [['divergences', 'replay', '--com'], ['--commit']],
    [['revert', '/a', '--conf'], ['--conflicts']],
    [
      ['revert', '--conflicts', ''],
      ['overwrite', 'skip'],
    ],
    [['get', '/a', '--to'], ['--token-file']],
    [['put', 'show', '--auth'], ['--author']],
    [['--ver'], ['--version']],
    [['completion', 'nothing'], ['']],
    [['import', ''], ['']],
  ])('bash completes %j', async (words, expected) => {
    expect(offered(await scriptFor('bash'), words)).toEqual(expected);
  });

  test('bash is offered every command', async () => {
    const { commands } = await evertreeCommand([]);
    expect(offered(await scriptFor('bash'), [''])).toEqual(commands.map(command => command.name()));
  });

  test.runIf(has('zsh'))('zsh takes its script, and completes with it', async () => {
    const begun = 'autoload -U +X compinit && compinit -u -D';
    // As bashcompinit calls the function; zsh itself chooses those that begin with the word.
    const call = 'f() { emulate -L sh; COMP_WORDS=(evertree divergences ""); COMP_CWORD=2; _evertree; print -l "${COMPREPLY[@]}" }; f';
    const run = `${begun}\n${await scriptFor('zsh')}\n${call}`;
    expect(printedBy('zsh', ['-f', '-c', run])).toBe('list\nshow\nexport\nreplay\nforget\n');
  });

  test.runIf(has('fish'))('fish completes with its script', async () => {
    const run = `${await scriptFor('fish')}\ncomplete -C 'evertree rev'; complete -C 'evertree revert --conflicts '; complete -C 'evertree divergences rep'`;
    const lines = printedBy('fish', ['--no-config', '-c', run]).trim().split('\n');
    expect(lines.map(line => line.split('\t')[0])).toEqual(['revert', 'overwrite', 'skip', 'replay']);
  });
});
