import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8's own factor. */
const GROWTH_FACTOR = 2;
/** In percent of what a collection leaves. */
const HELD_PERCENT = 40;
/** V8 decides by itself. */
const FREE_PERCENT = 0;
/** A heap of more bytes is not collected: that takes some time for each mebibyte, and others may be in the process. */
const COLLECTED_BYTES = 64 * 1024 * 1024;

let held = 0;

/**
 * Keeps V8's heap small until it is disposed of. The space for young objects does not grow: what applying frames leaves
 * there is garbage at once, so that a larger space only holds more of it. And the heap is collected when it has grown by
 * 40 %. First goes what the start of the program left, where that is little: only then does V8 make the young space
 * small again. A restore of 1,000,000 leaves and changes takes 30 MiB less so, and 0.2 s longer.
 */
export function keepHeapSmall(): Disposable {
  if (held++ === 0) {
    setFlagsFromString('--semi-space-growth-factor=1');
    setFlagsFromString(`--heap-growing-percent=${HELD_PERCENT}`);
    if (getHeapStatistics().used_heap_size <= COLLECTED_BYTES) collect();
  }
  return {
    [Symbol.dispose]() {
      if (--held > 0) return;
      setFlagsFromString(`--semi-space-growth-factor=${GROWTH_FACTOR}`);
      setFlagsFromString(`--heap-growing-percent=${FREE_PERCENT}`);
    },
  };
}

/** As V8 does when memory runs out: no other way makes the young space small. It is found only in a new context. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as NodeJS.GCFunction;
  setFlagsFromString('--no-expose-gc');
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
