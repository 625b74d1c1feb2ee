import {
  formatPath,
  formatPattern,
  formatPosition,
  hasWildcard,
  isEvertreeError,
  ORIGIN,
  parsePosition,
  positionAt,
  samePosition,
  Signal,
  type ExactPosition,
  type Path,
  type Pattern,
  type Position,
  type Snapshot,
  type Store,
} from '@evertree/core';
import { EventStream, formatEvent } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import { FrameEvents } from './frame-events.ts';
import { checkAcceptable } from './headers.ts';
import { whenOf } from './parameters.ts';
import { contentSlices, jsonSlices } from './json-slices.ts';
import { matchesOf, targetPattern } from './watch-pattern.ts';
import type { Turns } from './turns.ts';
import { plainPosition } from './write.ts';

/** Why a watch can't go on from its client's position. */
type ResetReason = 'compacted' | 'beyond' | 'beside' | 'invalid';

/** The watches of one server. */
export class Watches {
  readonly #frames: FrameEvents;

  constructor(turns: Turns) {
    this.#frames = new FrameEvents(turns);
  }

  /**
   * GET /watch/<pointer>, with `?from=` the history from there on before what comes. Ends with the client, or when the
   * server closes.
   */
  async serve(exchange: Exchange): Promise<void> {
    const { request, context } = exchange;
    checkAcceptable(request.headers, 'text/event-stream');
    const pattern = targetPattern(exchange.target);
    const lastEventId = request.headers['last-event-id'];
    await context.streams.during(async () => {
      const begin = typeof lastEventId === 'string' ? undefined : await beginOf(exchange);
      const stream = new WatchStream(exchange, pattern, this.#frames);
      await stream.run(typeof lastEventId === 'string' ? lastEventId : undefined, begin);
      exchange.response.end();
    });
  }
}

/** The position that `?from=` names. Throws as HistoryQuestions.resolve, before the answer begins. */
async function beginOf({ target, context }: Exchange): Promise<ExactPosition | undefined> {
  const from = target.parameters.get('from');
  if (from === undefined) return undefined;
  return (await context.history.resolve(whenOf('from', from, context.store.clock.now()))).position;
}

/** One client that watches. Its buffer is the journal: it reads on when the client has taken what came before. */
class WatchStream {
  readonly #exchange: Exchange;
  readonly #store: Store;
  readonly #pattern: Pattern;
  readonly #frames: FrameEvents;
  readonly #events: EventStream;

  constructor(exchange: Exchange, pattern: Pattern, frames: FrameEvents) {
    this.#exchange = exchange;
    this.#store = exchange.context.store;
    this.#pattern = pattern;
    this.#frames = frames;
    this.#events = new EventStream(exchange);
  }

  /**
   * @param begin the position after which the changes are sent, instead of the state; for a client that does not resume
   * @throws ClientGone
   */
  async run(lastEventId: string | undefined, begin: ExactPosition | undefined): Promise<void> {
    let from = lastEventId === undefined ? begin : await this.#resume(lastEventId);
    // Moves the client's id to where it begins: a relative time would be another moment when it comes back.
    if (begin !== undefined) await this.#events.heartbeat(begin);
    for (;;) {
      from ??= await this.#sendState();
      try {
        await this.#follow(from);
        return;
      } catch (error) {
        // Retention has overtaken this client, or another history has replaced the one that it read.
        if (!isEvertreeError(error, 'COMPACTED') && !isEvertreeError(error, 'HISTORY_MISMATCH')) throw error;
        await this.#sendReset(error.code === 'COMPACTED' ? 'compacted' : 'beside', formatPosition(from));
        from = undefined;
      }
    }
  }

  async #resume(lastEventId: string): Promise<ExactPosition | undefined> {
    const found = resumePosition(this.#store, lastEventId);
    if (typeof found !== 'string') return found;
    await this.#sendReset(found, lastEventId);
    return undefined;
  }

  async #sendReset(reason: ResetReason, lastEventId: string): Promise<void> {
    await this.#events.write(formatEvent('reset', undefined, { reason, lastEventId }));
  }

