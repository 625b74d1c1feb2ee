import { readFileSync, statSync } from 'node:fs';
import { isEvertreeError, parsePath, type Path } from '@evertree/core';
import { TOKEN_FILE_LIMIT_BYTES, parseToken } from '../configuration/token.ts';
import { parseExactJson } from '../json/exact.ts';
import { UsageError } from './exit-status.ts';

/** The most that a command reads from a file or from its standard input. */
const INPUT_LIMIT_BYTES = 256 * 1024 * 1024;
const DEFAULT_HTTP_PORT = 8181;

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

/** A site's name, as the other side and status show it. */
export function siteArgument(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)) return text;
  throw new UsageError(`${JSON.stringify(text)} is no name for a site; use up to 64 letters, digits, ".", "_" and "-"`);
}

export function tokenFromFile(file: string): string {
  let text: string;
  try {
    if (statSync(file).size > TOKEN_FILE_LIMIT_BYTES)
      throw new UsageError(`--token-file ${file} has more than ${TOKEN_FILE_LIMIT_BYTES} bytes; is it another file?`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--token-file ${file} can't be read: ${(error as Error).message}`, { cause: error });
  }
  const token = parseToken(text);
  if (token === undefined)
    throw new UsageError(`--token-file ${file} holds no token; it has to be one line of 8 or more printable ASCII characters`);
  return token;
}

/**
 * The JSON text of an argument, of a file, or of the standard input (`-`), checked: what a double can't hold exactly is refused. The text
 * itself goes on its way, so that nothing is written anew.
 */
export async function jsonInput(argument: string | undefined, what: string): Promise<{ readonly text: string; readonly value: unknown }> {
  if (argument === undefined && process.stdin.isTTY) throw new UsageError(`give ${what} as an argument, or on the standard input`);
  const text = argument === undefined || argument === '-' ? await readInput() : argument;
  return { text, value: checkedJson(text) };
}

export async function jsonFile(file: string): Promise<{ readonly text: string; readonly value: unknown }> {
  const text = file === '-' ? await readInput() : readFile(file);
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

function readFile(file: string): string {
  try {
    const { size } = statSync(file);
    if (size <= INPUT_LIMIT_BYTES) return decode(readFileSync(file), file);
    throw new UsageError(`${file} has ${size} bytes; at most ${INPUT_LIMIT_BYTES} are read`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${file} can't be read: ${(error as Error).message}`, { cause: error });
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
