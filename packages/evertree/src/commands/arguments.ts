import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isEvertreeError, parsePath, type Path } from '@evertree/core';
import { PEM_FILE_LIMIT_BYTES, TOKEN_FILE_LIMIT_BYTES, exposureOf, parseToken } from '../configuration/secret-file.ts';
import { parseExactJson } from '../json/exact.ts';
import { remedyFor } from '../json/remedy.ts';
import { UsageError } from './exit-status.ts';
import { printError } from './terminal.ts';

/** The most that a command reads from a file or from its standard input. */
const INPUT_LIMIT_BYTES = 256 * 1024 * 1024;
const DEFAULT_HTTP_PORT = 8181;
/** What may be left of a string whose quotes a shell took away. */
const BARE_WORDS = /^[^\s\d{}[\]"'-][^{}[\]"']*$/;

/**
 * The ports that browsers and fetch refuse to talk HTTP to (Fetch standard, «port blocking»): a site there would have
 * no clients.
 */
const BAD_PORTS: ReadonlySet<number> = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117,
  119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
  989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export function pathArgument(text: string): Path {
  try {
    return parsePath(text);
  } catch (error) {
    if (isEvertreeError(error)) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** `HOST:PORT`, `[IPV6]:PORT`, `HOST` or `PORT`. */
export function addressArgument(text: string): HostAndPort {
  const match =
    /^(?:\[(?<bracketed>[0-9a-fA-F:.%]+)\]|(?<host>[A-Za-z][A-Za-z0-9_.-]*|\d[A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+))?(?::?(?<port>\d{1,5}))?$/.exec(
      text,
    );
  const host = match?.groups?.['bracketed'] ?? match?.groups?.['host'] ?? '127.0.0.1';
  const port = Number(match?.groups?.['port'] ?? DEFAULT_HTTP_PORT);
  if (match === null || text === '')
    throw new UsageError(`${JSON.stringify(text)} is no address; write HOST:PORT, such as 127.0.0.1:8181, or off`);
  return { host, port: portArgument(String(port)) };
}

export function portArgument(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port >= 1 && port <= 65_535) return port;
  throw new UsageError(`${JSON.stringify(text)} is no port; write a whole number from 1 to 65535`);
}

/** @throws UsageError for a port of `BAD_PORTS` */
export function checkHttpPort(port: number): void {
  if (!BAD_PORTS.has(port)) return;
  const reason = 'browsers and fetch refuse to talk HTTP to it, so no client would reach the site';
  throw new UsageError(`--http may not have the port ${port}: ${reason}; choose another, such as ${DEFAULT_HTTP_PORT}`);
}

/** The value of `--timeout`: a time in seconds, fractions too. */
export function secondsArgument(text: string): number {
  const seconds = /^\d{1,4}(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0) return seconds;
  throw new UsageError(`--timeout ${JSON.stringify(text)} is no time; write seconds above 0, such as 10 or 0.5`);
}

/** A time with its unit, such as `5s`, `500ms` or `1m`, or in seconds; in milliseconds. */
export function durationArgument(text: string): number {
  const match = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text);
  const milliseconds =
    match === null ? 0 : Math.round(Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm']);
  if (milliseconds > 0) return milliseconds;
  throw new UsageError(`${JSON.stringify(text)} is no time; write one such as 5s, 500ms or 1m`);
}

export function countArgument(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= 0) return count;
  throw new UsageError(`${JSON.stringify(text)} is no count; write a whole number from 0 to 9999`);
}

export function urlArgument(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    throw new UsageError(`--url ${JSON.stringify(text)} is no address of a site; write one such as http://127.0.0.1:8181`);
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--url takes no user or password; put the token into a file and name it with --token-file');
  return url;
}

/** A directory, as a command's `--data` names it. */
export function directoryArgument(text: string): string {
  if (/\S/.test(text)) return text;
  throw new UsageError(`--data ${JSON.stringify(text)} names no directory; write its path, such as ./data`);
}

/** What a drill or a verification on level 3 prints, so that it can be repeated. */
export function seedArgument(text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new UsageError(`--seed ${JSON.stringify(text)} is none; write a whole number below ${2 ** 32}, such as an earlier run printed it`);
}

/** A site's name, as the other side and status show it. */
export function siteArgument(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)) return text;
  throw new UsageError(`${JSON.stringify(text)} is no name for a site; use up to 64 letters, digits, ".", "_" and "-"`);
}

export function tokenFromFile(file: string): string {
  const token = parseToken(readWhole(file, `the token file ${file}`, TOKEN_FILE_LIMIT_BYTES));
  if (token === undefined)
    throw new UsageError(`the token file ${file} holds no token; it has to be one line of 8 or more printable ASCII characters`);
  const exposure = exposureOf(statSync(file), file);
  if (exposure !== undefined) printError(`warning: the token file ${file} ${exposure}`);
  return token;
}

/** PEM certificates, as they stand in the file. */
export function authorityFromFile(file: string): string {
  const text = readWhole(file, `the authority's file ${file}`, PEM_FILE_LIMIT_BYTES);
  try {
    void new X509Certificate(text);
    return text;
  } catch (error) {
    throw new UsageError(`the authority's file ${file} holds no PEM certificate: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The JSON text of an argument, of a file, or of the standard input (`-`), checked: a number that a double can't hold
 * exactly is refused. The text is sent as it stands.
 */
export async function jsonInput(argument: string | undefined, what: string): Promise<{ readonly text: string; readonly value: unknown }> {
  if (argument === undefined && process.stdin.isTTY) throw new UsageError(`give ${what} as an argument, or on the standard input`);
  const text = argument === undefined || argument === '-' ? await readInput() : argument;
  return { text, value: argument === text ? argumentJson(text) : checkedJson(text) };
}

/** As checkedJson; the error of a bare word says how a string is written for a shell. */
function argumentJson(text: string): unknown {
  try {
    return checkedJson(text);
  } catch (error) {
    if (error instanceof UsageError && BARE_WORDS.test(text) && remedyFor(text, '') === undefined)
      throw new UsageError(`${error.message}; a string has quotes of its own: '${JSON.stringify(text)}'`, { cause: error });
    throw error;
  }
}

export async function jsonFile(file: string): Promise<{ readonly text: string; readonly value: unknown }> {
  const text = file === '-' ? await readInput() : readWhole(file, file, INPUT_LIMIT_BYTES);
  return { text, value: checkedJson(text, file === '-' ? undefined : file) };
}

function checkedJson(text: string, file?: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    throw new UsageError(file === undefined ? error.message : `${file}: ${error.message}`, { cause: error });
  }
}

function readWhole(file: string, what: string, limitBytes: number): string {
  try {
    const { size } = statSync(file);
    if (size <= limitBytes) return decode(readFileSync(file), what);
    throw new UsageError(`${what} has ${size} bytes; at most ${limitBytes} are read. Is it another file?`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${what} can't be read: ${(error as Error).message}`, { cause: error });
  }
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > INPUT_LIMIT_BYTES)
      throw new UsageError(`the standard input has more than ${INPUT_LIMIT_BYTES} bytes, the most that is read`);
    chunks.push(chunk);
  }
  return decode(Buffer.concat(chunks), 'the standard input');
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UsageError(`${what} is not UTF-8 text`, { cause: error });
  }
}
