import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Call } from './child.ts';
import type { SiteTasks } from './tasks.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));

type Task = Call['task'];

/** A site in a process of its own. */
export class SiteProcess {
  readonly #process: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #next = 0;
  #ended = false;

  constructor() {
    this.#process = fork(CHILD, [], { execArgv: ['--expose-gc'], serialization: 'advanced' });
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#process.once('exit', (code, signal) => this.#fail(new Error(`a site's process ended (${signal ?? code})`)));
  }

  call<Name extends Task>(task: Name, ...args: Parameters<SiteTasks[Name]>): ReturnType<SiteTasks[Name]> {
    const id = this.#next++;
    const call = Promise.withResolvers<unknown>();
    this.#calls.set(id, call);
    this.#process.send({ id, task, args } satisfies Call);
    return call.promise as ReturnType<SiteTasks[Name]>;
  }

  async kill(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#process, 'exit');
    await this.call('close');
    this.#process.disconnect();
    await exited;
  }

  #settle(answer: Answer): void {
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    if ('error' in answer) call?.reject(new Error(answer.error));
    else call?.resolve(answer.result);
  }

  #fail(error: Error): void {
    this.#ended = true;
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}
