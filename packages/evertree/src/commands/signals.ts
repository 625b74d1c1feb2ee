/** Ctrl-C comes twice where a runner of scripts passes on what the terminal has sent already; within this time it counts once. */
const ECHO_MS = 1_000;

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first SIGHUP, SIGINT or SIGTERM, or the end of the parent where this process has a channel to one, asks to stop. A second one forces: `force`
 * runs, and the process ends with 128 and its number, as shells expect.
 */
export function onStopSignals(stop: () => void, force: () => void = () => undefined): Disposable {
  let askedAt: number | undefined;
  const ask = () => {
    if (askedAt === undefined) stop();
    askedAt ??= performance.now();
  };
  const handlers = Object.entries(SIGNALS).map(([signal, status]) => {
    const handler = () => {
      if (askedAt === undefined || performance.now() - askedAt < ECHO_MS) return ask();
      force();
      process.exit(status);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  process.on('disconnect', ask);
  return {
    [Symbol.dispose]() {
      for (const { signal, handler } of handlers) process.off(signal, handler);
      process.off('disconnect', ask);
    },
  };
}
