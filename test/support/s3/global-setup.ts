import { readFile } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { answerWorkers, tellMissed } from '../run-server.ts';
import { type S3Server, startS3 } from './server.ts';
import type { S3OfRun } from './suite.ts';
import { findObstacle, provideVersitygw } from './versitygw.ts';

/**
 * Stands by for a run of the tests: the workers, a process each, ask it to build the S3 server, and for the one that
 * they share. The build takes minutes, so it begins at once if a file of the run is going to ask.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const obstacle = await findObstacle();
  const tell = (line: string): void => project.vitest.logger.log(line);
  const ended = new AbortController();
  let prepared: Promise<string> | undefined;
  let shared: Promise<S3Server> | undefined;
  const prepare = (): Promise<string> => (prepared ??= provideVersitygw(tell, ended.signal));
  const share = (): Promise<S3Server> => (shared ??= prepare().then(() => startS3()));

  const server = await answerWorkers({
    '/prepared': async () => (await prepare(), ''),
    '/server': async () => {
      const { endpoint, folder } = await share();
      return JSON.stringify({ endpoint, folder });
    },
  });
  const s3: S3OfRun = { obstacle: obstacle ?? null, url: server.url };
  project.provide('s3', s3);
  if (obstacle === undefined && (await isNeeded(project))) {
    // What it fails with is told to whoever asks.
    prepare().catch(() => undefined);
  }

  return async () => {
    server.close();
    ended.abort();
    // A server that did not start has reported that to its callers.
    await shared?.then(
      started => started[Symbol.asyncDispose](),
      () => undefined,
    );
    await prepared?.catch(() => undefined);
    if (obstacle !== undefined) tellMissed(project, 'needsS3', 'an S3 server', obstacle);
  };
}

/** Whether a file of this run has a suite that needs the server. */
async function isNeeded({ vitest }: TestProject): Promise<boolean> {
  // Vitest keeps the words of the command line to itself; without them all files count.
  const { filenamePattern } = vitest as unknown as { readonly filenamePattern?: string[] };
  const files = await vitest.globTestSpecifications(filenamePattern);
  for (const { moduleId } of files) if ((await readFile(moduleId, 'utf8')).includes('describeS3(')) return true;
  return false;
}
