import { EvertreeError, type Obstacle } from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import type { SwitchoverResult } from '../roles/giving.ts';
import type { PromotionResult } from '../roles/promoting.ts';
import type { ReadBody } from './body.ts';
import type { Exchange } from './exchange.ts';
import { mediaType } from './headers.ts';
import { RequestError } from './problem.ts';
import { plainPosition } from './write.ts';

const HOUR_MS = 3_600_000;

/** An unknown key is refused: a misspelt `dryRun` must not switch roles. */
const switchoverSchema = z.strictObject({
  to: z.string().min(1, "must be a site's name").exactOptional(),
  dryRun: z.boolean().exactOptional(),
  maxPauseMs: z.number('must be milliseconds, as a number').min(0).max(HOUR_MS).exactOptional(),
  cancel: z.boolean().exactOptional(),
  command: z
    .string()
    .regex(/^[0-9A-Za-z._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, underscores or hyphens')
    .exactOptional(),
});

const promoteSchema = z.strictObject({
  dryRun: z.boolean().exactOptional(),
  confirm: z.string().exactOptional(),
  force: z.boolean().exactOptional(),
});

/** POST /admin/switchover: answers when it is over. */
export async function postSwitchover(exchange: Exchange): Promise<void> {
  const options = checked(switchoverSchema, await adminBody(exchange, '{"to": "name"}'), 'the body');
  const { site } = exchange.context;
  if (options.dryRun === true) {
    const forecast = await site.switchover({ ...options, dryRun: true });
    exchange.answer(200, { ...forecast, predictedPauseMs: forecast.predictedPauseMs ?? null });
    return;
  }
  const result = await site.switchover({ ...options, dryRun: false });
  const { outcome, obstacles, text } = result;
  if (outcome === 'abandoned' && obstacles.length > 0) throw new EvertreeError('WRONG_ROLE', text, switchoverAnswer(result));
  exchange.answer(200, switchoverAnswer(result));
}

function switchoverAnswer({
  position,
  ...result
}: SwitchoverResult): Record<string, unknown> & { readonly obstacles: readonly Obstacle[] } {
  return { ...result, position: plainPosition(position) };
}

/** POST /admin/promote: answers when this site's epoch is durable. */
export async function postPromote(exchange: Exchange): Promise<void> {
  const options = checked(promoteSchema, await adminBody(exchange, '{}'), 'the body');
  const { site } = exchange.context;
  if (options.dryRun === true) {
    exchange.answer(200, await site.promote({ ...options, dryRun: true }));
    return;
  }
  exchange.answer(200, promotionAnswer(await site.promote({ ...options, dryRun: false })));
}

function promotionAnswer({ position, ...result }: PromotionResult): object {
  return { ...result, position: plainPosition(position) };
}

/**
 * The JSON body of an administrative request; an absent one is `{}`.
 * @throws RequestError UNSUPPORTED_MEDIA_TYPE; a form of a web page is none
 */
export async function adminBody(exchange: Exchange, sample: string): Promise<unknown> {
  return hasBody(exchange, sample) ? exchange.readJson() : {};
}

/** As adminBody, for one that may be large. @param use what is done with it: its bytes count until that is over */
export async function readAdminBody(exchange: Exchange, sample: string, use: (body: ReadBody) => Promise<void>): Promise<void> {
  await (hasBody(exchange, sample) ? exchange.readBody([], use) : use({ value: {}, hints: undefined }));
}

/** @throws RequestError UNSUPPORTED_MEDIA_TYPE; a form of a web page is none */
function hasBody(exchange: Exchange, sample: string): boolean {
  exchange.refuseParameters();
  const { headers } = exchange.request;
  const isEmpty =
    headers['content-length'] === '0' || (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined);
  if (isEmpty) return false;
  if (mediaType(headers) !== 'application/json') {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `the body has to be application/json, such as ${sample}`);
  }
  return true;
}
