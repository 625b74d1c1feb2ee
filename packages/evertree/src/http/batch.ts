import type { Commit, CommitOptions, Position, PreparedTransaction, Store } from '@evertree/core';
import { commitLine, type LongLine, readLongLine } from './batch-line.ts';
import { bodyChunks, ONE_STEP_BYTES, readInSteps, tooLarge, welcomeBody } from './body.ts';
import { type CommitNote, commitNote } from './commit-note.ts';
import { FORM_TYPE } from './data.ts';
import type { Exchange } from './exchange.ts';
import { checkSeenEpoch, mediaType, readTreeConditions } from './headers.ts';
import { Lines } from './lines.ts';
import { isExpected, RequestError, type ExpectedError } from './problem.ts';
import { readPlainPut, type PlainPut } from './plain-line.ts';
import type { Turns } from './turns.ts';
import { positionAfter, prepare, readWish, settle, type Made, type Settled, type Wish } from './write.ts';

const BATCH_TYPES = [
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/json',
  'application/octet-stream',
  'text/plain',
  FORM_TYPE,
];

/** How much of the body is committed in one step: some 200 short lines. A chunk of 64 KiB of merges took 45 ms. */
const STEP_BYTES = 8 * 1024;

/**
 * POST /batch: newline-delimited operations, committed line by line as they arrive, with one wait for stable storage at
 * the end.
 */
export async function postBatch(exchange: Exchange): Promise<void> {
  const { context, request } = exchange;
  exchange.refuseParameters();
  const type = mediaType(request.headers);
  if (type !== undefined && !BATCH_TYPES.includes(type)) {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', `the body is ${type}; a batch is application/x-ndjson`);
  }
  const conditions = readTreeConditions(request.headers, 'a batch');
  const wish = readWish(exchange);
  checkSeenEpoch(conditions, context.store.position);
  const batch = new BatchRun(context.store, conditions.position, commitNote(exchange));
  const error = await commitBody(exchange, batch);
  await answer(exchange, batch, error, wish);
}

/**
 * Waits until the committed lines, and the state that an error tells of, are stable. Then it answers, whether or not a
 * line failed.
 */
async function answer(exchange: Exchange, batch: BatchRun, error: ExpectedError | undefined, wish: Wish): Promise<void> {
  const { committed, line } = batch;
  // At the top, too: an error of a line's JSON has a line of its own there, which is always the first.
  const stopped = error === undefined ? {} : { line, error: { ...error.details, line, code: error.code, detail: error.message } };
  let settled: Settled;
  try {
    settled = await settle(exchange.context, error === undefined ? batch.made() : batch.seen(), wish);
  } catch (failure) {
    if (!isExpected(failure)) throw failure;
    exchange.refuse(failure, { committed, ...stopped });
    return;
  }
  if (error === undefined) {
    exchange.answer(200, { committed, ...settled.body }, settled.headers);
    return;
  }
  exchange.response.setHeaders(new Map(Object.entries(settled.headers)));
  exchange.refuse(error, { committed, ...settled.body, ...stopped });
}

/** What became of the lines so far. */
class BatchRun {
  readonly #store: Store;
  #ifPosition: Position | undefined;
  /** Of every line. */
  readonly #note: CommitNote;
  #last: Commit | undefined;
  readonly #plain: PlainPut = { path: [], value: 0 };
  /** Lines that were committed. */
  committed = 0;
  /** The line that is being read, from 1. */
  line = 1;

  /** @param ifPosition the position that the tree must have before the first line */
  constructor(store: Store, ifPosition: Position | undefined, note: CommitNote) {
    this.#store = store;
    this.#ifPosition = ifPosition;
    this.#note = note;
  }

  /** @throws EvertreeError when the line is not committed */
  commit(text: string): void {
    if (text !== '' && (text.charCodeAt(0) > SPACE || text.trim() !== '')) {
      this.#committed(commitLine(this.#store, text, this.#options()));
    } else {
      this.line++;
    }
  }

