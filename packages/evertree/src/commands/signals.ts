import { closeSync, openSync } from 'node:fs';

/**
 * A runner of scripts passes Ctrl-C on, although the terminal has sent it already. Within this time a second signal is
 * that echo.
 */
const ECHO_MS = 1_000;

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export interface SignalHandlers {
  /** The first signal asks to stop, as does the end of the parent, if this process has a channel to one: it is told which. */
  readonly stop: (reason: string) => void;
  /** A second signal forces: then the process ends with 128 plus the signal's number, as shells expect. */
  readonly force?: () => void;
  /** What SIGHUP asks for, unless the terminal was closed, which sends it, too. Without it SIGHUP stops. */
  readonly reload?: () => void;
}

/** Handles SIGHUP, SIGINT and SIGTERM. */
export function onSignals({ stop, force, reload }: SignalHandlers): Disposable {
  const hadTerminal = hasTerminal();
  const isReload = (signal: string) => signal === 'SIGHUP' && askedAt === undefined && !(hadTerminal && !hasTerminal());
  let askedAt: number | undefined;
  const ask = (reason: string) => {
    if (askedAt === undefined) stop(reason);
    askedAt ??= performance.now();
  };
  const handlers = Object.entries(SIGNALS).map(([signal, status]) => {
    const handler = () => {
      if (reload !== undefined && isReload(signal)) return reload();
      if (askedAt === undefined || performance.now() - askedAt < ECHO_MS) return ask(signal);
      force?.();
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

/** Whether a terminal controls this process. When one is closed the kernel takes it away before it sends SIGHUP. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
