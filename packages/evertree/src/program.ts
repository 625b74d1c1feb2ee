import { CommanderError } from 'commander';
import { isEvertreeError } from '@evertree/core';
import { evertreeCommand } from './commands/evertree.ts';
import { DONE, UsageError, WRONG_USAGE, exitStatusOf } from './commands/exit-status.ts';
import { outliveReaders, printError } from './commands/terminal.ts';

outliveReaders();
try {
  const command = await evertreeCommand(process.argv.slice(2));
  await command.parseAsync();
} catch (error) {
  process.exitCode = tell(error);
}

/** Tells a person what went wrong, and gives the exit status. */
function tell(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message. Help that was asked for is no error; help for want of a command is one.
    return error.exitCode === 0 ? DONE : WRONG_USAGE;
  }
  const message = error instanceof Error ? error.message : String(error);
  if (isEvertreeError(error, 'CONFIGURATION_INVALID') && 'problems' in error.details) printError(`nothing was started:\n${message}`);
  else if (isEvertreeError(error)) printError(`${message} (${error.code})`);
  else printError(error instanceof UsageError ? message : ((error as Error).stack ?? message));
  return exitStatusOf(error);
}
