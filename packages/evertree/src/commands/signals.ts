const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The first SIGINT or SIGTERM, or the end of the parent where this process has a channel to one, asks to stop. A second one forces: `force`
 * runs, and the process ends with 130 or 143 as shells expect.
 */
export function onStopSignals(stop: () => void, force: () => void = () => undefined): Disposable {
  let asked = false;
  const ask = () => {
    if (!asked) stop();
    asked = true;
  };
  const handlers = Object.entries(SIGNALS).map(([signal, status]) => {
    const handler = () => {
      if (!asked) return ask();
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
