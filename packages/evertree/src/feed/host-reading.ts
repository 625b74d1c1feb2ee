import { readFile, readdir } from 'node:fs/promises';
import { freemem, hostname, loadavg, platform, totalmem, uptime } from 'node:os';

/** The processes that a reading lists: those that hold the most memory. */
const LISTED_PROCESSES = 10;
/** The most processes that a reading looks at; the others are only counted. */
const EXAMINED_PROCESSES = 4_096;
const PAGE_BYTES = 4_096;

/** The state of this machine at one moment, as it stands under `/host`. */
export interface HostReading {
  readonly name: string;
  readonly platform: string;
  readonly uptimeSeconds: number;
  readonly load: { readonly one: number; readonly five: number; readonly fifteen: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  /** By interface; empty outside Linux. */
  readonly network: Readonly<Record<string, InterfaceCounters>>;
  /** `largest` by process id; `count` is null outside Linux. */
  readonly processes: { readonly count: number | null; readonly largest: Readonly<Record<string, ProcessReading>> };
}

export interface InterfaceCounters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
}

export interface ProcessReading {
  readonly name: string;
  readonly memoryBytes: number;
}

export async function readHost(): Promise<HostReading> {
  const [one = 0, five = 0, fifteen = 0] = loadavg().map(hundredths);
  const [network, processes] = await Promise.all([readNetwork(), readProcesses()]);
  return {
    name: hostname(),
    platform: platform(),
    uptimeSeconds: Math.floor(uptime()),
    load: { one, five, fifteen },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    network,
    processes,
  };
}

async function readNetwork(): Promise<Record<string, InterfaceCounters>> {
  const text = (await readOptional('/proc/net/dev')) ?? '';
  const interfaces: Record<string, InterfaceCounters> = {};
  for (const line of text.split('\n').slice(2)) {
    const [name = '', rest] = line.split(':', 2);
    const fields = rest?.trim().split(/\s+/).map(Number) ?? [];
    const [receivedBytes, receivedPackets] = fields;
    const [sentBytes, sentPackets] = fields.slice(8);
    if (receivedBytes === undefined || receivedPackets === undefined || sentBytes === undefined || sentPackets === undefined) continue;
    interfaces[name.trim()] = { receivedBytes, receivedPackets, sentBytes, sentPackets };
  }
  return interfaces;
}

async function readProcesses(): Promise<HostReading['processes']> {
  const entries = await listOptional('/proc');
  const ids = entries.filter(entry => /^\d+$/.test(entry));
  if (ids.length === 0) return { count: null, largest: {} };
  const readings = await Promise.all(ids.slice(0, EXAMINED_PROCESSES).map(readProcess));
  const found = readings.filter(reading => reading !== undefined);
  const largest = found.toSorted((a, b) => b.memoryBytes - a.memoryBytes).slice(0, LISTED_PROCESSES);
  return { count: ids.length, largest: Object.fromEntries(largest.map(({ id, name, memoryBytes }) => [id, { name, memoryBytes }])) };
}

async function readProcess(id: string): Promise<(ProcessReading & { id: string }) | undefined> {
  const stat = await readOptional(`/proc/${id}/stat`);
  // The name stands in parentheses and may hold any character; the resident pages are the 22nd field after it.
  const match = stat === undefined ? null : /^\d+ \((.*)\) (.*)$/s.exec(stat);
  const pages = Number(match?.[2]?.split(' ')[21]);
  return match === null || !Number.isFinite(pages)
    ? undefined
    : { id, name: (match[1] ?? '').toWellFormed(), memoryBytes: pages * PAGE_BYTES };
}

/** The entries of a directory; none where it does not exist, as outside Linux. */
async function listOptional(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** A file of /proc; undefined if it does not exist, or its process has just ended or belongs to somebody else. */
async function readOptional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return undefined;
    throw error;
  }
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
