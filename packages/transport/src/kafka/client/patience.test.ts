import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../../../test/support/host.ts';
import { BrokerSilent } from '../broker.ts';
import { Patience } from './patience.ts';

function waiting(expectedMs = 0) {
  const clock = new ManualClock();
  let received = 0;
  const givenUp: number[] = [];
  const answer = Promise.withResolvers<string>();
  const patience = new Patience({
    clock,
    broker: 'here:9092',
    answerMs: 400,
    connections: {
      get receivedBytes() {
        return received;
      },
      abandon: () => void givenUp.push(clock.now()),
    },
  });
  const result = patience.with(answer.promise, expectedMs).catch((error: unknown) => error);
  return { clock, givenUp, answer, result, receive: () => (received += 1) };
}

describe('patience with a broker', () => {
  test('ends when not a byte came for as long as an answer may take', async () => {
    const { clock, givenUp, result } = waiting();
    clock.advance(399);
    expect(givenUp).toEqual([]);
    clock.advance(1);
    expect(givenUp).toEqual([400]);
    expect(await result).toBeInstanceOf(BrokerSilent);
    expect(await result).toMatchObject({ message: expect.stringContaining('here:9092') as string });
  });

  test('leaves a fetch the time that the broker was asked to wait', () => {
    const { clock, givenUp } = waiting(500);
    clock.advance(899);
    expect(givenUp).toEqual([]);
    clock.advance(1);
    expect(givenUp).toEqual([900]);
  });

  test('begins anew with each byte, however long the answer takes', async () => {
    const { clock, givenUp, answer, result, receive } = waiting();
    for (let step = 0; step < 100; step++) {
      clock.advance(300);
      receive();
    }
    answer.resolve('at last');
    expect(await result).toBe('at last');
    expect(givenUp).toEqual([]);
  });

  test('leaves nothing behind once there is an answer, or an error', async () => {
    for (const end of ['resolve', 'reject'] as const) {
      const { clock, answer, result } = waiting();
      answer[end]('no');
      expect(await result).toBe('no');
      expect(clock.nextInMs).toBe(Infinity);
    }
  });

  test('looks no more where the answer came between the timer and its look', async () => {
    const { clock, givenUp, answer, result } = waiting();
    const looks: (() => void)[] = [];
    clock.soon = look => void looks.push(look);
    clock.advance(100);
    answer.resolve('just in time');
    expect(await result).toBe('just in time');
    for (const look of looks) look();
    expect(clock.nextInMs).toBe(Infinity);
    clock.advance(10_000);
    expect(givenUp).toEqual([]);
  });
});
