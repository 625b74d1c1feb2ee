import { type Figure, type Floor, passes, short } from './figure.ts';

const HEADS = ['', 'figure', 'floor', 'aim', 'measure', 'made of'] as const;

/** The figures as a table: the figure first, its floor and its aim beside it. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map(cells);
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map(row => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return [line(HEADS), line(widths.map(width => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

/** One figure as a line of its own, for whoever looks on. */
export function tableLine(figure: Figure): string {
  const [judgement, value, floor, aim, title, detail] = cells(figure);
  const goals = [floor, aim === '' ? '' : `aim ${aim}`].filter(text => text !== '').join(', ');
  return `${judgement.padEnd(5)}  ${value}${goals === '' ? '' : ` (${goals})`}  ${title}: ${detail}`;
}

function cells(figure: Figure): [judgement: string, value: string, floor: string, aim: string, title: string, detail: string] {
  const { value, unit, floor, title, detail } = figure;
  return [verdict(figure), `${short(value)} ${unit}`, goal(floor, floor?.value), goal(floor, floor?.aim), title, detail];
}

function goal(floor: Floor | undefined, value: number | undefined): string {
  return floor === undefined || value === undefined ? '' : `${floor.relation} ${value}`;
}

function verdict(figure: Figure): string {
  if (figure.floor === undefined) return '';
  return passes(figure) ? 'ok' : 'BELOW';
}
