import pico from 'picocolors';

/** One thing that `check-config --connect` found at the far end. */
export interface Finding {
  /**
   * `refused`: a site with this file would not work. `failed`: the far end could not be asked. `warning`: the site
   * works, but something may be lost or missed.
   */
  readonly level: 'refused' | 'failed' | 'warning' | 'note';
  /** The topic, the group, the address or the archive that it is about. */
  readonly subject: string;
  readonly message: string;
  /** The command or the setting that mends it. */
  readonly remedy: string | null;
}

const COLOURS = { refused: pico.red, failed: pico.red, warning: pico.yellow, note: (text: string) => text } as const;

/** `file: warning: topic devices has …`; the remedy has a line of its own, so that it can be copied. */
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
