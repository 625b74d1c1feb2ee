import { Turn } from '@evertree/core';
import type { Link, Message, Store } from '@evertree/core';
import type { FrameMessage } from './frame-intake.ts';

/**
 * After so much work on messages, in milliseconds, others have a turn. Time and not bytes: while V8 is behind with marking,
 * few bytes of frames take long.
 */
const TURN_MS = 4;

export interface MessageQueueOptions {
  readonly link: Link;
  readonly store: Store;
  /** The most bytes of applied frames that may wait for the disk. Beyond that the link is paused, until half of it waits. */
  readonly pendingBytes: number;
  /** @returns a promise that never rejects when the next message has to wait */
  handle(message: Message): Promise<void> | undefined;
}

/**
 * The messages of a link, handled one after the other: while one has to wait (for the journal, for room on the disk, for
 * a snapshot's chunk to be written), the link is paused.
 */
export class MessageQueue {
  readonly #options: MessageQueueOptions;
  readonly #turn: Turn;
  /** Work on messages since others had a turn because of it. */
  #workedMs = 0;
  /** Those that came before the pause took effect; the wire bounds them. */
  readonly #messages: Message[] = [];
  /** Set while something has to end first; no message is taken meanwhile. */
  #work: Promise<void> | undefined;
  /** The frame that the disk has no room for; no message is taken until it is tried again. */
  #unfitting: FrameMessage | undefined;
  /** Applied frames that wait for the disk exceeded the limit, and have not fallen to half of it since. */
  #overfull = false;
  /** What the link was told last. */
  #paused = false;
  #over = false;

  constructor(options: MessageQueueOptions) {
    this.#options = options;
    this.#turn = new Turn(options.store.clock);
  }

  /** Resolves when what was under way has ended. */
  get idle(): Promise<void> {
    return this.#work ?? Promise.resolve();
  }

  add(message: Message): void {
    if (this.#over) return;
    this.#messages.push(message);
    this.#proceed();
  }

  /** Takes no message until `work` has ended. @param work never rejects */
  waitFor(work: Promise<void>): void {
    this.#work = this.#after(work);
  }

  /** Gives back the message that is being handled: it is the next one. */
  putBack(message: Message): void {
    this.#messages.unshift(message);
  }

  /** Gives back a frame that the disk has no room for: it is the next message, once there may be some. */
  putOff(frame: FrameMessage): void {
    this.#unfitting = frame;
  }

  /** A frame was applied: more may wait for the disk. */
  applied(): void {
    const { store, pendingBytes } = this.#options;
    this.#overfull = store.journal.log.pendingBytes > pendingBytes;
  }

  /** The journal made progress: there may be room. */
  progressed(): void {
    const { store, pendingBytes } = this.#options;
    if (store.journal.log.pendingBytes <= pendingBytes / 2) this.#overfull = false;
    this.#retry();
    this.#proceed();
  }

  /** Nothing more is taken, and the link is no longer told to pause or to go on. */
  close(): void {
    this.#over = true;
    this.#messages.length = 0;
  }

  #proceed(): void {
    while (!this.#over && this.#work === undefined && this.#unfitting === undefined) {
      const message = this.#messages.shift();
      if (message === undefined) break;
      const work = this.#handle(message) ?? this.#restIfDue();
      if (work !== undefined) this.waitFor(work);
    }
    this.#pauseOrResume();
  }

  #handle(message: Message): Promise<void> | undefined {
    const { clock } = this.#options.store;
    const began = clock.monotonic();
    const work = this.#options.handle(message);
    this.#workedMs += clock.monotonic() - began;
    return work;
  }

  #restIfDue(): Promise<void> | undefined {
    if (this.#workedMs < TURN_MS) return undefined;
    this.#workedMs = 0;
    return this.#turn.rest();
  }

  async #after(work: Promise<void>): Promise<void> {
    await work;
    this.#work = undefined;
    // There may be room again by the time that a wait ends with a full disk.
    this.#retry();
    this.#proceed();
  }

  /** Takes the frame again that the disk had no room for, if it has some. */
  #retry(): void {
    const unfitting = this.#unfitting;
    if (unfitting === undefined || this.#options.store.state === 'full') return;
    this.#unfitting = undefined;
    this.#messages.unshift(unfitting);
  }

  #pauseOrResume(): void {
    const pause = this.#work !== undefined || this.#unfitting !== undefined || this.#overfull;
    if (pause === this.#paused || this.#over) return;
    this.#paused = pause;
    if (pause) this.#options.link.pause();
    else this.#options.link.resume();
  }
}
