import type { Command } from 'commander';
import { Option } from 'commander';
import { checkHttpPort, directoryArgument, portArgument } from './arguments.ts';
import { onSignals } from './signals.ts';

interface PairCommandOptions {
  readonly data: string;
  readonly http: number;
  readonly feed: 'host' | 'none';
}

export function addPair(program: Command): void {
  program
    .command('pair')
    .summary('a primary and a secondary on this machine, to try things out')
    .description(
      'Runs a primary and a secondary on this machine, two processes with a WebSocket between them, and feeds readings of this machine into /host. Ctrl-C ends both; the next start goes on with their data.',
    )
    .addOption(new Option('--data <dir>', 'where both keep their data').default('./data').argParser(directoryArgument))
    .addOption(new Option('--http <port>', "the primary's HTTP port; the secondary has the next one").default(8181).argParser(portArgument))
    .addOption(new Option('--feed <feed>', 'what is written once a second').choices(['host', 'none']).default('host'))
    .addHelpText('after', '\nExamples:\n  evertree pair\n  evertree pair --data ./other --http 9181 --feed none')
    .action(async (options: PairCommandOptions) => {
      for (const port of [options.http, options.http + 1]) checkHttpPort(port);
      const { Pair } = await import('../pair/pair.ts');
      const pair = new Pair({ ...options, program: programName() });
      const signals = onSignals({ stop: () => pair.stop(), force: () => pair.kill() });
      try {
        await pair.run();
      } finally {
        signals[Symbol.dispose]();
      }
    });
}

/** How the user called this program, so that printed commands can be copied. */
function programName(): string {
  const inWorkspace = import.meta.filename.endsWith('.ts');
  if (inWorkspace) return 'npx -y pnpm evertree';
  return process.env['npm_command'] === 'exec' ? 'npx evertree' : 'evertree';
}
