/** Bounds of a store. Each has a stated behaviour at it. */
export interface StoreLimits {
  /** Bytes of commits that may wait for the disk in memory; beyond, `transact` itself writes and syncs before it returns. */
  readonly pendingBytes: number;
  /** Bytes of a frame's body at which it is cut, at the latest. */
  readonly frameBytes: number;
  /** Bytes of one change set, nearly; beyond, the transaction throws TOO_LARGE. */
  readonly changeSetBytes: number;
  /** Batches that may wait for one listener; beyond, the waiting ones are merged into one. */
  readonly listenerBatches: number;
}

const DEFAULTS: StoreLimits = Object.freeze({
  pendingBytes: 64 * 1024 * 1024,
  frameBytes: 128 * 1024,
  changeSetBytes: 64 * 1024 * 1024,
  listenerBatches: 1_000,
});

export function resolveStoreLimits(limits: Partial<StoreLimits> = {}): StoreLimits {
  return Object.freeze({ ...DEFAULTS, ...limits });
}
