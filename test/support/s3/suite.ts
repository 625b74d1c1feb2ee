import { beforeAll, inject } from 'vitest';
import { askRun } from '../run-server.ts';
import { describeServer } from '../server-suite.ts';
import { makeBucket, S3_ENVIRONMENT } from './server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly s3: S3OfRun;
  }
}

/** What a run of the tests tells its workers of S3. */
export interface S3OfRun {
  /** Why no server can be started here, and what helps; null where one can. */
  readonly obstacle: string | null;
  /**
   * The run itself listens there: `/prepared` answers once a server can be started at once, `/server` with the endpoint
   * and the folder of the shared one.
   */
  readonly url: string;
}

/** The server that all test files of a run share. */
export interface SharedS3 {
  readonly endpoint: string;
  readonly folder: string;
  /** A bucket that no other test uses. */
  readonly bucket: string;
}

/** The first use on a machine builds the server, while the other tests need the processors, too. */
const PREPARATION_LIMIT_MS = 900_000;

/**
 * A suite that needs a real S3 server: of its own, from `startS3`, where it kills or stalls it, else `sharedS3()`. Its
 * processes have the credentials in their environment. Where there is no Go it does not run, and the closing lines say
 * so; with CI set that is a failure.
 */
export function describeS3(name: string, suite: () => void): void {
  const { obstacle, url } = inject('s3');
  const prepare = () => askRun(url, '/prepared');
  const needed = { mark: 'needsS3', name: 'a real S3 server', obstacle, prepare, preparationLimitMs: PREPARATION_LIMIT_MS } as const;
  describeServer(name, needed, () => {
    // A test file has its process to itself.
    beforeAll(() => {
      Object.assign(process.env, S3_ENVIRONMENT, { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' });
    });
    suite();
  });
}

/** The shared server, started when the first test asks, with a bucket for whoever asks. Leave it alive. */
export async function sharedS3(): Promise<SharedS3> {
  const server = JSON.parse(await askRun(inject('s3').url, '/server')) as Omit<SharedS3, 'bucket'>;
  return { ...server, bucket: await makeBucket(server, `test-${crypto.randomUUID()}`) };
}