  /**
   * Commits the line that begins at `start` if it is a plain one. @returns where the next begins. Throws as `commit`
   */
  commitPlain(bytes: Buffer, start: number): number | undefined {
    const next = readPlainPut(bytes, start, this.#plain);
    if (next !== undefined) this.#committed(this.#store.put(this.#plain.path, this.#plain.value, this.#options()));
    return next;
  }

  #options(): CommitOptions {
    return this.#ifPosition === undefined ? this.#note : { ...this.#note, ifPosition: this.#ifPosition };
  }

  #committed(commit: Commit): void {
    this.#last = commit;
    this.#ifPosition = undefined;
    this.committed++;
    this.line++;
  }

  /** Commits a long line, in steps. @param run runs it ahead. Throws as `commit` */
  async commitLong(bytes: Buffer, turns: Turns, run: (line: LongLine) => Promise<PreparedTransaction>): Promise<void> {
    // Blanks alone, or a byte order mark: what a short line does with it takes one step.
    if (!beginsInAscii(bytes)) return this.commit(bytes.toString('utf8'));
    const { value, hints } = await readInSteps(bytes, [], turns);
    const prepared = await run(await turns.run(readLongLine(value, hints)));
    this.#committed(this.#store.commitPrepared(prepared, this.#options()));
  }

  /** The last line's commit, with its position: others may have committed since. */
  made(): Made {
    const { position } = this.#store;
    return { position: this.#last === undefined ? position : positionAfter(this.#last, position), commit: this.#last };
  }

  /** The last line's commit, and the position of the state that an error tells of. */
  seen(): Made {
    return { position: this.#store.position, commit: this.#last };
  }
}

const SPACE = 32;
const LAST_ASCII = 127;

/** Whether the first byte that is no blank, or another control character, is ASCII. */
function beginsInAscii(line: Buffer): boolean {
  let first = 0;
  while (first < line.length && line[first]! <= SPACE) first++;
  return first < line.length && line[first]! <= LAST_ASCII;
}

/**
 * Reads the body to its end, or up to the first line that fails: that error is returned and not thrown, because the
 * lines before it are committed.
 */
async function commitBody(exchange: Exchange, batch: BatchRun): Promise<ExpectedError | undefined> {
  const { request, response } = exchange;
  const { turns, limits, admission, bodies } = exchange.context;
  const { batchBytes, batchLineBytes } = limits;
  welcomeBody(request, response, batchBytes);
  const lines = new Lines(
    batchLineBytes,
    line => batch.commit(line),
    (bytes, start) => batch.commitPlain(bytes, start),
    {
      bytes: ONE_STEP_BYTES,
      take: line =>
        batch.commitLong(line, turns, async ({ path, steps }) => {
          await mayBegin();
          const prepared = await prepare(exchange.context, path, steps);
          await mayBegin();
          return prepared;
        }),
    },
  );
  // While it waits nothing is committed, so that what a step holds is committed whole, or not at all. A long line is read
  // and prepared for some turns, and asks for itself.
  const mayBegin = async () => {
    for (
      let wait = admission.wait(exchange, batch.committed > 0);
      wait !== undefined;
      wait = admission.wait(exchange, batch.committed > 0)
    ) {
      await wait;
    }
  };
  // A long line counts among the bodies until it is committed. Short ones are bounded by the number of connections.
  using held = bodies.hold();
  const hold = (lineBytes: number) => held.become(lineBytes > ONE_STEP_BYTES ? lineBytes : 0);
  let bytes = 0;
  try {
    for await (const chunk of bodyChunks(request)) {
      bytes += chunk.length;
      if (bytes > batchBytes) throw tooLarge(batchBytes);
      for (let start = 0; start < chunk.length; start += STEP_BYTES) {
        const step = chunk.subarray(start, start + STEP_BYTES);
        await mayBegin();
        hold(lines.begunBytes + step.length);
        await lines.add(step);
        hold(lines.begunBytes);
        await turns.breathe();
      }
    }
    await mayBegin();
    await lines.finish();
    return undefined;
  } catch (error) {
    if (isExpected(error)) return error;
    throw error;
  }
}
