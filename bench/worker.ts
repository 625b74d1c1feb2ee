import { type ChildProcess, fork } from 'node:child_process';
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { keepsCompiledCode } from './compiled-code.ts';
import { kill, tracked } from './processes.ts';

/** The methods of a worker process. The process that started it can call each of them. */
type Tasks<T> = { readonly [Name in keyof T]: (...args: never[]) => Promise<unknown> };

interface Call {
  readonly id: number;
  readonly task: string;
  readonly args: readonly unknown[];
}

type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

/** A process that does tasks; its file calls `serve`. */
export class Worker<T extends Tasks<T>> {
  readonly #process: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #next = 0;

  constructor(file: URL, flags: readonly string[] = []) {
    const execArgv = ['--expose-gc', ...flags];
    this.#process = tracked(fork(fileURLToPath(file), [], { execArgv, env: keepsCompiledCode(), serialization: 'advanced' }));
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#process.once('exit', (code, signal) => this.#fail(new Error(`a contestant's process ended (${signal ?? code})`)));
  }

  call<Name extends keyof T & string>(task: Name, ...args: Parameters<T[Name]>): ReturnType<T[Name]> {
    const id = this.#next++;
    const call = Promise.withResolvers<unknown>();
    this.#calls.set(id, call);
    // Where two calls run and one fails, nobody waits for the other any more.
    call.promise.catch(() => undefined);
    this.#process.send({ id, task, args } satisfies Call);
    return call.promise as ReturnType<T[Name]>;
  }

  kill(): Promise<void> {
    return kill(this.#process);
  }

  #settle(answer: Answer): void {
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    if ('error' in answer) call?.reject(new Error(answer.error));
    else call?.resolve(answer.result);
  }

  #fail(error: Error): void {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}

/** Runs the tasks that the parent process asks for over the IPC channel; ends with the parent. */
export function serve<T extends Tasks<T>>(tasks: T): void {
  process.on('disconnect', () => process.exit());
  process.on('message', ({ id, task, args }: Call) => {
    const run = (tasks[task as keyof T] as unknown as (...given: readonly unknown[]) => Promise<unknown>).bind(tasks);
    void run(...args)
      .then(
        result => process.send?.({ id, result } satisfies Answer),
        (error: unknown) =>
          process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) } satisfies Answer),
      )
      // It may be killed at any time. Takes 0.01 ms where nothing was compiled since the last time.
      .finally(() => flushCompileCache());
  });
}
