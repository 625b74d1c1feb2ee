/**
 * What the core and its neighbours need of the machine, as arguments: a later simulation runs them on a virtual clock,
 * network and disk. Nothing in packages/core, journal, producer or consumer reads a clock, sets a timer or draws a
 * random number elsewhere.
 */
export interface Clock {
  /** Milliseconds since 1970; may step back. */
  now(): number;
  /** Milliseconds on a clock that never steps back, with fractions. */
  monotonic(): number;
  /** Runs `task` once the present turn of the event loop has handled what it has (Node: setImmediate). */
  soon(task: () => void): void;
  /** Runs `task` after `delayMs`; disposing before cancels it. Never keeps a process alive by itself. */
  after(delayMs: number, task: () => void): Disposable;
}

export interface Random {
  /** `length` random bytes that nobody can guess. */
  bytes(length: number): Uint8Array;
  /** A number in [0, 1), for jitter. */
  fraction(): number;
}

/** What happened, told as it happens; the outermost layer logs it. No value of the tree ever appears in one. */
export interface Report {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** kebab-case, stable: `listener-threw`, `tail-cut`, `peer-resync`, … */
  readonly event: string;
  /** One plain sentence for people. */
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export type Reporter = (report: Report) => void;
