import { randomBytes } from 'node:crypto';
import { EvertreeError, formatPath, parsePath, type Path, type Snapshot, type TreeChange } from '@evertree/core';
import type { z } from 'zod';
import {
  checkRequestSchema,
  pathsSchema,
  pinRequestSchema,
  queriesSchema,
  repairSchema,
  WAIT_LIMIT_MS,
  writeAnswer,
} from '../comparison/messages.ts';
import { checked } from '../json/checked.ts';
import { optional } from '../optional.ts';
import { checkRepair, repair } from '../site/repair.ts';
import type { HttpContext } from './context.ts';
import { type Exchange, positionHeader } from './exchange.ts';
import { jsonSlices } from './json-slices.ts';
import { RequestError } from './problem.ts';
import type { Reading } from './stability.ts';
import { sendSlices } from './streaming.ts';

/** An answer ends when it has so many digests, or so many UTF-16 units of keys. It answers one query at least. */
const ANSWER_DIGESTS = 8_192;
const ANSWER_UNITS = 1024 * 1024;

/** A stable state that is held for a comparison. */
interface HeldState {
  readonly reading: Reading;
  /** When it is let go, however much it is used; on the monotonic clock. */
  readonly endsAt: number;
  unused: Disposable;
}

/**
 * The states that comparisons hold. Commits copy what a held state shares with the tree, so there are few of them, and
 * each ends when nobody has asked for a while.
 */
export class DigestPins {
  readonly #pins = new Map<string, HeldState>();
  /** Requests that are about to make a pin. */
  #coming = 0;

  /** POST /digests, /digests/<pin>, /digests/<pin>/values, /digests/<pin>/check */
  async post(exchange: Exchange): Promise<void> {
    exchange.refuseParameters();
    const [name, resource, ...rest] = segmentsOf(exchange);
    if (name === undefined) return this.#pin(exchange);
    if (rest.length > 0) throw nothingThere(exchange);
    const { snapshot } = this.#use(exchange.context, name);
    switch (resource) {
      case undefined:
        return answerQueries(exchange, snapshot);
      case 'values':
        return answerValues(exchange, snapshot);
      case 'check':
        return answerCheck(exchange, snapshot);
      default:
        throw nothingThere(exchange);
    }
  }

