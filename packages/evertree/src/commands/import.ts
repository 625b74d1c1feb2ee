import { type Path, formatPosition, isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import { jsonFile, pathArgument } from './arguments.ts';
import { type Difference, differenceOf } from '../json/difference.ts';
import { type WriteOptions, clientOf, waitHeaders, withWrite } from './options.ts';
import { type SiteClient, type WriteAnswer, targetOf } from '../client/site-client.ts';
import { printLine, tellProgress } from './terminal.ts';

/** How often an import begins anew because somebody else wrote to the same subtree meanwhile. */
const ROUNDS = 5;

interface ImportOptions extends WriteOptions {
  readonly at: string;
}

interface Imported extends Omit<Difference, 'operations'> {
  readonly answer: WriteAnswer | undefined;
}

export function addImport(program: Command): void {
  withWrite(program.command('import <file>'))
    .summary('make the tree, or a subtree, equal to a JSON file')
    .description(
      'Makes the tree, or the subtree at a path, equal to a JSON file (- for the standard input).\nOnly what differs is committed, as one transaction.',
    )
    .option('--at <path>', 'the subtree that the file stands for', '')
    .addHelpText('after', '\nExamples:\n  evertree import inventory.json\n  evertree import r1.json --at /devices/r1')
    .action(async (file: string, options: ImportOptions) => {
      const path = pathArgument(options.at);
      const { text, value } = await jsonFile(file);
      const imported = await importValue(clientOf(options), path, text, value, waitHeaders(options));
      await printLine(options.json ? asJson(imported) : summary(imported));
    });
}

/** Reads what is there, and commits the difference on the condition that it is still there; begins anew where it is not. */
async function importValue(
  client: SiteClient,
  path: Path,
  text: string,
  value: unknown,
  headers: Record<string, string>,
): Promise<Imported> {
  const target = targetOf('data', path);
  for (let round = 1; ; round++) {
    try {
      tellProgress(`reading what ${client.url.origin} has …`);
      const present = await readPresent(client, target);
      if (present === undefined) {
        tellProgress(`sending ${Buffer.byteLength(text)} bytes …`);
        const whole = { ...headers, 'Content-Type': 'application/json', 'If-None-Match': '*' };
        const answer = await client.write(target, { method: 'PUT', headers: whole, body: text });
        return { answer, added: 1, replaced: 0, removed: 0 };
      }
      const { operations, ...counts } = differenceOf(present.value, value);
      if (operations.length === 0) return { answer: undefined, ...counts };
      tellProgress(`sending ${operations.length} operations …`);
      const patch = { ...headers, 'Content-Type': 'application/json-patch+json', 'If-Match': present.etag };
      return { answer: await client.write(target, { method: 'PATCH', headers: patch, body: JSON.stringify(operations) }), ...counts };
    } catch (error) {
      if (!isEvertreeError(error, 'POSITION_MISMATCH') || round === ROUNDS) throw error;
      tellProgress('somebody else wrote there meanwhile; once more …');
    }
  }
}

async function readPresent(client: SiteClient, target: string): Promise<{ value: unknown; etag: string } | undefined> {
  try {
    const response = await client.request(target);
    return { value: await response.json(), etag: response.headers.get('etag') ?? '*' };
  } catch (error) {
    if (isEvertreeError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

function summary({ answer, added, replaced, removed }: Imported): string {
  if (answer === undefined) return 'nothing differs; nothing was committed';
  return `${formatPosition(answer.position)}: ${added} added, ${replaced} replaced, ${removed} removed`;
}

function asJson({ answer, ...counts }: Imported): string {
  return JSON.stringify({ position: answer?.position ?? null, acknowledged: answer?.acknowledged ?? null, ...counts });
}
