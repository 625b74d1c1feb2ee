import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorCode, isEvertreeError } from '@evertree/core';
import { EventReader, type ServerSentEvent } from '../client/server-sent-events.ts';
import type { SiteClient } from '../client/site-client.ts';
import { printError } from './terminal.ts';

const RECONNECT_MS = 1_000;
/** A site sends something every 15 s. After three times that without a byte, it hangs or the network is cut. */
const SILENCE_MS = 45_000;

/** Errors that may pass: the site is away, or it stops. */
const TEMPORARY: ReadonlySet<string> = new Set(['UNREACHABLE', 'CLOSED'] satisfies ErrorCode[]);

/**
 * Reads a stream of events, and goes on through cuts and restarts of the site. The first attempt has to succeed, and a
 * refusal ends the command.
 */
export async function followEvents(client: SiteClient, target: string, take: (event: ServerSentEvent) => Promise<void>): Promise<never> {
  const reader = new EventReader();
  let isConnected: boolean | undefined;
  for (;;) {
    let problem = `${client.url.origin} ended the stream`;
    try {
      const headers = { Accept: 'text/event-stream', ...(reader.lastEventId === '' ? {} : { 'Last-Event-ID': reader.lastEventId }) };
      const answer = await client.request(target, { headers, silenceMs: SILENCE_MS });
      if (isConnected === false) printError('connected again');
      isConnected = true;
      for await (const event of reader.read(answer.body())) await take(event);
    } catch (error) {
      if (isConnected === undefined || !isEvertreeError(error) || !TEMPORARY.has(error.code)) throw error;
      problem = error.message;
    }
    if (isConnected) printError(`${problem}; asking again every ${RECONNECT_MS / 1000} s`);
    isConnected = false;
    await pause(RECONNECT_MS);
  }
}
