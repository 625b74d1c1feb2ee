import { parsePosition, type ExactPosition, type Path, type Position } from '@evertree/core';
import type { Change, ChangesOptions, When } from '@evertree/history';
import { EventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import { checkAcceptable } from './headers.ts';
import { changeJson } from './history-json.ts';
import { textPieces } from './json-list.ts';
import { RequestError } from './problem.ts';

/**
 * Sends the changes after a moment, oldest first, and then each commit as it becomes stable, as Server-Sent Events. The
 * id of an event is its position: a client that comes back with `Last-Event-ID` goes on after it.
 */
export async function followHistory(exchange: Exchange, path: Path, options: ChangesOptions): Promise<void> {
  const { request, response, context } = exchange;
  checkAcceptable(request.headers, 'text/event-stream');
  const { history } = context;
  const from = lastEvent(exchange) ?? options.from ?? context.store.stable.position;
  const { position } = await history.resolve(from);
  const changes = history.changes(path, { ...options, from: position, follow: true, signal: exchange.ended });
  await sendEvents(exchange, changes, position);
  response.end();
}

/** @throws ClientGone */
async function sendEvents(exchange: Exchange, changes: AsyncIterable<Change>, begin: ExactPosition): Promise<void> {
  const { heartbeatMs } = exchange.context.limits;
  const events = new EventStream(exchange);
  const iterator = changes[Symbol.asyncIterator]();
  let position: Position = begin;
  // Moves a client's id to where it began: a relative time would be another moment when it comes back.
  await events.heartbeat(position);
  try {
    for (let next = iterator.next(); ;) {
      const result = await orSilence(next, heartbeatMs);
      if (result === undefined) {
        await events.heartbeat(position);
        continue;
      }
      if (result.done === true) return;
      position = result.value.position;
      await events.writePieces('change', position, await textPieces(exchange, changeJson(result.value)));
      next = iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}

/** Undefined when nothing came for so long. */
async function orSilence<T>(next: Promise<T>, silenceMs: number): Promise<T | undefined> {
  const { promise: silence, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), silenceMs);
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function lastEvent({ request }: Exchange): When | undefined {
  const id = request.headers['last-event-id'];
  if (id === undefined) return undefined;
  const position = parsePosition(String(id));
  if (position !== undefined) return position;
  throw new RequestError('REQUEST_INVALID', `Last-Event-ID is ${JSON.stringify(String(id).slice(0, 100))}; it has to be a position`);
}
