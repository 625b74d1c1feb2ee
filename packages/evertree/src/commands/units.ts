const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `12.3 kB` */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `850 ms`, `12.3 s`, `4 min`, `3.5 h`, `2 d` */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${trim(milliseconds / 1_000)} s`;
  if (milliseconds < 3_600_000) return `${trim(milliseconds / 60_000)} min`;
  return milliseconds < 172_800_000 ? `${trim(milliseconds / 3_600_000)} h` : `${trim(milliseconds / 86_400_000)} d`;
}

/** `1,234,567` */
export function formatCount(value: number): string {
  return value.toLocaleString('en');
}

function trim(value: number): string {
  return value < 100 ? String(Number(value.toPrecision(3))) : String(Math.round(value));
}

/** `1 object`, `1,234 objects` */
export function count(number: number, what: string): string {
  return `${formatCount(number)} ${what}${number === 1 ? '' : 's'}`;
}
