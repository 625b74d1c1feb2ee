import type { Message, Store } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/host.ts';
import { ScriptedLink } from '../../../test/support/scripted-link.ts';
import { MessageQueue } from './message-queue.ts';

const LIMIT_BYTES = 1_000;

/** What of a store the queue looks at; the test sets it. */
interface Disk {
  readonly clock: ManualClock;
  state: 'open' | 'full';
  readonly journal: { readonly log: { pendingBytes: number } };
}

let disk: Disk;
let link: ScriptedLink;
let handled: Message[];
let queue: MessageQueue;
/** What handling the next message waits for. */
let work: Promise<void> | undefined;
/** How long handling a message takes. */
let workMs: number;

function frame(name: number): Message & { readonly type: 'frame' } {
  return { type: 'frame', bytes: Uint8Array.of(name) };
}

beforeEach(() => {
  disk = { clock: new ManualClock(), state: 'open', journal: { log: { pendingBytes: 0 } } };
  link = new ScriptedLink('there:1');
  handled = [];
  work = undefined;
  workMs = 0;
  queue = new MessageQueue({
    link,
    store: disk as unknown as Store,
    pendingBytes: LIMIT_BYTES,
    handle: message => {
      handled.push(message);
      disk.clock.advance(workMs);
      return work;
    },
  });
});

/** A frame was applied, and so many bytes wait for the disk by then. */
function applied(pendingBytes: number): void {
  disk.journal.log.pendingBytes = pendingBytes;
  queue.applied();
  queue.add(frame(0));
}

/** The disk has taken some: so many bytes wait still. */
function written(pendingBytes: number): void {
  disk.journal.log.pendingBytes = pendingBytes;
  queue.progressed();
}

describe('applied frames that wait for the disk', () => {
  it('do not pause the link up to the limit', () => {
    applied(LIMIT_BYTES);
    expect(link.paused).toBe(false);
  });

  it('pause it above the limit, until half of it waits', () => {
    applied(LIMIT_BYTES + 1);
    expect(link.paused).toBe(true);
    for (const pending of [LIMIT_BYTES, LIMIT_BYTES - 1, LIMIT_BYTES / 2 + 1]) {
      written(pending);
      expect([pending, link.paused]).toEqual([pending, true]);
    }
    written(LIMIT_BYTES / 2);
    expect(link.paused).toBe(false);
    // From there it is the limit again that counts.
    applied(LIMIT_BYTES / 2 + 1);
    expect(link.paused).toBe(false);
    applied(LIMIT_BYTES + 1);
    expect(link.paused).toBe(true);
  });

  it('keep it paused when what a message waited for has ended', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    work = promise;
    applied(LIMIT_BYTES + 1);
    work = undefined;
    written(LIMIT_BYTES / 2 + 1);
    resolve();
    await queue.idle;
    expect(link.paused).toBe(true);
    written(LIMIT_BYTES / 2);
    expect(link.paused).toBe(false);
  });
});

describe('a message that has to wait', () => {
  it('holds back those after it, in their order, and pauses the link meanwhile', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    work = promise;
    queue.add(frame(1));
    work = undefined;
    queue.add(frame(2));
    queue.add(frame(3));
    expect([handled, link.paused]).toEqual([[frame(1)], true]);
    resolve();
    await queue.idle;
    expect([handled, link.paused]).toEqual([[frame(1), frame(2), frame(3)], false]);
  });

  it('for room on the disk is taken again when there is some, before those that came after it', () => {
    disk.state = 'full';
    queue.add(frame(1));
    queue.putOff(frame(1));
    queue.add(frame(2));
    expect(link.paused).toBe(true);
    written(0);
    expect(handled, 'the disk is still full').toEqual([frame(1)]);
    disk.state = 'open';
    written(0);
    expect([handled, link.paused]).toEqual([[frame(1), frame(1), frame(2)], false]);
  });

  it('is dropped when the session is over, and the link is told nothing more', () => {
    applied(LIMIT_BYTES + 1);
    queue.close();
    written(0);
    queue.add(frame(2));
    expect([handled, link.paused]).toEqual([[frame(0)], true]);
  });
});

describe('messages that are handled at once', () => {
  it('give others a turn after some milliseconds of work, and pause the link meanwhile', async () => {
    workMs = 3;
    for (let name = 1; name <= 4; name++) queue.add(frame(name));
    expect([handled.length, link.paused], 'the second one brought it to 6 ms').toEqual([2, true]);
    disk.clock.advance(0);
    await queue.idle;
    expect([handled.length, link.paused], 'and so did the fourth').toEqual([4, true]);
  });

  it('go on in one turn while they take no time', () => {
    for (let name = 1; name <= 1_000; name++) queue.add(frame(name));
    expect([handled.length, link.paused]).toEqual([1_000, false]);
  });
});
