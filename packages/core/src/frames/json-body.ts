import type { BodyWriter, EpochNote, FrameNote, MarkNote } from './body.ts';
import type { Handover } from '../position.ts';
import type { ChangeSet, Operation } from './change-set.ts';
import { exportValue } from '../tree/content.ts';
import { EvertreeError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';
import type { FrameHeader } from './frame.ts';
import type { Child, TreeNode } from '../tree/node.ts';
import { formatPath, parsePath, type Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/**
 * The JSON body, for people who read a topic or a journal with other tools:
 * `{"epoch":{"site":…,"reason":…},"changes":[{"time":…,"author":…,"message":…,"operations":[["put","/a/b",1],["delete","/c"]]}]}`
 * (`epoch` only in an epoch's first frame; in its place `"handover":{"to":…,"command":…}` in a handover frame, and
 * `"mark":{"name":…,"back":…,"removed":…}` in a mark frame; `author` and `message` only where given). FORMAT.md, «JSON
 * body», is normative.
 */
export interface JsonBody extends FrameNote {
  readonly changes: readonly JsonChangeSet[];
}

/** A note as the JSON has it, whatever the header says. */
type NoteOnPaper = { readonly [Name in keyof FrameNote]-?: FrameNote[Name] | undefined };

interface JsonChangeSet {
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly operations: readonly (readonly ['put', string, Value] | readonly ['delete', string])[];
}

export class JsonBodyWriter implements BodyWriter {
  readonly codec = 'json';
  length = 0;
  readonly keys = 0;
  #note = '';
  #changes: string[] = [];
  #head = '';
  #operations: string[] = [];
  #awaited = 0;

  epoch(note: EpochNote): void {
    this.#note = `"epoch":${JSON.stringify(note)},`;
  }

  handover(handover: Handover): void {
    this.#note = `"handover":${JSON.stringify(handover)},`;
  }

  mark({ name, back, removed }: MarkNote): void {
    this.#note = `"mark":${JSON.stringify({ name, back, removed })},`;
  }

  changeSet(time: number, author: string | undefined, message: string | undefined, operations: number): void {
    const head = JSON.stringify({ time, author, message });
    this.#head = `${head.slice(0, -1)},"operations":[`;
    this.#awaited = operations;
    if (operations === 0) this.#close();
  }

  operation(_trail: readonly TreeNode[], path: Path, child: Child | undefined): void {
    const operation = child === undefined ? ['delete', formatPath(path)] : ['put', formatPath(path), exportValue(child)];
    this.#operations.push(JSON.stringify(operation));
    if (--this.#awaited === 0) this.#close();
  }

  take(): Uint8Array {
    const body = Buffer.from(`{${this.#note}"changes":[${this.#changes.join(',')}]}`);
    this.#note = '';
    this.#changes = [];
    this.length = 0;
    return body;
  }

  #close(): void {
    const text = `${this.#head}${this.#operations.join(',')}]}`;
    this.#operations = [];
    this.#changes.push(text);
    this.length += text.length + 1;
  }
}

/**
 * @throws EvertreeError FORMAT_INVALID, also if the header announces another number of change sets, or an epoch, a
 *   handover or a mark without a note
 */
export function readJsonBody(body: Buffer, head: FrameHeader): { note: FrameNote | undefined; changeSets: ChangeSet[] } {
  try {
    const { epoch, handover, mark, changes } = parseJson(body.toString()) as JsonBody;
    const changeSets = changes.map((change, index) => readChangeSet(change, head.base.revision + index + 1));
    if (changeSets.length !== head.count) throw new Error(`it has ${changeSets.length} change sets, and its header says ${head.count}`);
    return { note: readNote(head, { epoch, handover, mark }), changeSets };
  } catch (error) {
    throw new EvertreeError('FORMAT_INVALID', "a frame's JSON body is not as FORMAT.md says", {}, error);
  }
}

function readNote(head: FrameHeader, { epoch, handover, mark }: NoteOnPaper): FrameNote | undefined {
  if (head.beginsEpoch) return readEpoch(epoch);
  if (head.endsEpoch) return readHandover(handover);
  return head.isMark ? readMark(mark) : undefined;
}

function readEpoch(epoch: EpochNote | undefined): FrameNote {
  if (typeof epoch?.site === 'string' && typeof epoch.reason === 'string') return { epoch: { site: epoch.site, reason: epoch.reason } };
  throw new Error('it begins an epoch and does not say by which site and for what reason');
}

function readHandover(handover: Handover | undefined): FrameNote {
  if (typeof handover?.to === 'string' && typeof handover.command === 'string') {
    return { handover: { to: handover.to, command: handover.command } };
  }
  throw new Error('it ends an epoch and does not say which site follows, and by which command');
}

function readMark(mark: MarkNote | undefined): FrameNote {
  const { name, back = -1, removed } = mark ?? {};
  if (typeof name === 'string' && Number.isSafeInteger(back) && back >= 0 && typeof removed === 'boolean') {
    return { mark: { name, back, removed } };
  }
  throw new Error('it is a mark frame and does not say which mark it sets or removes');
}

function readChangeSet(change: JsonChangeSet, revision: number): ChangeSet {
  const { time, author, message } = change;
  const operations = change.operations.map((operation): Operation => {
    const [type, pointer, value] = operation;
    const path = parsePath(pointer);
    if (type === 'put' && value !== undefined) return { type, path, value };
    if (type === 'delete') return { type, path };
    throw new EvertreeError('FORMAT_INVALID', `${JSON.stringify(type)} is no operation`);
  });
  return { revision, time, operations, ...(author === undefined ? {} : { author }), ...(message === undefined ? {} : { message }) };
}
