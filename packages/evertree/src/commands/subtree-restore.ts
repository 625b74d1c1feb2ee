import type { ArchivedSubtree } from '@evertree/archive';
import { EvertreeError, formatPath, type Path, SnapshotNode, type Value } from '@evertree/core';
import { contentSlices } from '../http/json-slices.ts';
import { optional } from '../optional.ts';
import { nodeRandom } from '../site/machine.ts';
import { pathArgument } from './arguments.ts';
import { importSummary, importWhole } from './import.ts';
import { type ClientOptions, clientOf, type NoteOptions } from './options.ts';
import { commandClock, type IdentityOptions, identitiesOf, openTargetOf, type TargetOptions } from './target-options.ts';
import { print, printLine, tellNote, tellWarnings, WorkProgress } from './terminal.ts';
import { formatBytes } from './units.ts';
import { writeWholeFile } from './whole-file.ts';

/** The options of a restore of one subtree. */
export interface SubtreeRestoreOptions extends TargetOptions, IdentityOptions, NoteOptions, Omit<ClientOptions, 'url'> {
  readonly to?: string;
  readonly line?: string;
  readonly without?: readonly string[];
  readonly output?: string;
  readonly into?: string;
  readonly at?: string;
  readonly yes?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

/** Brings one subtree of an archived state back: prints it, writes it to a file, or commits it at a running site. */
export async function restoreSubtree(target: string, pointer: string, options: SubtreeRestoreOptions): Promise<void> {
  const path = pathArgument(pointer);
  const { output, into, json, dryRun } = options;
  const at = options.at === undefined ? path : pathArgument(options.at);
  const { plan, content } = await readSubtree(target, path, options);
  const where = `${JSON.stringify(formatPath(path))} at ${plan.taken}`;
  if (content === undefined) throw new EvertreeError('NOT_FOUND', `nothing stood at ${where}`, { path: formatPath(path) });
  if (dryRun === true) {
    const bytes = bytesOf(content);
    const goes =
      into === undefined
        ? output === undefined
          ? 'print'
          : `write to ${output}`
        : `make one commit of ${into}, at ${JSON.stringify(formatPath(at))}, of`;
    const { position, time, line } = plan;
    const told = { path: formatPath(path), position, time, line, bytes };
    return printLine(json ? JSON.stringify(told) : `would ${goes} ${formatBytes(bytes)}: ${where}; nothing was changed`);
  }
  if (into !== undefined) return putInto(into, at, content, where, options);
  await writeDocument(content, output);
  const proof = plan.digest === undefined || path.length > 0 ? 'each frame compared' : `digest ${plan.digest}`;
  if (json && output !== undefined) {
    const { position, time, line } = plan;
    await printLine(JSON.stringify({ path: formatPath(path), position, time, line, output }));
  } else {
    tellNote(`${where}, ${proof}`);
  }
}

async function readSubtree(target: string, path: Path, options: SubtreeRestoreOptions): Promise<ArchivedSubtree> {
  const { readArchivedSubtree } = await import('@evertree/archive');
  const { to, line, without } = options;
  const progress = new WorkProgress('read', options.json === true && options.output !== undefined);
  const identities = await identitiesOf(options);
  await using opened = await openTargetOf(target, options);
  const state = { ...optional('to', to), ...optional('line', line), ...optional('without', without) };
  try {
    return await readArchivedSubtree(path, {
      target: opened,
      identities,
      clock: commandClock,
      random: nodeRandom,
      report: tellWarnings,
      ...state,
      progress: progress.tell,
    });
  } finally {
    progress.end();
  }
}

function bytesOf(content: SnapshotNode | Value): number {
  let bytes = 1;
  for (const slice of contentSlices(content)) bytes += Buffer.byteLength(slice);
  return bytes;
}

/** Prints the document, or writes it to a file, whole or not at all. */
async function writeDocument(content: SnapshotNode | Value, output: string | undefined): Promise<void> {
  if (output !== undefined) return writeWholeFile(output, documentOf(content));
  for (const slice of documentOf(content)) await print(slice);
}

function* documentOf(content: SnapshotNode | Value): Generator<string> {
  yield* contentSlices(content);
  yield '\n';
}

async function putInto(url: string, at: Path, content: SnapshotNode | Value, where: string, options: SubtreeRestoreOptions): Promise<void> {
  const value = content instanceof SnapshotNode ? content.value() : content;
  const message = options.message ?? `restored ${where}`;
  const text = [...contentSlices(content)].join('');
  const imported = await importWhole(clientOf({ ...options, url }), at, { text, value }, { ...options, url, message });
  await printLine(options.json ? JSON.stringify(imported) : importSummary(imported));
}
