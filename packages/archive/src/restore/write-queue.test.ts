import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WriteQueue } from './write-queue.ts';

const MEBIBYTE = 1024 * 1024;

/** What happened, and tasks that end when they are told to. */
function gatedTasks() {
  const told: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const task = (name: string) => {
    const gate = Promise.withResolvers<void>();
    gates.set(name, gate);
    return async () => {
      told.push(`${name} began`);
      await gate.promise;
      told.push(`${name} ended`);
    };
  };
  return {
    told,
    task,
    end: (name: string) => gates.get(name)!.resolve(),
    fail: (name: string, error: Error) => gates.get(name)!.reject(error),
  };
}

test('work on the disk goes on in its order, and its caller waits only while more than 2 MiB wait before it', async () => {
  const { told, task, end } = gatedTasks();
  const queue = new WriteQueue();
  await queue.add(MEBIBYTE, task('a'));
  await queue.add(MEBIBYTE, task('b'));
  await queue.add(1, task('c'));
  const fourth = queue.add(1, task('d')).then(() => told.push('d was taken'));
  end('b');
  await setImmediate();
  expect(told).toEqual(['a began']);
  end('a');
  end('c');
  await fourth;
  expect(told.filter(each => !each.startsWith('d'))).toEqual(['a began', 'a ended', 'b began', 'b ended', 'c began', 'c ended']);
  end('d');
  await queue.drain();
  expect(told.at(-1)).toBe('d ended');
  // What is done does not wait any more.
  await queue.add(1, task('e'));
  await queue.add(1, task('f'));
  expect(told.at(-1)).toBe('e began');
});

test('behind work that failed none is begun, and each call from then on says why', async () => {
  const { told, task, fail } = gatedTasks();
  const queue = new WriteQueue();
  await queue.add(1, task('a'));
  await queue.add(1, task('b'));
  fail('a', new Error('no room'));
  await expect(queue.drain()).rejects.toThrow('no room');
  await expect(queue.add(1, task('c'))).rejects.toThrow('no room');
  await queue.end();
  expect(told).toEqual(['a began']);
});
