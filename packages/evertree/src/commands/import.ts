import { EvertreeError, type ErrorCode, type Path, formatPosition, isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import { jsonFile, pathArgument } from './arguments.ts';
import { type DifferenceOperation, differenceOf } from '../json/difference.ts';
import { patchParts } from '../json/patch-parts.ts';
import { type WriteOptions, clientOf, writeHeaders, withWrite } from './options.ts';
import { type SiteClient, type WriteAnswer, targetOf } from '../client/site-client.ts';
import { ProgressLine, printError, printLine, tellProgress } from './terminal.ts';
import { count, formatBytes } from './units.ts';
import { type WholeTreeOptions, confirmWholeTree, withYes } from './whole-tree.ts';

/** How often an import reads the subtree anew: another client may write to it meanwhile. */
const ROUNDS = 5;
/** The size of a part, at first, when the site does not take an import as one transaction. */
const PART_BYTES = 8 * 1024 * 1024;
const LEAST_PART_BYTES = 1024;

/** The codes with which a site refuses a patch after another client wrote to its subtree. */
const OVERTAKEN: ReadonlySet<string> = new Set(['POSITION_MISMATCH', 'NOT_FOUND', 'PATH_INVALID', 'TEST_FAILED'] satisfies ErrorCode[]);

interface ImportOptions extends WriteOptions, WholeTreeOptions {
  readonly at: string;
}

export function addImport(program: Command): void {
  withYes(withWrite(program.command('import <file>')))
    .summary('make the tree, or a subtree, equal to a JSON file')
    .description(
      'Makes the tree, or the subtree at a path, equal to a JSON file (- for the standard input). Only what differs is committed, as one transaction. If that is larger than the site allows ("http-body-bytes" and "change-set-bytes" of its "limits"), it goes in parts, each one transaction: readers may see some parts before the others. After an interruption, run the same import again: it commits what still differs.',
    )
    .option('--at <path>', 'the subtree that the file stands for', '')
    .addHelpText('after', '\nExamples:\n  evertree import inventory.json\n  evertree import r1.json --at /devices/r1')
    .action(async (file: string, options: ImportOptions) => {
      const path = pathArgument(options.at);
      const { text, value } = await jsonFile(file);
      const imported = await new Import(clientOf(options), path, { text, value }, options).run();
      await printLine(options.json ? JSON.stringify(imported) : importSummary(imported));
    });
}

/**
 * Makes what stands at a path of a site equal to a document, in one commit.
 * @throws EvertreeError TOO_LARGE if the site does not take it as one
 */
export function importWhole(
  client: SiteClient,
  path: Path,
  document: { readonly text: string; readonly value: unknown },
  options: WriteOptions & WholeTreeOptions,
): Promise<Imported> {
  return new Import(client, path, document, options, true).run();
}

export interface Imported {
  /** The position of the last commit; null when nothing differed. */
  readonly position: WriteAnswer['position'] | null;
  readonly acknowledged: number | null;
  readonly added: number;
  readonly replaced: number;
  readonly removed: number;
  readonly transactions: number;
}

/**
 * Reads the subtree and commits its difference from the document, on the condition that the subtree is still the same;
 * begins anew if it is not. In parts there is no such condition: the subtree is read again when all are sent.
 */
class Import {
  readonly #client: SiteClient;
  readonly #path: Path;
  readonly #target: string;
  readonly #document: { readonly text: string; readonly value: unknown };
  readonly #options: WriteOptions & WholeTreeOptions;
  /** It is one transaction, or none. */
  readonly #isOne: boolean;
  /** The size of a part; undefined while the import goes as one transaction. */
  #partBytes: number | undefined;
  #last: WriteAnswer | undefined;
  #transactions = 0;
  #counts: { readonly added: number; readonly replaced: number; readonly removed: number } | undefined;

  constructor(
    client: SiteClient,
    path: Path,
    document: { readonly text: string; readonly value: unknown },
    options: WriteOptions & WholeTreeOptions,
    isOne = false,
  ) {
    this.#isOne = isOne;
    this.#client = client;
    this.#path = path;
    this.#target = targetOf('data', path);
    this.#document = document;
    this.#options = options;
  }

  async run(): Promise<Imported> {
    for (let round = 1; ; round++) {
      try {
        if (await this.#round()) break;
      } catch (error) {
        if (isEvertreeError(error, 'TOO_LARGE') && !this.#isOne && this.#takeSmallerParts(error)) round = 0;
        else if (!isEvertreeError(error) || !OVERTAKEN.has(error.code) || round >= ROUNDS) throw this.#withProgress(error);
        else tellProgress('another client wrote there meanwhile; trying again …');
      }
    }
    const counts = this.#counts ?? { added: 0, replaced: 0, removed: 0 };
    const { position = null, acknowledged = null } = this.#last ?? {};
    return { position, acknowledged, ...counts, transactions: this.#transactions };
  }

  /** @returns whether the subtree is now equal to the document */
  async #round(): Promise<boolean> {
    tellProgress(`reading what ${this.#client.url.origin} has …`);
    const present = await this.#readPresent();
    if (present === undefined) return this.#putAbsent();
    const { operations, ...counts } = differenceOf(present.value, this.#document.value);
    this.#counts ??= counts;
    if (operations.length === 0) return true;
    if (this.#path.length === 0 && removesAll(operations, present.value)) {
      await confirmWholeTree(this.#client, 'replaces', this.#options);
    }
    if (this.#partBytes === undefined) {
      tellProgress(`sending ${count(operations.length, 'operation')} …`);
      await this.#write('PATCH', JSON.stringify(operations), { 'If-Match': present.etag });
      return true;
    }
    await this.#sendParts(operations, this.#partBytes);
    // Other clients may have written between the parts: the next round sends what still differs.
    return false;
  }

  async #readPresent(): Promise<{ readonly value: unknown; readonly etag: string } | undefined> {
    try {
      const answer = await this.#client.request(this.#target);
      return { value: await answer.json(), etag: answer.header('etag') ?? '*' };
    } catch (error) {
      if (isEvertreeError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /**
   * Nothing is there: puts the document as it stands or, when it goes in parts, an empty object that the parts fill.
   */
  async #putAbsent(): Promise<boolean> {
    const { text } = this.#document;
    this.#counts ??= { added: 1, replaced: 0, removed: 0 };
    const body = this.#partBytes === undefined ? text : '{}';
    tellProgress(`sending ${formatBytes(Buffer.byteLength(body))} …`);
    await this.#write('PUT', body, { 'If-None-Match': '*' });
    return body === text;
  }

  async #sendParts(operations: readonly DifferenceOperation[], partBytes: number): Promise<void> {
    const totalBytes = Buffer.byteLength(JSON.stringify(operations));
    const progress = new ProgressLine('sent', totalBytes);
    let sentBytes = 0;
    for (const body of patchParts(operations, partBytes)) {
      await this.#write('PATCH', body, {});
      sentBytes += Buffer.byteLength(body);
      progress.show(sentBytes);
    }
    progress.end();
  }

  async #write(method: 'PUT' | 'PATCH', body: string, conditions: Readonly<Record<string, string>>): Promise<void> {
    const type = method === 'PUT' ? 'application/json' : 'application/json-patch+json';
    const headers = { ...writeHeaders(this.#options), 'Content-Type': type, ...conditions };
    this.#last = await this.#client.write(this.#target, { method, headers, body });
    this.#transactions++;
  }

  /** Called when the site refused something as too large. @returns false when the parts can't get smaller */
  #takeSmallerParts({ details }: EvertreeError): boolean {
    const { limitBytes, path } = details;
    const isFirst = this.#partBytes === undefined;
    const most = typeof limitBytes === 'number' && isFirst ? Math.min(limitBytes, PART_BYTES) : PART_BYTES;
    const partBytes = this.#partBytes === undefined ? most : Math.floor(this.#partBytes / 2);
    // The error that names a path is our own: a value that can't be cut is too large for smaller parts as well.
    if (partBytes < LEAST_PART_BYTES || (!isFirst && path !== undefined)) return false;
    this.#partBytes = partBytes;
    if (isFirst) {
      const limit = typeof limitBytes === 'number' ? ` (its limit is ${formatBytes(limitBytes)})` : '';
      printError(
        `the site does not take this as one transaction${limit}; it goes in parts of ${formatBytes(partBytes)}, each one transaction: ` +
          'readers may see some before the others; after an interruption, run the same command again',
      );
    }
    return true;
  }

  /** Adds to an error how much of the import is committed. */
  #withProgress(error: unknown): unknown {
    if (this.#transactions === 0 || !isEvertreeError(error)) return error;
    const n = this.#transactions;
    const stands = `${n} transaction${n > 1 ? 's' : ''} of this import ${n > 1 ? 'are' : 'is'} committed; the same command commits what still differs`;
    return new EvertreeError(error.code, `${error.message}; ${stands}`, error.details, error);
  }
}

/** Whether the operations remove every key at the top, or replace the root. */
function removesAll(operations: readonly DifferenceOperation[], present: unknown): boolean {
  const keys = Object.keys(typeof present === 'object' && present !== null ? present : {});
  const removed = operations.filter(({ op, path }) => op === 'remove' && path.lastIndexOf('/') === 0);
  return keys.length > 0 && (removed.length === keys.length || operations.some(({ path }) => path === ''));
}

export function importSummary({ position, added, replaced, removed, transactions }: Imported): string {
  if (position === null) return 'nothing differs; nothing was committed';
  const parts = transactions > 1 ? `, in ${transactions} transactions` : '';
  return `${formatPosition(position)}: ${added} added, ${replaced} replaced, ${removed} removed${parts}`;
}
