import type { Clock } from '@evertree/core';

/** Ends a connection. `why`: for people. */
export type Drop = (why: string) => void;

/** Connections that have not said hello yet: so many at most, and each for a limited time. The oldest makes room. */
export class PendingConnections {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #connections = new Map<string, { drop: Drop; deadline: Disposable | undefined }>();

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** @param timeoutMs `drop` is called then, unless it has made progress */
  add(key: string, timeoutMs: number, drop: Drop): void {
    const [oldest] = this.#connections.keys();
    if (oldest !== undefined && this.#connections.size >= this.#limit) this.#drop(oldest, 'it made room for a newer connection');
    this.#connections.set(key, {
      drop,
      deadline: this.#clock.after(timeoutMs, () => this.#drop(key, `it opened no link within ${timeoutMs} ms`)),
    });
  }

  /** The connection became a link, which keeps time by itself and is closed in another way. */
  progress(key: string, drop: Drop): void {
    const connection = this.#connections.get(key);
    if (connection === undefined) return;
    connection.deadline?.[Symbol.dispose]();
    connection.deadline = undefined;
    connection.drop = drop;
  }

  /** It has said hello, or is gone. */
  delete(key: string): void {
    this.#connections.get(key)?.deadline?.[Symbol.dispose]();
    this.#connections.delete(key);
  }

  clear(why: string): void {
    for (const key of this.#connections.keys()) this.#drop(key, why);
  }

  #drop(key: string, why: string): void {
    const connection = this.#connections.get(key);
    this.delete(key);
    connection?.drop(why);
  }
}
