import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  EvertreeError,
  formatPosition,
  isEvertreeError,
  type Commit,
  type Position,
  type Store,
  type WriteDestination,
} from '@evertree/core';
import type { HttpLimits } from './limits.ts';
import { ClientGone, RequestError } from './problem.ts';
import type { RequestTarget } from './target.ts';

/** What of a request's exchange is needed to hold it, and to send it elsewhere. */
interface HeldRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: RequestTarget;
  readonly context: { readonly closing: AbortSignal };
}

type HoldLimits = Pick<HttpLimits, 'heldWrites' | 'heldBytes' | 'heldMs'>;

/**
 * Decides whether a write may begin.
 * - While a switchover is under way a write is held, before anything of it is committed, until it is decided where
 *   writes go.
 * - A site whose configuration says `"on-timeout": "refuse"` takes no further writes over HTTP while a commit of its own
 *   is not acknowledged by as many secondaries as configured.
 */
export class WriteAdmission {
  readonly #store: Store;
  readonly #limits: HoldLimits;
  /** Whether a change of roles is under way. */
  readonly #isSwitching: () => boolean;
  /** The last commit that too few secondaries acknowledged in time; undefined as soon as enough of them hold it. */
  #overdue: { readonly commit: Commit; readonly secondaries: number } | undefined;
  /** Writes that are held, and the bytes of their bodies. Never above the limits. */
  #held = 0;
  #heldBytes = 0;

  constructor(store: Store, limits: HoldLimits, isSwitching: () => boolean) {
    this.#store = store;
    this.#limits = limits;
    this.#isSwitching = isSwitching;
  }

  /** The position that the secondaries have to reach before further writes are taken. */
  get overdue(): Position | undefined {
    return this.#overdue?.commit.position;
  }

  get held(): number {
    return this.#held;
  }

  /**
   * Undefined: the write may begin in this very step. A promise: ask again when it resolves.
   * @param begun whether a part of the request is committed: then it can't be sent elsewhere as a whole
   * @throws RequestError NOT_ACKNOWLEDGED, SWITCHING, both with Retry-After; the promise rejects with NOT_PRIMARY where
   *   another site has become the primary: a redirect if its address is known
   */
  wait(exchange: HeldRequest, begun = false): Promise<void> | undefined {
    if (this.#store.state === 'refusing' && this.#isDeciding) return this.#hold(exchange, begun);
    this.#checkOverdue();
    return undefined;
  }

  /** Refuses further writes until so many secondaries hold this commit. */
  refuseUntil(commit: Commit, secondaries: number): void {
    const before = this.#overdue;
    // Several writes may wait at one time; the last of them stands for all.
    if (before !== undefined && before.commit.position.revision >= commit.position.revision) return;
    const overdue = { commit, secondaries };
    this.#overdue = overdue;
    const settled = (): void => {
      if (this.#overdue === overdue) this.#overdue = undefined;
    };
    // It fails when the site is closed or another site has become the primary: both refuse writes for their own reasons.
    void commit.acknowledged(secondaries).then(settled, settled);
  }

  /**
   * It is, or is about to be, decided where writes go. A primary that handed over is fenced by its successor's epoch
   * before it follows: meanwhile writes go to the successor, too. Any other fence is an error of its own.
   */
  get #isDeciding(): boolean {
    const { stateReason } = this.#store;
    if (!isEvertreeError(stateReason)) return false;
    if (stateReason.code !== 'FENCED') return stateReason.code === 'SWITCHING';
    return stateReason.details['primary'] !== undefined || this.#isSwitching();
  }

  #checkOverdue(): void {
    if (this.#overdue === undefined) return;
    const { commit, secondaries } = this.#overdue;
    const message =
      `${formatPosition(commit.position)} stands, but fewer than ${secondaries} of the secondaries hold it; ` +
      'this site takes no further writes until they do ("on-timeout": "refuse")';
    throw new RequestError('NOT_ACKNOWLEDGED', message, { position: commit.position, secondaries }, { 'Retry-After': '1' });
  }

  async #hold(exchange: HeldRequest, begun: boolean): Promise<void> {
    const bytes = Number(exchange.request.headers['content-length'] ?? 0);
    const { heldWrites, heldBytes } = this.#limits;
    if (this.#held >= heldWrites || this.#heldBytes + bytes > heldBytes) {
      throw tryLater(`${heldWrites} writes or ${heldBytes} bytes of them are held already, the limit`);
    }
    this.#held++;
    this.#heldBytes += bytes;
    try {
      const destination = await this.#decided(exchange);
      if (destination.kind === 'elsewhere') throw elsewhere(this.#store.site, exchange, destination, begun);
    } finally {
      this.#held--;
      this.#heldBytes -= bytes;
    }
  }

  /** @throws RequestError SWITCHING when it takes too long; ClientGone; EvertreeError CLOSED when the server closes */
  async #decided(exchange: HeldRequest): Promise<WriteDestination> {
    const { response, context } = exchange;
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const onGone = (): void => reject(new ClientGone());
    const onClosing = (): void => reject(new EvertreeError('CLOSED', 'the site is closing'));
    const timer = this.#store.clock.after(this.#limits.heldMs, () => {
      reject(tryLater(`it was held for ${this.#limits.heldMs / 1000} s, the limit`));
    });
    response.once('close', onGone);
    context.closing.addEventListener('abort', onClosing);
    try {
      return await Promise.race([this.#store.writable(), ended]);
    } finally {
      timer[Symbol.dispose]();
      response.off('close', onGone);
      context.closing.removeEventListener('abort', onClosing);
    }
  }
}

function tryLater(why: string): RequestError {
  const message = `roles are being switched, and this write was not committed: ${why}; send it again`;
  return new RequestError('SWITCHING', message, {}, { 'Retry-After': '1' });
}

function elsewhere(
  here: string,
  { request, target }: HeldRequest,
  { site, address, epoch, position }: Extract<WriteDestination, { readonly kind: 'elsewhere' }>,
  begun: boolean,
): RequestError {
  const { revision } = position;
  const primary = {
    site,
    epoch: epoch.number,
    position: { epoch: position.epoch, revision },
    ...(address === undefined ? {} : { address }),
  };
  const message = `${here} has handed over: this write was not committed; send it to the primary`;
  if (address === undefined || begun) return new RequestError('NOT_PRIMARY', message, { primary });
  // A target in absolute form names this site.
  const path = request.url?.startsWith('/') === true ? request.url : target.path;
  return new RequestError('NOT_PRIMARY', message, { primary }, { Location: address + path }, REDIRECTED);
}

/** 307: the same method and body, elsewhere. */
const REDIRECTED = 307;
