import { Worker } from 'node:worker_threads';
import type { BuildingEvents, IndexBuilding } from './index-builder.ts';
import type { IndexRange } from './index-keeper.ts';
import { EndFlag, endThread } from './thread-ending.ts';
import type { IndexTask, ThreadAnswer, ThreadRequest } from './thread-messages.ts';

/** What the thread may take of the heap for what lives long, in MiB: above that it dies, and is begun anew with the next request. */
const HEAP_LIMIT_MB = 512;
/** For what lives shortly, in MiB. V8's own choice, of many times as much, stays taken while the site writes. */
const YOUNG_LIMIT_MB = 8;

/**
 * Builds an index in a thread of its own, which begins with the first request. The thread reads the segments itself;
 * only small messages pass.
 */
export class IndexThread implements IndexBuilding {
  readonly #directory: string;
  readonly #events: BuildingEvents;
  readonly #end = new EndFlag();
  #worker: Worker | undefined;
  #closing: Promise<void> | undefined;
  /** Requests so far, and those before the present thread began. */
  #requests = 0;
  #before = 0;

  /** @param directory of the site */
  constructor(directory: string, events: BuildingEvents) {
    this.#directory = directory;
    this.#events = events;
  }

  extend(range: IndexRange, least: number): void {
    this.#requests++;
    this.#send({ type: 'extend', range, least }, 1);
  }

  drop(paths: readonly string[]): void {
    this.#send({ type: 'drop', paths }, 0);
  }

  /** The thread gives up what it does, and ends. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#worker === undefined ? Promise.resolve() : endThread(this.#worker, this.#end));
  }

  /** @param counted how many requests a new thread will count with this one */
  #send(request: ThreadRequest, counted: 0 | 1): void {
    if (this.#closing !== undefined) return;
    try {
      this.#worker ??= this.#begin(counted);
      this.#worker.postMessage(request);
    } catch (error) {
      this.#died(undefined, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #begin(counted: number): Worker {
    this.#before = this.#requests - counted;
    // Beside this file, as TypeScript in the sources and as JavaScript in the package.
    const file = new URL(import.meta.url.endsWith('.ts') ? './index-worker.ts' : './index-worker.js', import.meta.url);
    const task: IndexTask = { directory: this.#directory, end: this.#end.memory };
    const worker = new Worker(file, {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_LIMIT_MB, maxYoungGenerationSizeMb: YOUNG_LIMIT_MB },
      execArgv: [],
      name: 'evertree-index',
    });
    // It never keeps the process alive.
    worker.unref();
    worker.on('message', (answer: ThreadAnswer) => this.#answered(answer));
    worker.on('error', (error: unknown) => this.#died(worker, error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.#died(worker, new Error('its thread ended')));
    return worker;
  }

  #answered(answer: ThreadAnswer): void {
    if (this.#closing !== undefined) return;
    switch (answer.type) {
      case 'changed':
        return this.#events.changed(answer.paths);
      case 'dropped':
        return this.#events.dropped(answer.file, answer.problem);
      case 'stuck':
        return this.#events.stuck(answer.position);
      case 'failed':
        return this.#events.failed(new Error(answer.message));
      case 'idle':
        return this.#events.idle(this.#before + answer.requests);
    }
  }

  #died(worker: Worker | undefined, error: Error): void {
    if (this.#closing !== undefined || this.#worker !== worker) return;
    this.#worker = undefined;
    this.#events.failed(error);
    this.#events.idle(this.#requests);
  }
}
