import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { openSite } from '../index.ts';

/** The priorities of V8's own threads in this process, each once. */
function enginePriorities(): number[] {
  const threads = readdirSync('/proc/self/task').filter(thread =>
    readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').startsWith('V8Worker'),
  );
  return [...new Set(threads.map(thread => getPriority(Number(thread))))];
}

// Only Linux has a priority for each thread.
test.runIf(process.platform === 'linux')('a site, and a second one beside it, let V8’s own threads yield to all others', async () => {
  await using _ = await openSite({ data: 'memory' });
  await using second = await openSite({ data: 'memory', site: 'second' });
  expect(second.store.site).toBe('second');
  expect(enginePriorities()).toEqual([getPriority() + 5]);
});
