import type { TransportEvents } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { LinkAttempts } from './attempts.ts';
import type { Attempted } from './attempts.ts';
import { BrokerError } from './broker.ts';
import { DEFAULT_LIMITS } from './options.ts';

const clock = () => new ManualClock();
const random = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0.5 };
const error = (lasting: boolean) => new BrokerError('FORBIDDEN', 'no', { lasting });

/** An end whose attempts end as a list says. */
class Ends extends LinkAttempts {
  readonly time: ManualClock;
  readonly waits: number[] = [];
  attempts = 0;
  readonly #ends: readonly (Partial<Attempted> | BrokerError)[];

  constructor(ends: readonly (Partial<Attempted> | BrokerError)[], time = clock()) {
    const limits = { ...DEFAULT_LIMITS, retryMs: 100, retryMostMs: 1_000 };
    super({ clock: time, random, limits, remote: 'kafka://here/t', farEnd: { kind: 'log', name: 't', remedy: '' }, lastingRetryMs: 5_000 });
    this.time = time;
    this.#ends = ends;
  }

  protected override async attempt(): Promise<Attempted> {
    const end = this.#ends[this.attempts++];
    if (end instanceof BrokerError) throw end;
    // No end is left: this attempt goes on.
    return end === undefined ? new Promise(() => undefined) : { served: true, lived: false, lasting: false, ...end };
  }

  protected override async stop(): Promise<void> {
    return undefined;
  }

  /** Runs until no attempt is left, and tells what was said to have failed. */
  async run(): Promise<number[]> {
    const failed: number[] = [];
    const events: TransportEvents = { link: () => undefined, failed: (_remote, _error, retryInMs) => void failed.push(retryInMs) };
    await this.open(events);
    for (let turn = 0; turn <= this.#ends.length; turn++) {
      await new Promise(resolve => setImmediate(resolve));
      if (Number.isFinite(this.time.nextInMs)) {
        this.waits.push(this.time.nextInMs);
        this.time.advance(this.time.nextInMs);
      }
    }
    return failed;
  }
}

describe('attempts to link', () => {
  it('go on after a passing failure, with growing waits', async () => {
    const ends = new Ends([error(false), error(false), error(false)]);
    expect(await ends.run()).toEqual([100, 150, 225]);
    expect(ends.attempts).toBe(4);
  });

  it('end with a lasting failure if the broker never served this site', async () => {
    const ends = new Ends([error(false), error(true)]);
    expect(await ends.run()).toEqual([100, Infinity]);
    expect(ends.attempts).toBe(2);
  });

  it('go on slowly after a lasting failure, once the broker served this site', async () => {
    const ends = new Ends([{}, error(true), error(true)]);
    expect(await ends.run()).toEqual([5_000, 7_500]);
    expect(ends.attempts).toBe(4);
  });

  it('report nothing of a link that ended, and wait as at first after a link that lasted', async () => {
    const ends = new Ends([error(false), error(false), { lived: true }, error(false)]);
    expect(await ends.run()).toEqual([100, 150, 150]);
    expect(ends.waits).toEqual([100, 150, 100, 150]);
  });

  it('are not made after the transport is closed', async () => {
    const ends = new Ends([error(false)]);
    await ends.open({ link: () => undefined, failed: () => undefined });
    await new Promise(resolve => setImmediate(resolve));
    await ends.close();
    await new Promise(resolve => setImmediate(resolve));
    ends.time.advance(60_000);
    expect(ends.attempts).toBe(1);
  });
});
