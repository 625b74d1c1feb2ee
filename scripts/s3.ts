// Starts a real S3 server on this machine, the one that the tests use, for whoever wants to try an archive in a bucket.
import { relative } from 'node:path';
import { makeBucket, S3_ENVIRONMENT, type S3Server, startS3 } from '../test/support/s3/server.ts';
import { VERSITYGW_VERSION } from '../test/support/s3/versitygw.ts';
import { endOf, runServerScript } from './server-script.ts';

const USUAL_PORT = 7070;
const BUCKET = 'backups';

const USAGE = `Usage: pnpm s3 [--port PORT] [--data DIR]

Starts versitygw ${VERSITYGW_VERSION}, an S3 server, on 127.0.0.1, with the bucket "${BUCKET}". Needs Go for the first start, which builds it.

  --port PORT  where clients find it (default ${USUAL_PORT})
  --data DIR   where it keeps its buckets (default ./data/s3)`;

async function run({ port, data }: { readonly port: number; readonly data: string }): Promise<void> {
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

await runServerScript({ usage: USAGE, usualPort: USUAL_PORT, usualData: 'data/s3', run });
