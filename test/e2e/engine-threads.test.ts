import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { openSite } from 'evertree';
import { expect, test } from 'vitest';
import { siteFolder } from '../support/site-folder.ts';
import { SiteProcess } from '../support/site-process.ts';

const LIMIT_MS = 20_000;
/** Five steps below that of the process, and 19 at most. */
const LOWERED = Math.min(getPriority() + 5, 19);

/** The priorities of V8's own threads in a process, each once. */
function enginePriorities(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`).filter(thread =>
    readFileSync(`/proc/${pid}/task/${thread}/comm`, 'latin1').startsWith('V8Worker'),
  );
  return [...new Set(threads.map(thread => getPriority(Number(thread))))];
}

// Only Linux has a priority for each thread.
const testOnLinux = test.runIf(process.platform === 'linux');

testOnLinux('the program lets V8’s own threads yield to all others, as a primary and as a secondary', async () => {
  await using folder = await siteFolder();
  const common = { data: join(folder.path, 'a'), httpPort: folder.primaryHttp };
  const roles = [
    { role: 'primary', site: 'a', config: join(folder.path, 'producer.json'), ...common },
    { role: 'secondary', site: 'b', config: join(folder.path, 'consumer.json'), ...common, data: join(folder.path, 'b') },
  ] as const;
  for (const options of roles) {
    await using site = new SiteProcess(options);
    await site.start(LIMIT_MS);
    expect(enginePriorities(site.pid!), options.role).toEqual([LOWERED]);
  }
});

testOnLinux('so does a site in an application, and a second one beside it changes nothing', async () => {
  await using _ = await openSite({ data: 'memory' });
  await using second = await openSite({ data: 'memory', site: 'second' });
  expect(second.store.site).toBe('second');
  expect(enginePriorities(process.pid)).toEqual([LOWERED]);
});
