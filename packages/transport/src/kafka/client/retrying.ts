import { setTimeout as sleep } from 'node:timers/promises';

/** Between attempts at one thing; each pause is twice as long as the one before. */
export interface Pauses {
  /** Attempts after the first one. */
  readonly retries: number;
  readonly firstPauseMs: number;
  readonly mostPauseMs: number;
}

/** @param failed is told of each failure. @returns whether the next attempt may succeed */
export async function retrying<T>(work: () => Promise<T>, pauses: Pauses, failed: (error: unknown) => boolean): Promise<T> {
  const { retries, firstPauseMs, mostPauseMs } = pauses;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!failed(error) || attempt >= retries) throw error;
    }
    await sleep(Math.min(firstPauseMs * 2 ** attempt, mostPauseMs));
  }
}
