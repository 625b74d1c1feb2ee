import { once } from 'node:events';
import type { Report } from '@evertree/core';
import pico from 'picocolors';
import { DONE, FAILED } from './exit-status.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

const ESCAPE = '\u001b[';

/** Whether the output is a terminal, on which lines can be drawn in place. */
export function isTerminal(): boolean {
  return process.stdout.isTTY;
}

/** Prints to stdout; waits while its reader is slow. */
export async function print(text: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

export async function printLine(text: string): Promise<void> {
  await print(`${text}\n`);
}

/** Tells on stderr what the command is doing; silent unless stderr is a terminal. */
export function tellProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${pico.dim(text)}\n`);
}

/** What a question about the past waits for. */
export const SEARCHING = 'reading the history …';

/** Work that takes less time is not told of. */
const SHORT_WORK_MS = 1_000;

/** Tells what the command waits for, if that takes a while. */
export async function whileTelling<T>(text: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => tellProgress(text), SHORT_WORK_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Says on stderr what belongs to the answer, but not into the output. */
export function tellNote(text: string): void {
  process.stderr.write(`${pico.createColors(process.stderr.isTTY).dim(text)}\n`);
}

/** What a command found on the way that people have to know. */
export function tellWarnings({ level, message }: Report): void {
  if (level === 'warn' || level === 'error') printError(`warning: ${message}`);
}

/** The pause between two lines of progress where stderr is not a terminal. */
const PLAIN_PROGRESS_MS = 10_000;

/** Long work on stderr: done of total, rate, time left. One line that moves on a terminal, plain lines elsewhere. */
export class ProgressLine {
  readonly #verb: string;
  readonly #total: number;
  readonly #format: (amount: number) => string;
  readonly #began = performance.now();
  #printedAt = this.#began;

  /** @param format how an amount is written; without it amounts are bytes */
  constructor(verb: string, total: number, format: (amount: number) => string = formatBytes) {
    this.#verb = verb;
    this.#total = total;
    this.#format = format;
  }

  /** @param total if it has changed */
  show(done: number, total = this.#total): void {
    const now = performance.now();
    const rate = (done * 1_000) / Math.max(1, now - this.#began);
    const leftMs = ((total - done) * 1_000) / Math.max(1, rate);
    const amount = `${this.#format(done)} of ${this.#format(total)}`;
    const text = `${this.#verb} ${amount}, ${this.#format(Math.round(rate))}/s, ${formatDuration(Math.max(0, leftMs))} left`;
    if (process.stderr.isTTY) process.stderr.write(`\r${ESCAPE}2K${pico.dim(text)}`);
    else if (now - this.#printedAt >= PLAIN_PROGRESS_MS) {
      this.#printedAt = now;
      process.stderr.write(`${text}\n`);
    }
  }

  /** Removes the moving line. */
  end(): void {
    if (process.stderr.isTTY) process.stderr.write(`\r${ESCAPE}2K`);
  }
}

/** The pause between two lines of progress for programs. */
const JSON_PROGRESS_MS = 1_000;

/** What work is counted in, and how an amount of it is written. */
const WORK_UNITS = {
  Bytes: formatBytes,
  Commits: (count: number) => `${formatCount(count)} commits`,
} as const;
type WorkUnit = keyof typeof WORK_UNITS;

/**
 * Long work on stdout, as lines of JSON: `{"progress": {doneBytes, totalBytes, bytesPerSecond, leftMs}}`, or the same with
 * `Commits`.
 */
class JsonProgress {
  readonly #unit: WorkUnit;
  readonly #began = performance.now();
  #printedAt = this.#began;

  constructor(unit: WorkUnit) {
    this.#unit = unit;
  }

  show(done: number, total: number): void {
    const now = performance.now();
    if (done === 0 || now - this.#printedAt < JSON_PROGRESS_MS) return;
    this.#printedAt = now;
    const rate = Math.round((done * 1_000) / (now - this.#began));
    const leftMs = Math.round(((total - done) * 1_000) / Math.max(1, rate));
    const unit = this.#unit;
    const progress = { [`done${unit}`]: done, [`total${unit}`]: total, [`${unit.toLowerCase()}PerSecond`]: rate, leftMs };
    process.stdout.write(`${JSON.stringify({ progress })}\n`);
  }

  end(): void {}
}

/** The progress of work whose size is known only once it has begun. */
export class WorkProgress {
  readonly #verb: string;
  readonly #isJson: boolean;
  readonly #unit: WorkUnit;
  #line: ProgressLine | JsonProgress | undefined;
  /** Told by the work, as often as it likes. The total may change. */
  readonly tell = (done: number, total: number): void => {
    this.#line ??= this.#isJson ? new JsonProgress(this.#unit) : new ProgressLine(this.#verb, total, WORK_UNITS[this.#unit]);
    this.#line.show(done, total);
  };

  /** @param json for a program: off a terminal the lines are JSON, on stdout */
  constructor(verb: string, json = false, unit: WorkUnit = 'Bytes') {
    this.#verb = verb;
    this.#isJson = json && !isTerminal();
    this.#unit = unit;
  }

  end(): void {
    this.#line?.end();
  }
}

export function printError(text: string): void {
  process.stderr.write(`${pico.createColors(process.stderr.isTTY).red('evertree:')} ${text}\n`);
}

/**
 * `evertree export | head` is no failure: its reader has enough. Output that can't be written for another reason, as on
 * a full disk, ends the command with 1. A site goes on without its log.
 */
export function outliveReaders(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(DONE);
    printError(`the output can't be written: ${error.message}`);
    process.exit(FAILED);
  });
}

/** A block of lines at the foot of the terminal that is drawn again in place. */
export class MovingLines {
  #height = 0;

  draw(lines: readonly string[]): void {
    const width = process.stdout.columns;
    const fitting = lines.map(line => cut(line, width));
    process.stdout.write(`${this.#erasure()}${fitting.join('\n')}\n`);
    this.#height = fitting.length;
  }

  /** Removes the block, so that something can be printed in its place. */
  clear(): void {
    process.stdout.write(this.#erasure());
    this.#height = 0;
  }

  /** Starts at the first column: the terminal echoes typed keys, such as «^C», into the line below the block. */
  #erasure(): string {
    return this.#height === 0 ? '' : `\r${ESCAPE}${this.#height}A${ESCAPE}0J`;
  }
}

/** The part of a line that fits; escape codes of colours have no width. */
function cut(line: string, width: number): string {
  let visible = 0;
  // oxlint-disable-next-line no-control-regex -- colours begin with an escape
  return line.replaceAll(/\u001b\[[0-9;]*m|[^\u001b]/gu, piece => {
    if (piece.startsWith('\u001b')) return piece;
    visible++;
    return visible <= width ? piece : '';
  });
}
