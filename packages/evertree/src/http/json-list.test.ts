import { expect, test } from 'vitest';
import { systemClock } from '../../../../test/support/host.ts';
import type { Exchange } from './exchange.ts';
import { sendItems, textPieces } from './json-list.ts';
import { Turns } from './turns.ts';

/** Making one slice takes so long: two of them are what all requests may take of a turn. */
const SLICE_MS = 2;
/** Slices that each answer here has. */
const SLICES = 40;

interface Asked {
  readonly exchange: Exchange;
  /** An item of so many slices, each of which takes its time. */
  readonly item: (slices: number) => Iterable<string>;
  /** Slices that were made in each turn of the event loop that made some. */
  readonly ofTurns: Map<number, number>;
  readonly sent: () => string;
}

function asked(): Asked {
  let nowMs = 0;
  let turn = 0;
  let made = 0;
  let sent = '';
  const ofTurns = new Map<number, number>();
  const count = (): void => {
    turn++;
    if (made < SLICES) setImmediate(count);
  };
  setImmediate(count);
  const response = {
    headersSent: false,
    writeHead: () => (response.headersSent = true),
    end: (text: string) => (sent += text),
  };
  const write = (text: string): Promise<void> => {
    sent += text;
    return Promise.resolve();
  };
  const context = { turns: new Turns({ ...systemClock, monotonic: () => nowMs }) };
  const exchange = { headOnly: false, context, response, write, ended: new AbortController().signal } as unknown as Exchange;
  const item = function* (slices: number): Generator<string> {
    for (let index = 0; index < slices; index++) {
      nowMs += SLICE_MS;
      made++;
      ofTurns.set(turn, (ofTurns.get(turn) ?? 0) + 1);
      yield `${index} `;
    }
  };
  return { exchange, item, ofTurns, sent: () => sent };
}

const PARTS = { opening: '[', separator: ',', closing: ']', empty: ']' };

test.each([
  ['of many items', SLICES, 1],
  ['of one long item', 1, SLICES],
])('a list %s is made in steps, between which others have their turns', async (_name, items, slices) => {
  const { exchange, item, ofTurns, sent } = asked();
  const all = async function* (): AsyncGenerator<Iterable<string>> {
    for (let index = 0; index < items; index++) yield item(slices);
  };
  await sendItems(exchange, PARTS, all(), {});
  expect(sent().match(/\d+/g)).toHaveLength(SLICES);
  expect(Math.max(...ofTurns.values())).toBeLessThanOrEqual(3);
});

test('so are the bytes of a long item', async () => {
  const { exchange, item, ofTurns } = asked();
  const pieces = await textPieces(exchange, item(SLICES));
  expect(Buffer.concat(pieces).toString().match(/\d+/g)).toHaveLength(SLICES);
  expect(Math.max(...ofTurns.values())).toBeLessThanOrEqual(3);
});
