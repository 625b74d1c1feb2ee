import type { Report, Reporter } from '@evertree/core';
import pico from 'picocolors';
import { LOG_LEVELS, type LogOptions } from './options.ts';
import { visible } from './visible.ts';

export interface Log {
  readonly report: Reporter;
  /** Ignores what is reported from now on. Node writes what was reported before it ends the process. */
  close(): void;
}

const COLOURS = { error: pico.red, warn: pico.yellow, info: pico.green, debug: pico.dim } as const;

/** A log on stderr: stdout belongs to what commands print. A library for logs would be a tenth of a site's start. */
export function openLog({ level, format }: LogOptions): Log {
  const toLine = format === 'pretty' || (format === 'auto' && process.stderr.isTTY) ? prettyLine : jsonLine;
  const least = LOG_LEVELS.indexOf(level);
  let closed = false;
  return {
    report(report) {
      // A client that was abandoned may still report.
      if (!closed && LOG_LEVELS.indexOf(report.level) <= least) process.stderr.write(`${toLine(report)}\n`);
    },
    close() {
      closed = true;
    },
  };
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
