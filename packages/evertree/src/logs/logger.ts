import { once } from 'node:events';
import type { Report, Reporter } from '@evertree/core';
import pico from 'picocolors';
import type { Logger } from 'winston';
import { LOG_LEVELS, type LogOptions } from './options.ts';
import { visible } from './visible.ts';

export interface Log {
  readonly report: Reporter;
  /** Resolves when all reports are written; it ignores what is reported from then on. */
  close(): Promise<void>;
}

const COLOURS = { error: pico.red, warn: pico.yellow, info: pico.green, debug: pico.dim } as const;

/** So many lines wait while winston is loaded; what comes above that is not written. */
const WAITING_LIMIT_LINES = 10_000;

/** A log on stderr: stdout belongs to what commands print. */
export function openLog({ level, format }: LogOptions): Log {
  const toLine = format === 'pretty' || (format === 'auto' && process.stderr.isTTY) ? prettyLine : jsonLine;
  const least = LOG_LEVELS.indexOf(level);
  const waiting: WinstonEntry[] = [];
  let loading: Promise<Logger> | undefined;
  let logger: Logger | undefined;
  let closed = false;
  return {
    report(report) {
      // A client that was abandoned may still report.
      if (closed || LOG_LEVELS.indexOf(report.level) > least) return;
      const entry = { level: report.level, message: toLine(report) };
      if (logger !== undefined) {
        logger.log(entry);
        return;
      }
      if (waiting.length < WAITING_LIMIT_LINES) waiting.push(entry);
      // Loading it takes a tenth of a site's start. The first line comes when the site serves.
      loading ??= createWinston(level).then(loaded => {
        for (const early of waiting.splice(0)) loaded.log(early);
        return (logger = loaded);
      });
    },
    async close() {
      closed = true;
      const loaded = await loading;
      if (loaded === undefined) return;
      const finished = once(loaded, 'finish');
      loaded.end();
      await finished;
    },
  };
}

interface WinstonEntry {
  readonly level: string;
  readonly message: string;
}

async function createWinston(level: string): Promise<Logger> {
  const { createLogger, format, transports } = await import('winston');
  return createLogger({
    level,
    format: format.printf(({ message }) => message as string),
    transports: [new transports.Stream({ stream: process.stderr })],
  });
}

/** `{"time":"…","level":"…","event":"…","message":"…","details":{…}}` */
export function jsonLine(report: Report, time = new Date()): string {
  const { level, event, message, details } = report;
  return JSON.stringify({ time: time.toISOString(), level, event, message, ...(details === undefined ? {} : { details }) }, plain);
}

/** `12:03:04.567 info  The message. (event key=value)` */
export function prettyLine(report: Report, time = new Date()): string {
  const details = Object.entries(report.details ?? {}).map(([key, value]) => `${key}=${textOf(value)}`);
  const clock = time.toISOString().slice(11, 23);
  const rest = pico.dim(`(${[report.event, ...details].join(' ')})`);
  return `${pico.dim(clock)} ${COLOURS[report.level](report.level.padEnd(5))} ${visible(report.message)} ${rest}`;
}

function textOf(value: unknown): string {
  // The report's message contains that of the error.
  if (value instanceof Error) return 'code' in value ? String(value.code) : value.name;
  if (typeof value === 'string') return visible(/^[^\s="]+$/.test(value) ? value : JSON.stringify(value));
  return visible(JSON.stringify(value, plain) ?? String(value));
}

/** JSON.stringify makes `{}` of an error: name, message and code are kept. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message, ...('code' in value ? { code: value.code } : {}) };
  return typeof value === 'bigint' ? value.toString() : value;
}
