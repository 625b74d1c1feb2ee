import { isAbsolute } from 'node:path';
import type { BackupProgress } from '@evertree/archive';
import { EvertreeError } from '@evertree/core';
import { z } from 'zod';
import type { BackupOutcome } from '../archive/backup-options.ts';
import { isBucket } from '../archive/places.ts';
import { parseRecipients } from '../configuration/recipients-file.ts';
import { checked } from '../json/checked.ts';
import type { Exchange } from './exchange.ts';
import { acceptsLines } from './headers.ts';
import { ClientGone, RequestError, isExpected, problemOf } from './problem.ts';
import { adminBody } from './roles.ts';
import { plainPosition } from './write.ts';

/** A line of progress follows the one before after this time at the earliest. */
const PROGRESS_MS = 500;

const name = z.string().min(1).max(4_096);

/** An unknown key is refused: a misspelt `recipients` must not leave a backup in the clear. */
const backupSchema = z.strictObject({
  target: name.refine(isWholeName, 'must be s3://bucket/prefix, or the whole path of a directory at this site').exactOptional(),
  recipients: z.array(z.string()).min(1).exactOptional(),
  endpoint: name.exactOptional(),
  region: name.exactOptional(),
  profile: name.exactOptional(),
  pathStyle: z.boolean().exactOptional(),
  dryRun: z.boolean().exactOptional(),
});

/** A path that is not whole would depend on where the site was started. */
function isWholeName(target: string): boolean {
  return isBucket(target) || isAbsolute(target);
}

/** Beside the schema, whose errors repeat what is wrong: an identity is a secret. @throws EvertreeError VALUE_INVALID */
function checkRecipients(recipients: readonly string[] = []): void {
  const { problems } = parseRecipients(recipients.join('\n'));
  if (problems.length > 0) throw new EvertreeError('VALUE_INVALID', `"recipients" ${problems.join(', and ')}`);
}

/**
 * POST /admin/backup {"target": …}: archives everything that is stable now. Without a target it goes into the archive
 * of the site's file. A client that accepts application/x-ndjson gets a line now and then while it is under way, and
 * the outcome or the error as the last one.
 */
export async function postBackup(exchange: Exchange): Promise<void> {
  const {
    target: given,
    dryRun,
    ...options
  } = checked(backupSchema, await adminBody(exchange, '{"target": "s3://bucket/prefix"}'), 'the body');
  checkRecipients(options.recipients);
  const { backups, archive } = exchange.context.site;
  const target = given ?? archive?.target;
  if (target === undefined) {
    throw new RequestError(
      'REQUEST_INVALID',
      'the body names no target, and this site has no archive; send {"target": "s3://bucket/prefix"}',
    );
  }
  if (dryRun === true) {
    const forecast = await backups.forecast(target, options);
    exchange.answer(200, { ...forecast, from: forecast.from && plainPosition(forecast.from), to: plainPosition(forecast.to) });
    return;
  }
  if (backups.isBusy) {
    throw new RequestError('OVERLOADED', 'a backup of this site is under way; wait until it is over', {}, { 'Retry-After': '10' });
  }
  if (!acceptsLines(exchange.request.headers)) {
    exchange.answer(200, outcomeJson(await backups.run(target, options)));
    return;
  }
  await sendProgress(exchange, progress => backups.run(target, { ...options, progress }));
}

function outcomeJson({ position, gap, ...outcome }: BackupOutcome): object {
  const lost = gap === undefined ? {} : { gap: { ...gap, from: plainPosition(gap.from), to: plainPosition(gap.to) } };
  return { ...outcome, position: plainPosition(position), ...lost };
}

/** The head is sent at once, so the last line tells how it ended. A client that goes away ends nothing. */
async function sendProgress(
  exchange: Exchange,
  run: (progress: (progress: BackupProgress) => void) => Promise<BackupOutcome>,
): Promise<void> {
  const { response } = exchange;
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  let newest: BackupProgress = { commits: 0, ofCommits: 0, bytes: 0 };
  const timer = setInterval(() => {
    if (!response.destroyed && !response.writableNeedDrain) response.write(`${JSON.stringify({ progress: newest })}\n`);
  }, PROGRESS_MS);
  let last: object;
  try {
    last = { result: outcomeJson(await run(progress => (newest = progress))) };
  } catch (error) {
    if (!isExpected(error)) exchange.context.report({ level: 'error', event: 'backup-failed', message: String(error), details: { error } });
    last = { error: problemOf(error) };
  } finally {
    clearInterval(timer);
  }
  if (response.destroyed) throw new ClientGone();
  response.end(`${JSON.stringify(last)}\n`);
}
