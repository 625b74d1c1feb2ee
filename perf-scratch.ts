import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ARCHIVER_DEFAULTS, ArchiveThread, initArchive, openTarget, Recipients } from '@evertree/archive';
import { generateX25519Identity, identityToRecipient } from './packages/archive/node_modules/age-encryption/dist/index.js';
import { openStore } from 'evertree';
import { systemClock as clock, systemRandom as random } from './test/support/host.ts';
async function round(archive: boolean, ms: number) {
  const directory = await mkdtemp(join(tmpdir(), 'perf-'));
  const store = await openStore({ data: join(directory, 'site') });
  const place = join(directory, 'archive');
  let thread: ArchiveThread | undefined;
  if (archive) {
    await mkdir(place);
    const identity = await generateX25519Identity();
    const recipients = [await identityToRecipient(identity)];
    await using target = await openTarget(place, { clock, random });
    await initArchive(target, { sealing: Recipients.parse(recipients), conditions: true, random });
    thread = new ArchiveThread({ directory: join(directory, 'site'), site: store.site, target: place, settings: {}, recipients, follow: { ...ARCHIVER_DEFAULTS, everyMs: Number(process.argv[2] ?? 1000) }, log: store.journal.log, clock, events: { report: r => console.log(r.message), lease: ({ name, position }) => store.journal.leases.hold('backup', name, position), makeSnapshot: async () => void (await store.saveSnapshot()) } });
  }
  await store.put('/b', 1).durable;
  let n = 0;
  const begun = performance.now();
  const cpu = process.cpuUsage();
  let maxLag = 0; const lags: number[] = [];
  while (performance.now() - begun < ms) {
    for (let i = 0; i < 64; i++) { store.put(['a', `k${n % 1000}`, `f${n % 7}`], n); n++; }
    await new Promise<void>(r => setImmediate(r));
    if (store.journal.log.pendingBytes > 8 * 1024 * 1024) await store.flush();
    if (thread && n % 6400 === 0) lags.push(thread.status.lag.milliseconds);
  }
  await store.flush();
  const seconds = (performance.now() - begun) / 1000;
  const used = process.cpuUsage(cpu);
  lags.sort((a, b) => a - b);
  const s = thread?.status;
  console.log(archive ? 'with   ' : 'without', Math.round(n / seconds), 'commits/s cpu', ((used.user + used.system) / 1e6 / seconds).toFixed(2), s ? JSON.stringify({ ...s.written, lag50: lags[lags.length >> 1], lag99: lags[Math.floor(lags.length * 0.99)], rss: Math.round(process.memoryUsage().rss / 1e6) }) : Math.round(process.memoryUsage().rss / 1e6));
  await thread?.close();
  await store.close();
  await rm(directory, { recursive: true, force: true });
  return n / seconds;
}
await round(false, 1500);
const sums = [0, 0];
for (let i = 0; i < 3; i++) { sums[0]! += await round(false, 4000); sums[1]! += await round(true, 4000); }
console.log('ratio', (sums[1]! / sums[0]!).toFixed(3));
