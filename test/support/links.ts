import { NO_CHAIN, ORIGIN, PROTOCOL_VERSIONS, sealFrame } from '@evertree/core';
import type { CloseReason, ExactPosition, Hello, Link, Message, Role } from '@evertree/core';
import { expect, vi } from 'vitest';

/** For vi.waitFor: conditions, with a deadline. */
export const WAIT = { timeout: 10_000, interval: 5 };
export const POSITION: ExactPosition = { epoch: 7, epochId: '00112233445566ff', revision: 2 ** 40 + 3 };
export const STREAM = '0123456789abcdef0123456789abcdef';
/** Commit time of all frames. A topic drops old ones: at the next look of the broker's retention, 30 s after its start. */
const TIME = Date.now();

export const EPOCH = { number: 7, id: POSITION.epochId, site: 'norð', base: ORIGIN, reason: 'created', time: 1_790_000_000_000 };

export function helloOf(role: Role, change: Partial<Hello> = {}): Message {
  return {
    type: 'hello',
    hello: {
      protocols: PROTOCOL_VERSIONS,
      program: '0.1.0',
      site: role === 'primary' ? 'norð' : 'south',
      role,
      stream: STREAM,
      position: POSITION,
      digest: '89abcdef01234567',
      epochs: [EPOCH],
      durable: true,
      standing: role,
      standby: false,
      ...change,
    },
  };
}

/** A frame with `bodyBytes` of body, told apart by `revision`. Its checksum holds. */
export function frameOf(revision: number, bodyBytes: number): Message & { type: 'frame' } {
  const body = Buffer.alloc(bodyBytes);
  for (let at = 0; at < bodyBytes; at += 4093) body[at] = (revision * 31 + at) & 0xff;
  const base = { ...POSITION, revision: revision - 1 };
  const header = {
    codec: 'binary',
    beginsEpoch: false,
    endsEpoch: false,
    isMark: false,
    stream: STREAM,
    epoch: base.epoch,
    epochId: base.epochId,
    base,
  } as const;
  const rest = { last: { ...base, revision }, digest: 'f'.repeat(16), firstTime: TIME, lastTime: TIME, count: 1, previous: NO_CHAIN };
  return { type: 'frame', bytes: sealFrame({ ...header, ...rest, bodyLength: bodyBytes }, body).bytes };
}

/** One end of a link, and all that it was told. */
export class End {
  readonly link: Link;
  readonly messages: Message[] = [];
  readonly closings: { reason: CloseReason; explanation: string; byPeer: boolean }[] = [];
  drained = 0;
  isAttached = false;
  onMessage: (message: Message) => void = () => undefined;

  constructor(link: Link) {
    this.link = link;
  }

  attach(): this {
    this.isAttached = true;
    this.link.attach({
      message: message => {
        expect(this.closings).toEqual([]);
        this.messages.push(message);
        this.onMessage(message);
      },
      drained: () => {
        expect(this.link.writable).toBe(true);
        this.drained += 1;
      },
      closed: (reason, explanation, byPeer) => void this.closings.push({ reason, explanation, byPeer }),
    });
    return this;
  }

  async received(count: number): Promise<Message[]> {
    await vi.waitFor(() => expect(this.messages.length, JSON.stringify(this.closings)).toBeGreaterThanOrEqual(count), WAIT);
    return this.messages;
  }

  async closed(): Promise<(typeof this.closings)[0]> {
    await vi.waitFor(() => expect(this.closings.length).toBeGreaterThan(0), WAIT);
    return this.closings[0]!;
  }
}

/** Deep equality, quick for large bytes. */
export function same(a: Message, b: Message): boolean {
  if ((a.type === 'frame' && b.type === 'frame') || (a.type === 'snapshot-chunk' && b.type === 'snapshot-chunk')) {
    return Buffer.compare(a.bytes, b.bytes) === 0;
  }
  return JSON.stringify(a) === JSON.stringify(b);
}