  async #sendState(): Promise<ExactPosition> {
    using reading = await this.#exchange.context.stability.read();
    const { snapshot } = reading;
    await this.#events.writeSlices('state', snapshot.position, stateSlices(snapshot, this.#pattern));
    return snapshot.position;
  }

  /**
   * Sends each change set after `from` as it becomes stable, until the client or the server ends.
   * @throws EvertreeError COMPACTED, HISTORY_MISMATCH; ClientGone
   */
  async #follow(from: ExactPosition): Promise<void> {
    const { heartbeatMs } = this.#exchange.context.limits;
    using wake = new WatchWake(this.#exchange);
    const reader = this.#store.journal.log.read(await this.#boundary(from));
    let position: Position = from;
    try {
      while (!wake.ended) {
        wake.signal.clear();
        const stored = await reader.next();
        if (stored === undefined) {
          await wake.signal.waitAtMost(this.#store.clock, heartbeatMs);
        } else {
          // All watches wake at once, and each encodes or writes in its share of a turn.
          await this.#exchange.context.turns.join();
          const { frame } = stored;
          const isCut = frame.header.base.revision < from.revision;
          const events = isCut ? this.#frames.after(from.revision, frame, this.#pattern) : this.#frames.of(frame, this.#pattern);
          for (const piece of await events) {
            await this.#events.write(piece);
            await this.#exchange.context.turns.breathe();
          }
          position = frame.header.last;
        }
        if (this.#events.silenceMs >= heartbeatMs) await this.#events.heartbeat(position);
      }
    } finally {
      await reader.close();
    }
  }

  /**
   * The position from which to read what follows another one: a client's last event may lie in the middle of a frame.
   */
  async #boundary(position: ExactPosition): Promise<ExactPosition> {
    if (position.revision === ORIGIN.revision) return position;
    const frame = await this.#store.journal.log.find(position, { within: true });
    return frame === undefined || samePosition(frame.last, position) ? position : frame.base;
  }
}

/** Wakes a watch between two frames: at progress of the journal, and at the end of its client or of the server. */
class WatchWake implements Disposable {
  readonly signal = new Signal();
  readonly #exchange: Exchange;
  readonly #onProgress: Disposable;
  readonly #notify = (): void => this.signal.notify();

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#onProgress = exchange.context.store.journal.log.onProgress(this.#notify);
    exchange.response.on('close', this.#notify);
    exchange.context.closing.addEventListener('abort', this.#notify);
  }

  /** Whether there is nobody left to wait for. */
  get ended(): boolean {
    return this.#exchange.response.destroyed || this.#exchange.context.closing.aborted;
  }

  [Symbol.dispose](): void {
    this.#onProgress[Symbol.dispose]();
    this.#exchange.response.off('close', this.#notify);
    this.#exchange.context.closing.removeEventListener('abort', this.#notify);
  }
}

/** The data of a `state` event, in slices: what stands at a path, or at each path that matches a pattern. */
function* stateSlices(snapshot: Snapshot, pattern: Pattern): Generator<string> {
  const head = JSON.stringify({ position: plainPosition(snapshot.position), path: formatPattern(pattern) }).slice(0, -1);
  if (!hasWildcard(pattern)) {
    const path = pattern as Path;
    yield snapshot.has(path) ? `${head},"value":` : head;
    yield* jsonSlices(snapshot, path);
    yield '}';
    return;
  }
  yield `${head},"values":{`;
  let separator = '';
  for (const match of matchesOf(snapshot, pattern)) {
    if (match === undefined) {
      yield '';
      continue;
    }
    yield `${separator}${JSON.stringify(formatPath(match.path))}:`;
    yield* contentSlices(match.content);
    separator = ',';
  }
  yield '}}';
}

/** The exact position in this history that an event's id names, or why there is none. */
function resumePosition(store: Store, id: string): ExactPosition | ResetReason {
  const named = parsePosition(id);
  if (named === undefined) return 'invalid';
  const { epochs, stable } = store;
  const last = stable.position;
  const position = positionAt({ epochs, last }, named.revision);
  if (position?.epoch === named.epoch) return position;
  return named.epoch > last.epoch || (named.epoch === last.epoch && named.revision > last.revision) ? 'beyond' : 'beside';
}
