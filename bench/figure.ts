/** One line of the table. */
export interface Figure {
  /** Of its measure. */
  readonly measure: string;
  readonly title: string;
  readonly value: number;
  readonly unit: string;
  /** Absent where there is nothing to compare with: the figure is only reported. */
  readonly floor?: { readonly relation: '≥' | '≤'; readonly value: number };
  /** The figures behind it, and what a reader should know. */
  readonly detail: string;
}

export function passes({ value, floor }: Figure): boolean {
  if (floor === undefined) return true;
  return floor.relation === '≥' ? value >= floor.value : value <= floor.value;
}

export function atLeast(value: number): NonNullable<Figure['floor']> {
  return { relation: '≥', value };
}

export function atMost(value: number): NonNullable<Figure['floor']> {
  return { relation: '≤', value };
}

/** Three digits that tell, with a suffix for thousands and millions. */
export function short(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (magnitude >= 1e5) return `${Math.round(value / 1e3)}k`;
  if (magnitude >= 1e3) return `${(value / 1e3).toPrecision(3)}k`;
  return magnitude >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
