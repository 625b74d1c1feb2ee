import type { Report, Reporter } from '@evertree/core';
import pico from 'picocolors';
import { createLogger, format, transports } from 'winston';
import { LOG_LEVELS, type LogOptions } from './options.ts';
import { visible } from './visible.ts';

export interface Log {
  readonly report: Reporter;
  /** Resolves when all reports are written. */
  close(): Promise<void>;
}

const COLOURS = { error: pico.red, warn: pico.yellow, info: pico.green, debug: pico.dim } as const;

/** A log on stderr: stdout belongs to what commands print. */
export function openLog(options: LogOptions): Log {
  const pretty = options.format === 'pretty' || (options.format === 'auto' && process.stderr.isTTY);
  const transport = new transports.Stream({ stream: process.stderr });
  const logger = createLogger({
    level: options.level,
    format: format.printf(info => (pretty ? prettyLine(info['report'] as Report) : jsonLine(info['report'] as Report))),
    transports: [transport],
  });
  let closed = false;
  return {
    report(report) {
      // A client that was abandoned may still report.
      if (closed) return;
      if (LOG_LEVELS.indexOf(report.level) <= LOG_LEVELS.indexOf(options.level)) logger.log({ level: report.level, message: '', report });
    },
    close() {
      closed = true;
      return new Promise(resolve => {
        logger.once('finish', resolve);
        logger.end();
      });
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
