import type { Clock } from '@evertree/core';

/** Ends a connection. `why`: for people. */
export type Drop = (why: string) => void;

/**
 * Connections that have not said hello. Their number and the time of each are bounded; beyond the number, the oldest is
 * dropped.
 */
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

  /** @param timeoutMs `drop` is called after it, unless `progress` or `delete` was */
  add(key: string, timeoutMs: number, drop: Drop): void {
    const [oldest] = this.#connections.keys();
    if (oldest !== undefined && this.#connections.size >= this.#limit)
      this.#drop(oldest, 'too many connections had not said hello, and it was the oldest');
    this.#connections.set(key, {
      drop,
      deadline: this.#clock.after(timeoutMs, () => this.#drop(key, `it opened no link within ${timeoutMs} ms`)),
    });
  }

  /** The connection became a link. The link watches the time by itself, and `drop` closes it. */
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
