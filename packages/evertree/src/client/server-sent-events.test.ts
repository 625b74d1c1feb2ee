import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventReader, type ServerSentEvent } from './server-sent-events.ts';

async function* cutAt(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  for (let index = 1; index < places.length; index++) yield bytes.subarray(places[index - 1], places[index]);
}

async function readAll(text: string, cuts: readonly number[] = []): Promise<{ events: ServerSentEvent[]; lastEventId: string }> {
  const reader = new EventReader();
  const events: ServerSentEvent[] = [];
  for await (const event of reader.read(cutAt(new TextEncoder().encode(text), cuts))) events.push(event);
  return { events, lastEventId: reader.lastEventId };
}

const STREAM =
  ': hello\n\nid: 1-1\nevent: state\ndata: {"a":"ü€😀"}\n\nid:1-2\r\ndata: one\r\ndata:two\r\n\r\nid: 1-3\n\nevent: unfinished\ndata: x\n';

describe('a stream of Server-Sent Events', () => {
  test('is read wherever the network cuts it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 12 }), async cuts => {
        expect(await readAll(STREAM, cuts)).toEqual({
          events: [
            { event: 'state', data: '{"a":"ü€😀"}' },
            { event: 'message', data: 'one\ntwo' },
          ],
          lastEventId: '1-3',
        });
      }),
    );
  });

  test('an id without data moves the position to resume from', async () => {
    expect(await readAll('id: 4-1201\n\n')).toEqual({ events: [], lastEventId: '4-1201' });
  });
});
