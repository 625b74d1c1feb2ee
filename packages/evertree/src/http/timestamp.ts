import { EvertreeError } from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { type Exchange, positionHeader } from './exchange.ts';
import { adminBody } from './roles.ts';
import { plainPosition } from './write.ts';

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `must be ${digits} hex digits`);
const exactSchema = z.object({ epoch: z.int().min(0), epochId: hex(16), revision: z.int().min(0) });
/** What of a first timestamp names the copy. Its other members may be there. */
const firstSchema = z.object({ stream: hex(32), lease: z.string().min(1), position: exactSchema });
const timestampSchema = z.strictObject({
  first: firstSchema.exactOptional(),
  release: z.string().min(1).exactOptional(),
});

/** GET /admin/timestamp: the copies for which the history is held. */
export function getTimestamps(exchange: Exchange): void {
  exchange.refuseParameters();
  const { underWay } = exchange.context.site.copies;
  exchange.answer(200, { copies: underWay.map(({ position, ...copy }) => ({ ...copy, position: plainPosition(position) })) });
}

/**
 * POST /admin/timestamp: without a body a copy begins; with its timestamp as `first` it ends; `release` gives it up.
 */
export async function postTimestamp(exchange: Exchange): Promise<void> {
  const { first, release } = checked(timestampSchema, await adminBody(exchange, '{"first": {…}}'), 'the body');
  const { copies } = exchange.context.site;
  if (release !== undefined) {
    if (!copies.release(release)) throw new EvertreeError('NOT_FOUND', `the history is held for no copy ${JSON.stringify(release)}`);
    exchange.answer(200, { lease: release, released: true });
    return;
  }
  const timestamp = await (first === undefined ? copies.begin() : copies.end(first));
  exchange.answer(200, timestamp, positionHeader(timestamp.position));
}
