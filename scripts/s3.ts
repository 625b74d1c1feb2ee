// Starts a real S3 server on this machine, the one that the tests use, for whoever wants to try an archive in a bucket.
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBucket, S3_ENVIRONMENT, type S3Server, startS3 } from '../test/support/s3/server.ts';
import { VERSITYGW_VERSION } from '../test/support/s3/versitygw.ts';
import { isFree } from '../test/support/site-process.ts';

const USUAL_PORT = 7070;
const MOST_PORT = 65_535;
const BUCKET = 'backups';

const USAGE = `Usage: pnpm s3 [--port PORT] [--data DIR]

Starts versitygw ${VERSITYGW_VERSION}, an S3 server, on 127.0.0.1, with the bucket "${BUCKET}". Needs Go for the first start, which builds it.

  --port PORT  where clients find it (default ${USUAL_PORT})
  --data DIR   where it keeps its buckets (default ./data/s3)`;

interface Settings {
  readonly port: number;
  readonly data: string;
}

/** Undefined: only the usage was asked for. @throws what is wrong with the arguments */
function readArguments(args: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: { port: { type: 'string' }, data: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) return undefined;
  const port = Number(values.port ?? USUAL_PORT);
  if (!Number.isInteger(port) || port < 1 || port > MOST_PORT) throw new Error(`--port ${values.port} is no port: give 1 to ${MOST_PORT}.`);
  return { port, data: resolve(values.data ?? 'data/s3') };
}

async function run({ port, data }: Settings): Promise<void> {
  if (!(await isFree(port))) throw new Error(`Port ${port} of 127.0.0.1 is taken: end what listens there, or give --port another one.`);
  await using server = await startS3({ port, data, tell: line => console.log(line) });
  await makeBucket(server, BUCKET);
  console.log(describeServer(server, data));
  const asked = await endOf(server);
  if (!asked) throw new Error(`The S3 server ended by itself; its last lines:\n${server.log}`);
  await server.stop();
  console.log('\nThe S3 server has ended; its data is kept.');
}

function describeServer({ endpoint }: S3Server, data: string): string {
  const place = relative(process.cwd(), data);
  const variables = Object.entries({ ...S3_ENVIRONMENT, AWS_ENDPOINT_URL_S3: endpoint });
  return `
  versitygw ${VERSITYGW_VERSION} takes connections on ${endpoint}; its data is kept in ${place.startsWith('..') ? data : `./${place}`}.

  In another terminal:
${variables.map(([name, value]) => `    export ${name}=${value}`).join('\n')}
    npx -y pnpm evertree backup init s3://${BUCKET}/site-a

  Ctrl-C ends the server.`;
}

/** Resolves with true when a signal asks it to end, with false when it ended by itself. */
function endOf(server: S3Server): Promise<boolean> {
  return new Promise(resolved => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolved(true));
    void server.ended().then(() => resolved(false));
  });
}

try {
  const settings = readArguments(process.argv.slice(2));
  if (settings === undefined) console.log(USAGE);
  else await run(settings);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
