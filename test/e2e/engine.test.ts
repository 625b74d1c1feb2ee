import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
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

/** Drops 2 GiB of buffers, 64 KiB each, and tells how often V8 looked for garbage in the whole heap meanwhile. */
const DROPS_BUFFERS = `
  const { PerformanceObserver, constants } = await import('node:perf_hooks');
  let whole = 0;
  const count = entries => {
    for (const { detail } of entries) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) whole++;
  };
  const observer = new PerformanceObserver(list => count(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  for (let dropped = 0; dropped < 32 * 1024; dropped++) {
    Buffer.allocUnsafeSlow(64 * 1024);
    if (dropped % 64 === 0) await new Promise(resolve => setImmediate(resolve));
  }
  await new Promise(resolve => setTimeout(resolve, 20));
  count(observer.takeRecords());
  console.log(whole);
  process.exit();
`;

/** @returns how often it looked, in a process that has done this before */
async function wholeCollections(before: string): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', before + DROPS_BUFFERS]);
  return Number(stdout);
}

const opened = (how: string) => `const { ${how} } = await import('evertree'); await ${how}({ data: 'memory' });`;

// Later versions of V8 do it by themselves.
test.runIf(process.versions.v8.startsWith('13.6.'))('buffers that are dropped do not make V8 look through the whole heap', async () => {
  expect(await wholeCollections(''), 'without a site').toBeGreaterThanOrEqual(8);
  expect(await wholeCollections(opened('openSite'))).toBeLessThanOrEqual(3);
  expect(await wholeCollections(opened('openStore'))).toBeLessThanOrEqual(3);
});
