// A site's process: does what the bench's process asks for over the IPC channel, and ends with it.
import { SiteTasks } from './tasks.ts';

export interface Call {
  readonly id: number;
  readonly task: Exclude<keyof SiteTasks, 'constructor'>;
  readonly args: readonly unknown[];
}

export type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

const tasks = new SiteTasks();

process.on('disconnect', () => process.exit());
process.on('message', ({ id, task, args }: Call) => {
  const run = tasks[task].bind(tasks) as (...given: readonly unknown[]) => Promise<unknown>;
  run(...args).then(
    result => process.send?.({ id, result } satisfies Answer),
    (error: unknown) =>
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) } satisfies Answer),
  );
});
