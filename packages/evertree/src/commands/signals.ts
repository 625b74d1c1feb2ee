/**
 * A runner of scripts passes Ctrl-C on, although the terminal has sent it already. Within this time a second signal is
 * that echo.
 */
const ECHO_MS = 1_000;

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first SIGHUP, SIGINT or SIGTERM asks to stop; so does the end of the parent, if this process has a channel to
 * one. `stop` is told which. A second signal forces: `force` runs, and the process ends with 128 plus the signal's number, as shells expect.
 */
export function onStopSignals(stop: (reason: string) => void, force: () => void = () => undefined): Disposable {
  let askedAt: number | undefined;
  const ask = (reason: string) => {
    if (askedAt === undefined) stop(reason);
    askedAt ??= performance.now();
  };
  const handlers = Object.entries(SIGNALS).map(([signal, status]) => {
    const handler = () => {
      if (askedAt === undefined || performance.now() - askedAt < ECHO_MS) return ask(signal);
      force();
      process.exit(status);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  const leave = () => ask('the end of its parent');
  process.on('disconnect', leave);
  return {
    [Symbol.dispose]() {
      for (const { signal, handler } of handlers) process.off(signal, handler);
      process.off('disconnect', leave);
    },
  };
}
