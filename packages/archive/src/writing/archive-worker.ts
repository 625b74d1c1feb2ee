import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { parentPort, workerData } from 'node:worker_threads';
import type { Clock, ErrorDetails, Random, Report } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import { EndFlag, synchronousDisk, yieldProcessor } from '@evertree/history/files';
import { nodeDisk } from '@evertree/journal';
import { Recipients } from '../encryption/recipients.ts';
import { openTarget } from '../targets/open-target.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveAnswer, ArchiveRequest, ArchiveTask, ToldFailure } from './archive-messages.ts';
import type { ArchiveLease, ArchiveProgress } from './archiver-options.ts';
import { Archiver } from './archiver.ts';
import type { BackupProgress } from './counted-source.ts';
import { DirectorySource } from './directory-source.ts';
import { LineFile } from './line-file.ts';
import { backUp } from './one-shot.ts';
import { OpeningTarget } from './opening-target.ts';

// The thread that archives: carries out requests of `ArchiveThread`.

const task = workerData as ArchiveTask;
const clock: Clock = {
  now: () => new Date().getTime(),
  monotonic: () => performance.now(),
  soon: run => void setImmediate(run),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
const random: Random = { bytes: length => randomBytes(length), fraction: () => randomBytes(4).readUInt32LE() / 2 ** 32 };

/** How far a backup has come is told so often, in milliseconds. */
const COUNT_MS = 100;
let countedAt = -Infinity;

function tell(answer: ArchiveAnswer): void {
  parentPort!.postMessage(answer);
}

/** Errors don't pass between threads as they are. */
function report(told: Report): void {
  tell({ type: 'report', report: { ...told, ...(told.details === undefined ? {} : { details: passable(told.details) }) } });
}

function passable(details: ErrorDetails): ErrorDetails {
  return Object.fromEntries(Object.entries(details).map(([key, value]) => [key, value instanceof Error ? value.message : value]));
}

function failureOf(error: unknown): ToldFailure {
  if (isEvertreeError(error)) return { code: error.code, message: error.message, details: passable(error.details) };
  return { code: 'STORAGE_FAILED', message: error instanceof Error ? error.message : String(error), details: {} };
}

yieldProcessor();
const end = new EndFlag(task.end);
/** Those that are open. */
const targets = new Set<Target>();
let { history } = task;
/** Those who wait for the snapshot that was asked for. */
let snapshots: ((isMade: boolean) => void)[] = [];
const source = new DirectorySource({
  disk: synchronousDisk(task.directory, () => end.check()),
  site: task.site,
  told: () => history,
  makeSnapshot: () =>
    new Promise(resolve => {
      if (snapshots.push(resolve) === 1) tell({ type: 'snapshot' });
    }),
});
const parts = {
  source,
  sealing: task.recipients === undefined ? ('plain' as const) : Recipients.parse(task.recipients),
  clock,
  random,
  events: { report, lease: (lease: ArchiveLease) => tell({ type: 'lease', lease }) },
};

async function begin(follow: NonNullable<ArchiveTask['follow']>): Promise<Archiver> {
  const target = new OpeningTarget(task.target, () => openTarget(task.target, { ...task.settings, clock, random }));
  targets.add(target);
  const lines = await LineFile.open(nodeDisk(task.directory), report);
  const events = { ...parts.events, progress: (progress: ArchiveProgress) => tell({ type: 'progress', progress }) };
  const archiver = new Archiver({ ...parts, target, lines, options: follow, events, held: task.held });
  archiver.start();
  return archiver;
}

async function backupOnce(): ReturnType<typeof backUp> {
  await using target = await openTarget(task.target, { ...task.settings, clock, random });
  end.check();
  targets.add(target);
  try {
    return await backUp({ ...parts, target, lines: await LineFile.open(nodeDisk(task.directory), report), progress: tellCounted });
  } finally {
    targets.delete(target);
  }
}

/** Frames come by the thousand. */
function tellCounted(counted: BackupProgress): void {
  const now = clock.monotonic();
  if (now - countedAt < COUNT_MS) return;
  countedAt = now;
  tell({ type: 'counted', counted });
}

async function backup(request: number): Promise<void> {
  try {
    tell({ type: 'done', request, result: await (archiver === undefined ? backupOnce() : (await archiver).backup()) });
  } catch (error) {
    tell({ type: 'failed', request, failure: failureOf(error) });
  }
}

function answerSnapshots(problem: string | undefined): void {
  const waiting = snapshots;
  snapshots = [];
  if (problem !== undefined) {
    report({ level: 'warn', event: 'archive-snapshot-failed', message: `no snapshot for an image of the archive was made: ${problem}` });
  }
  for (const resolve of waiting) resolve(problem === undefined);
}

/**
 * Calls to a target fail or end soon, and so does what makes them. With its port closed the thread ends when nothing is
 * under way any more.
 */
async function close(): Promise<void> {
  for (const resolve of snapshots.splice(0)) resolve(false);
  const running = await archiver;
  await Promise.all([running?.close(), ...Array.from(targets, target => target[Symbol.asyncDispose]())]);
  parentPort!.close();
}

/** Of a site that archives all the time. */
const archiver = task.follow === undefined ? undefined : begin(task.follow);

parentPort!.on('message', (request: ArchiveRequest) => {
  switch (request.type) {
    case 'history':
      ({ history } = request);
      return void archiver?.then(running => running.noticed());
    case 'backup':
      return void backup(request.request);
    case 'snapshot':
      return answerSnapshots(request.problem);
    case 'end':
      return void close();
  }
});
