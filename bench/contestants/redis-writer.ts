import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.ts';
import type { RedisClient } from './redis-client.ts';

const BEAT_MS = 1;

/** Sets one key at a time at a steady rate; a server that refuses is left for the other one. */
export class RedisWriter {
  readonly #servers: [present: RedisClient, other: RedisClient];
  readonly #listening: readonly Disposable[];
  readonly #running: Promise<void>;
  readonly #answers: number[] = [];
  #isOver = false;

  constructor(from: RedisClient, to: RedisClient, updates: () => Iterator<string, void>, perSecond: number) {
    this.#servers = [from, to];
    this.#listening = this.#servers.map(server => server.onText(text => this.#heard(server, text)));
    this.#running = this.#run(updates(), (perSecond * BEAT_MS) / 1e3);
  }

  /** @returns when each write was answered */
  async stop(): Promise<readonly number[]> {
    this.#isOver = true;
    await this.#running;
    for (const each of this.#listening) each[Symbol.dispose]();
    return this.#answers;
  }

  async #run(updates: Iterator<string, void>, perBeat: number): Promise<void> {
    const started = now();
    for (let done = 0; !this.#isOver;) {
      const due = Math.floor(((now() - started) / BEAT_MS) * perBeat) + 1;
      for (; done < due; done++) this.#servers[0].send(updates.next().value ?? '');
      await sleep(BEAT_MS);
    }
  }

  /** Each answer is a line: `+OK`, or an error of a server that does not lead. */
  #heard(server: RedisClient, text: string): void {
    const time = now();
    for (const line of text.split('\r\n')) {
      if (line.startsWith('+')) this.#answers.push(time);
      else if (line.startsWith('-') && server === this.#servers[0]) this.#servers.reverse();
    }
  }
}
