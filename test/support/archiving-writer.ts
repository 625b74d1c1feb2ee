import { writeSync } from 'node:fs';
import { ARCHIVER_DEFAULTS, ArchiveThread } from '@evertree/archive';
import { openStore } from 'evertree';
import { systemClock as clock } from './host.ts';

/**
 * Commits to the site in the directory that is named first, and archives it to the one named second, until it is killed;
 * writes each archived position on a line. With recipients as a third argument the archive is encrypted.
 */
const [, , directory, target, recipients] = process.argv as [string, string, string, string, string?];
const store = await openStore({ data: directory });
const thread = new ArchiveThread({
  directory,
  site: store.site,
  target,
  settings: {},
  recipients: recipients === undefined ? undefined : [recipients],
  follow: { ...ARCHIVER_DEFAULTS, everyMs: 5 },
  log: store.journal.log,
  clock,
  events: {
    report: () => undefined,
    lease: ({ name, position }) => store.journal.leases.hold('backup', name, position),
    makeSnapshot: async () => void (await store.saveSnapshot()),
  },
});
/** A commit takes less than to archive it: without a bound the archive falls behind by minutes. */
const LAG_COMMITS = 5_000;
let told = '';
for (let n = store.position.revision; ; n++) {
  store.put(`/secret-key/k${n % 50}`, `secret value ${n}`, { author: 'secret author', message: `secret message ${n}` });
  await store.flush();
  if (n % 500 === 499) store.mark(`secret mark ${n}`);
  if (n % 300 === 299) await store.saveSnapshot();
  // What is said to be archived is asked for all the time, a backup now and then makes stretches of it.
  if (n % 200 === 199) void thread.backup().catch(() => undefined);
  while (thread.status.lag.commits > LAG_COMMITS) await new Promise<void>(resolve => clock.after(1, resolve));
  const { position } = thread.status;
  const line = position === null ? '' : `${position.epochId}-${position.revision}\n`;
  if (line === told) continue;
  told = line;
  writeSync(1, line);
}
