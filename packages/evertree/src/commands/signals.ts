/**
 * A runner of scripts passes Ctrl-C on, although the terminal has sent it already. Within this time a second signal is
 * that echo.
 */
const ECHO_MS = 1_000;

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first SIGHUP, SIGINT or SIGTERM asks to stop; so does the end of the parent, if this process has a channel to
 * one. A second signal forces: `force` runs, and the process ends with 128 plus the signal's number, as shells expect.
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
