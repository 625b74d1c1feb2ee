import pico from 'picocolors';

/** What `check-config --connect` found on the other side. */
export interface Finding {
  /** `refused`: a site would not work so. `failed`: it could not be asked. `warning`: it works, and something may be lost or missed. */
  readonly level: 'refused' | 'failed' | 'warning' | 'note';
  /** A topic, a group, an address. */
  readonly subject: string;
  readonly message: string;
  /** The command or the setting that mends it. */
  readonly remedy: string | null;
}

const COLOURS = { refused: pico.red, failed: pico.red, warning: pico.yellow, note: (text: string) => text } as const;

/** `file: warning: topic devices has …` and the remedy in a line of its own, to be copied. */
export function findingText(file: string, { level, subject, message, remedy }: Finding): string {
  const line = `${file}: ${COLOURS[level](level)}: ${subject} ${message}`;
  return remedy === null ? line : `${line}\n    ${remedy}`;
}

export function refused(subject: string, message: string, remedy: string | null = null): Finding {
  return { level: 'refused', subject, message, remedy };
}

export function failed(subject: string, message: string, remedy: string | null = null): Finding {
  return { level: 'failed', subject, message, remedy };
}

export function warning(subject: string, message: string, remedy: string | null = null): Finding {
  return { level: 'warning', subject, message, remedy };
}

export function note(subject: string, message: string, remedy: string | null = null): Finding {
  return { level: 'note', subject, message, remedy };
}
