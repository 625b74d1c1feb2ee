import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Role } from '@evertree/core';

const PROGRAM = fileURLToPath(new URL('../../bin/evertree.js', import.meta.url));
/** So many times in a row a child that dies is started again; an answer of the child ends the row. */
export const RESTART_LIMIT = 5;
const RESTART_DELAY_MS = 500;
/** The time that a child has to stop before it is killed; longer than the time after which it ends itself. */
const STOP_LIMIT_MS = 35_000;

export interface SiteChildEvents {
  /** A line that the child wrote to its log. */
  line(role: Role, line: string): void;
  /** It ended by itself and will be started again. */
  restarted(role: Role, how: string): void;
  /** It ended and will not be started again: it died too `often`, or it never answered. */
  gaveUp(role: Role, how: string, status: number, often: boolean): void;
}

/** One of the two sites of a pair: a process of its own, started again when it dies. */
export class SiteChild {
  readonly role: Role;
  readonly #args: readonly string[];
  readonly #events: SiteChildEvents;
  #process: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #ran = false;
  #deaths = 0;

  constructor(role: Role, args: readonly string[], events: SiteChildEvents) {
    this.role = role;
    this.#args = args;
    this.#events = events;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** To be called when the child has answered: its next death is then a crash, and not a failed start. */
  confirm(): void {
    this.#ran = true;
    this.#deaths = 0;
  }

  start(): void {
    // The child has a process group of its own, so that Ctrl-C reaches the parent alone, which stops both in order. The
    // channel tells the child when the parent has died.
    const child = spawn(process.execPath, [PROGRAM, this.role, ...this.#args], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process = child;
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', line => this.#events.line(this.role, line));
    child.once('error', error => this.#ended(`could not be started: ${error.message}`, 1));
    child.once('exit', (status, signal) => this.#ended(signal === null ? `ended with ${status}` : `was ended by ${signal}`, status ?? 1));
  }

  /** Asks it to stop and waits until it has; kills one that does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(killer);
  }

  kill(): void {
    this.#stopping = true;
    this.#process?.kill('SIGKILL');
  }

  #ended(how: string, status: number): void {
    if (this.#process === undefined) return;
    this.#process = undefined;
    if (this.#stopping) return;
    this.#deaths++;
    if (!this.#ran || this.#deaths > RESTART_LIMIT) return this.#events.gaveUp(this.role, how, status, this.#ran);
    this.#events.restarted(this.role, how);
    this.#timer = setTimeout(() => this.start(), RESTART_DELAY_MS);
  }
}
