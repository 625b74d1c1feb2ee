import type { Exchange } from './exchange.ts';

/** What a watch waits for between frames: progress of the journal, its client's end, the server's end, or a heartbeat that is due. */
export class Wake implements Disposable {
  readonly #exchange: Exchange;
  readonly #onProgress: Disposable;
  readonly #wake = (): void => {
    this.#woken = true;
    this.#resolve();
  };
  #woken = false;
  #resolve: () => void = () => undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#onProgress = exchange.context.store.journal.log.onProgress(this.#wake);
    exchange.response.on('close', this.#wake);
    exchange.context.closing.addEventListener('abort', this.#wake);
  }

  /** Whether there is nobody left to wait for. */
  get ended(): boolean {
    return this.#exchange.response.destroyed || this.#exchange.context.closing.aborted;
  }

  /** What happened so far is known; `wait` is for what happens from now on. */
  clear(): void {
    this.#woken = false;
  }

  async wait(timeoutMs: number): Promise<void> {
    if (this.#woken || this.ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#onProgress[Symbol.dispose]();
    this.#exchange.response.off('close', this.#wake);
    this.#exchange.context.closing.removeEventListener('abort', this.#wake);
  }
}
