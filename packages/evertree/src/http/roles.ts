import { EvertreeError } from '@evertree/core';
import { z } from 'zod';
import type { Exchange } from './exchange.ts';
import { mediaType } from './headers.ts';
import { RequestError } from './problem.ts';
import { plainPosition } from './write.ts';

const switchoverOptions = z.strictObject({
  to: z.string().min(1).max(255).exactOptional(),
  dryRun: z.boolean().exactOptional(),
  maxPauseMs: z.number().min(0).max(600_000).exactOptional(),
  cancel: z.boolean().exactOptional(),
  command: z.string().min(1).max(64).exactOptional(),
});

const promoteOptions = z.strictObject({
  dryRun: z.boolean().exactOptional(),
  confirm: z.string().max(64).exactOptional(),
  force: z.boolean().exactOptional(),
});

/** POST /admin/switchover: answers when it is over. */
export async function postSwitchover(exchange: Exchange): Promise<void> {
  const options = await readOptions(exchange, switchoverOptions);
  const result = await exchange.context.site.switchover(options);
  if ('possible' in result) return exchange.answer(200, { ...result, predictedPauseMs: result.predictedPauseMs ?? null });
  if (result.obstacles.length > 0)
    throw new EvertreeError('WRONG_ROLE', result.text, { command: result.command, obstacles: result.obstacles });
  const { command, outcome, text, from, to, position, pauseMs } = result;
  exchange.answer(200, { command, outcome, from, to, position: plainPosition(position), pauseMs, text });
}

/** POST /admin/promote */
export async function postPromote(exchange: Exchange): Promise<void> {
  const options = await readOptions(exchange, promoteOptions);
  const result = await exchange.context.site.promote(options);
  if ('possible' in result) return exchange.answer(200, result);
  const { epoch, position, lost, unheard } = result;
  exchange.answer(200, { epoch, position: plainPosition(position), lost, unheard });
}

/** The body is optional; it holds the command's options in camel case. */
async function readOptions<T>(exchange: Exchange, schema: z.ZodType<T>): Promise<T> {
  exchange.refuseParameters();
  const { headers } = exchange.request;
  const isEmpty =
    headers['content-length'] === '0' || (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined);
  if (!isEmpty && mediaType(headers) !== 'application/json') {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', 'the body has to be application/json, with the options of the command');
  }
  const parsed = schema.safeParse(isEmpty ? {} : await exchange.readJson());
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new EvertreeError(
    'VALUE_INVALID',
    `the body is not what the command takes: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
  );
}
