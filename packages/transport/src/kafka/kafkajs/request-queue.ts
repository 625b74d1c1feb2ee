import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';

const mended = new WeakSet<object>();

/**
 * Mends kafkajs 2.2.4 where its queue of requests sets a timer for a time that is past (its issue 1751).
 *
 * With nothing pending, `scheduleCheckPendingRequests` wants to look at the queue in `throttledUntil - now`
 * milliseconds, which is below zero: Node 24 warns of it in the terminal and takes 1 ms, and as each look asks for the
 * next one, every idle connection wakes the process a thousand times a second. Without anything pending there is
 * nothing to look for, and `push` asks again when there is. package.json pins the version.
 */
export function mendRequestQueue(): void {
  const { prototype } = RequestQueue;
  if (mended.has(prototype)) return;
  mended.add(prototype);
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function scheduleWhenPending() {
    if (this.pending.length > 0) schedule.call(this);
  };
}
