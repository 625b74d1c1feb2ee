import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isFree } from '../test/support/site-process.ts';

const MOST_PORT = 65_535;

interface ServerSettings {
  readonly port: number;
  readonly data: string;
}

/** A script that runs a real server until it is asked to end. */
export interface ServerScript {
  readonly usage: string;
  readonly usualPort: number;
  /** Where the server keeps what it writes. */
  readonly usualData: string;
  /** Resolves when the server has ended. @throws what went wrong, for people */
  readonly run: (settings: ServerSettings) => Promise<void>;
}

/** Reads `--port`, `--data` and `--help`, and runs the script. What is wrong is printed, and the exit status is 1 then. */
export async function runServerScript(script: ServerScript): Promise<void> {
  try {
    const settings = readArguments(process.argv.slice(2), script);
    if (settings === undefined) {
      console.log(script.usage);
      return;
    }
    const { port } = settings;
    if (!(await isFree(port))) throw new Error(`Port ${port} of 127.0.0.1 is taken: end what listens there, or give --port another one.`);
    await script.run(settings);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

/** Undefined: only the usage was asked for. @throws what is wrong with the arguments */
function readArguments(args: readonly string[], { usualPort, usualData }: ServerScript): ServerSettings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: { port: { type: 'string' }, data: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) return undefined;
  const port = Number(values.port ?? usualPort);
  if (!Number.isInteger(port) || port < 1 || port > MOST_PORT) throw new Error(`--port ${values.port} is no port: give 1 to ${MOST_PORT}.`);
  return { port, data: resolve(values.data ?? usualData) };
}

/** Resolves with true when a signal asks the server to end, with false when it ended by itself. */
export function endOf(server: { ended(): Promise<void> }): Promise<boolean> {
  return new Promise(resolved => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolved(true));
    void server.ended().then(() => resolved(false));
  });
}
