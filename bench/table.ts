import { type Figure, passes, short } from './figure.ts';

const HEADS = ['', 'figure', 'floor', 'measure', 'made of'] as const;

/** The figures as a table: the figure first, its floor beside it. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map(figure => [
    verdict(figure),
    `${short(figure.value)} ${figure.unit}`,
    figure.floor === undefined ? '' : `${figure.floor.relation} ${figure.floor.value}`,
    figure.title,
    figure.detail,
  ]);
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map(row => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return [line(HEADS), line(widths.map(width => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

function verdict(figure: Figure): string {
  if (figure.floor === undefined) return '';
  return passes(figure) ? 'ok' : 'BELOW';
}
