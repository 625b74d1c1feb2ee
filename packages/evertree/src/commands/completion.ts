import { type Command, Argument, type Option } from 'commander';
import { printLine } from './terminal.ts';

/** The options of one command, as a shell completes them. */
interface Completed {
  /** As they are typed: `divergences replay`. */
  readonly names: readonly string[];
  readonly summary: string;
  readonly options: readonly Option[];
  readonly commands: readonly Command[];
}

const WRITERS = { bash, zsh, fish };
type Shell = keyof typeof WRITERS;

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(WRITERS)))
    .summary('print a script with which a shell completes commands and options')
    .description('Prints a script with which a shell completes the commands of this program, their options, and the choices of these.')
    .addHelpText(
      'after',
      `
Examples:
  source <(evertree completion bash)      # in ~/.bashrc
  source <(evertree completion zsh)       # in ~/.zshrc
  evertree completion fish | source       # in ~/.config/fish/config.fish`,
    )
    .action(async (shell: Shell) => {
      const { evertreeCommand } = await import('./evertree.ts');
      await printLine(completionScript(shell, await evertreeCommand([])));
    });
}

/** @param program with all its commands */
export function completionScript(shell: Shell, program: Command): string {
  return WRITERS[shell](completedOf(program));
}

/** Every command, those below others too; the program itself is the first. */
function completedOf(command: Command, names: readonly string[] = []): Completed[] {
  const { options } = command;
  const own = { names, summary: command.summary(), options, commands: command.commands };
  return [own, ...command.commands.flatMap(below => completedOf(below, [...names, below.name()]))];
}

/**
 * The words before the cursor that are names of commands choose the command. After an option with choices these are
 * offered, after a dash the command's options, else the commands below it; where nothing fits, the shell offers files.
 */
function bash(commands: readonly Completed[]): string {
  const known = commands.slice(1).map(({ names }) => quoted(names.join(' ')));
  const choices = choicesOf(commands).map(
    ({ names, option, values }) => `${quoted([...names, option].join(' '))}) words=${quoted(values)}`,
  );
  const words = commands.map(({ names, options, commands: below }) => {
    const dashed = [...options.flatMap(({ long }) => long ?? []), '--help'].join(' ');
    return `${quoted(names.join(' '))}) words=${quoted(below.map(each => each.name()).join(' '))} options=${quoted(dashed)}`;
  });
  return `_evertree() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command= word words= options=
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    case "\${command:+$command }$word" in
      ${known.join(' | ')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "\${command:+$command }$previous" in
    ${choices.join(' ;;\n    ')} ;;
    *)
      case "$command" in
        ${words.join(' ;;\n        ')} ;;
      esac
      [[ $current == -* ]] && words=$options ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _evertree evertree`;
}

function zsh(commands: readonly Completed[]): string {
  return `autoload -U +X compinit && (( \${+functions[compdef]} )) || compinit
autoload -U +X bashcompinit && bashcompinit
${bash(commands)}`;
}

function fish(commands: readonly Completed[]): string {
  return commands
    .flatMap(({ names, options, commands: below }) => {
      const when = names.length === 0 ? '__fish_use_subcommand' : names.map(name => `__fish_seen_subcommand_from ${name}`).join('; and ');
      const start = `complete -c evertree -n ${quoted(when)}`;
      return [
        ...below.map(each => `${start} -a ${each.name()} -d ${quoted(each.summary())}`),
        ...options
          .filter(({ long }) => long !== undefined)
          .map(({ long, required, argChoices, description }) => {
            const value = argChoices === undefined ? (required ? ' -r' : '') : ` -x -a ${quoted(argChoices.join(' '))}`;
            return `${start} -l ${long!.slice(2)}${value} -d ${quoted(description)}`;
          }),
      ];
    })
    .join('\n');
}

function choicesOf(commands: readonly Completed[]) {
  return commands.flatMap(({ names, options }) =>
    options.flatMap(({ long: option, argChoices }) =>
      option === undefined || argChoices === undefined ? [] : [{ names, option, values: argChoices.join(' ') }],
    ),
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