  /** DELETE /digests/<pin>: lets a state go. */
  delete(exchange: Exchange): void {
    exchange.refuseParameters();
    const [name, ...rest] = segmentsOf(exchange);
    if (name === undefined || rest.length > 0) throw nothingThere(exchange);
    if (!this.#drop(name)) throw noPin(name);
    exchange.response.writeHead(204).end();
  }

  [Symbol.dispose](): void {
    for (const name of this.#pins.keys()) this.#drop(name);
  }

  async #pin(exchange: Exchange): Promise<void> {
    const { context } = exchange;
    const { revision, waitMs } = checked(pinRequestSchema, await exchange.readJson(), 'the body');
    if (this.#pins.size + this.#coming >= context.limits.digestPins) {
      const message = `${context.limits.digestPins} states are held for comparisons, the limit; try again`;
      throw new RequestError('OVERLOADED', message, {}, { 'Retry-After': '5' });
    }
    this.#coming++;
    try {
      const reading = revision === undefined ? await context.stability.read() : await readAt(context, revision, waitMs ?? WAIT_LIMIT_MS);
      if (context.closing.aborted) {
        reading[Symbol.dispose]();
        throw new EvertreeError('CLOSED', 'the site is closing');
      }
      const { header } = reading.snapshot;
      exchange.answer(200, { pin: this.#hold(context, reading), header }, positionHeader(header.position));
    } finally {
      this.#coming--;
    }
  }

  #hold({ store: { clock }, limits }: HttpContext, reading: Reading): string {
    const name = randomBytes(8).toString('hex');
    const unused = clock.after(limits.digestPinMs, () => this.#drop(name));
    this.#pins.set(name, { reading, endsAt: clock.monotonic() + limits.pinnedMs, unused });
    return name;
  }

  /** Holds it for another while. */
  #use({ store: { clock }, limits }: HttpContext, name: string): Reading {
    const pin = this.#pins.get(name);
    if (pin === undefined) throw noPin(name);
    pin.unused[Symbol.dispose]();
    const leftMs = Math.max(0, pin.endsAt - clock.monotonic());
    pin.unused = clock.after(Math.min(limits.digestPinMs, leftMs), () => this.#drop(name));
    return pin.reading;
  }

  #drop(name: string): boolean {
    const pin = this.#pins.get(name);
    pin?.unused[Symbol.dispose]();
    pin?.reading[Symbol.dispose]();
    return this.#pins.delete(name);
  }
}

/**
 * The state at the first end of a frame that is not before a revision; without one in time, the present state. Two
 * sites that are asked for the same revision ahead give the same position, as frames are the same at all sites.
 */
async function readAt({ store, stability, closing }: HttpContext, revision: number, waitMs: number): Promise<Reading> {
  if (store.position.revision >= revision) return stability.read();
  const { promise, resolve } = Promise.withResolvers<Snapshot | undefined>();
  using waiting = new DisposableStack();
  const end = (snapshot?: Snapshot): void => {
    waiting.dispose();
    resolve(snapshot);
  };
  const stop = (): void => end();
  waiting.use(store.on('advanced', () => void (store.position.revision >= revision && end(store.snapshot()))));
  waiting.use(store.clock.after(waitMs, stop));
  waiting.defer(() => closing.removeEventListener('abort', stop));
  closing.addEventListener('abort', stop);
  const snapshot = await promise;
  if (snapshot === undefined) return stability.read();
  try {
    await stability.reached(snapshot.position);
  } catch (error) {
    snapshot.release();
    throw error;
  }
  return { snapshot, [Symbol.dispose]: () => snapshot.release() };
}

async function answerQueries(exchange: Exchange, snapshot: Snapshot): Promise<void> {
  const { queries } = checked(queriesSchema, await exchange.readJson(), 'the body');
  const answers: object[] = [];
  let digests = 0;
  let units = 0;
  for (const { path, group, after } of queries) {
    const steps = snapshot.answerDigestQuery({ path: parsePath(path), group, ...optional('after', after) });
    const answer = await exchange.context.turns.run(steps);
    answers.push(writeAnswer(answer));
    if ('groups' in answer) digests += answer.groups.length;
    else for (const { key } of answer.children) units += ((digests += 1), key.length);
    if (digests >= ANSWER_DIGESTS || units >= ANSWER_UNITS) break;
  }
  exchange.answer(200, { answers });
}

async function answerCheck(exchange: Exchange, snapshot: Snapshot): Promise<void> {
  checked(checkRequestSchema, await exchange.readJson(), 'the body');
  const { objects, damaged } = await exchange.context.turns.run(snapshot.checkDigests());
  exchange.answer(200, { objects, damaged: damaged.map(formatPath) });
}

async function answerValues(exchange: Exchange, snapshot: Snapshot): Promise<void> {
  const { paths } = checked(pathsSchema, await exchange.readJson(), 'the body');
  const parsed = paths.map(path => parsePath(path));
  const missing = parsed.findIndex(path => !snapshot.has(path));
  if (missing >= 0) throw new EvertreeError('NOT_FOUND', `nothing is at ${JSON.stringify(paths[missing])}`, { path: paths[missing] });
  await sendSlices(exchange, listSlices(snapshot, parsed), { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
}

function* listSlices(snapshot: Snapshot, paths: readonly Path[]): Generator<string> {
  for (const [index, path] of paths.entries()) {
    yield index === 0 ? '[' : ',';
    yield* jsonSlices(snapshot, path);
  }
  yield ']';
}

/** POST /admin/repair: makes a secondary's tree that of another site, by what differs between them. */
export async function postRepair(exchange: Exchange): Promise<void> {
  exchange.refuseParameters();
  const { site, store, report } = exchange.context;
  const { header, base, changes: written } = checked(repairSchema, await exchange.readJson(), 'the body');
  const changes = written.map(readChange);
  // What is refused is refused before anything is stopped.
  checkRepair(store, { header, base });
  await site.pauseFor(() => repair(store, { header, base, changes }));
  const { position, digest } = header;
  const message = `the tree was made that of another site at ${position.epoch}-${position.revision}: ${changes.length} subtrees differed`;
  report({ level: 'warn', event: 'repaired', message, details: { position, digest, changes: changes.length } });
  exchange.answer(200, { position, digest, changes: changes.length }, positionHeader(position));
}

function readChange(change: z.infer<typeof repairSchema>['changes'][number]): TreeChange {
  return change[0] === 'put' ? { path: parsePath(change[1]), value: change[2] } : { path: parsePath(change[1]) };
}

/** Of the path below `/digests`. */
function segmentsOf({ target }: Exchange): readonly string[] {
  return target.path.split('/').slice(2);
}

function nothingThere({ target }: Exchange): RequestError {
  return new RequestError('NOT_FOUND', `there is no ${JSON.stringify(target.path.slice(0, 200))} here; HTTP.md tells of /digests`);
}

function noPin(name: string): RequestError {
  const message = `no state is held as ${JSON.stringify(name.slice(0, 100))}: it was let go, or nobody asked for a while; begin anew with POST /digests`;
  return new RequestError('NOT_FOUND', message);
}
