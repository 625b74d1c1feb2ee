import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Store } from 'evertree';
import { isEvertreeError } from 'evertree';
import { now } from '../clock.ts';
import { PICKS } from '../shape.ts';

const BEAT_MS = 1;
/** What `put` throws while this site does not lead. */
const ELSEWHERE: ReadonlySet<string> = new Set(['SWITCHING', 'NOT_PRIMARY', 'FENCED']);

/** Commits one leaf at a time at a steady rate while its site leads; waits while another one does. */
export class LeaderWriter {
  readonly #store: Store;
  readonly #paths: readonly (readonly string[])[];
  readonly #perBeat: number;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #answers: number[] = [];
  #lost = 0;
  #isOver = false;

  constructor(store: Store, paths: readonly (readonly string[])[], perSecond: number) {
    this.#store = store;
    this.#paths = paths;
    this.#perBeat = (perSecond * BEAT_MS) / 1e3;
    this.#running = this.#run();
  }

  /** @returns when each commit became durable here; a commit whose promise was rejected fails the bench */
  async stop(): Promise<Float64Array> {
    this.#isOver = true;
    this.#stopped.resolve();
    await this.#running;
    await this.#store.flush();
    if (this.#lost > 0) throw new Error(`${this.#lost} commits were not answered as durable`);
    return Float64Array.from(this.#answers);
  }

  async #run(): Promise<void> {
    let next = this.#store.position.revision;
    while (!this.#isOver) {
      await this.#leads();
      await nextTurn();
      const started = now();
      for (let done = 0; this.#store.standing === 'primary' && !this.#isOver;) {
        const due = Math.floor(((now() - started) / BEAT_MS) * this.#perBeat) + 1;
        for (; done < due && this.#write(next + done); done++);
        if (done < due) break;
        await sleep(BEAT_MS);
      }
      next = Math.max(next, this.#store.position.revision) + PICKS;
    }
  }

  #write(value: number): boolean {
    try {
      this.#store.put(this.#paths[value % PICKS]!, value).durable.then(
        () => this.#answers.push(now()),
        () => this.#lost++,
      );
      return true;
    } catch (error) {
      if (isEvertreeError(error) && ELSEWHERE.has(error.code)) return false;
      throw error;
    }
  }

  /** Resolves when this site takes writes, or when nobody wants to write any more. */
  async #leads(): Promise<void> {
    if ((await this.#store.writable()).kind === 'here' || this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const listening = this.#store.on('state', () => {
      if (this.#store.standing === 'primary') resolve();
    });
    if (this.#store.standing === 'primary') resolve();
    await Promise.race([promise, this.#stopped.promise]);
    listening[Symbol.dispose]();
  }
}
