/** What a figure has to reach, and what it should reach. */
export interface Floor {
  readonly relation: '≥' | '≤';
  readonly value: number;
  readonly aim?: number;
}

/** One line of the table. */
export interface Figure {
  /** Of its measure. */
  readonly measure: string;
  readonly title: string;
  readonly value: number;
  readonly unit: string;
  /** Absent where there is nothing to compare with: the figure is only reported. */
  readonly floor?: Floor;
  /** The figures behind it, and what a reader should know. */
  readonly detail: string;
}

export function passes({ value, floor }: Figure): boolean {
  if (floor === undefined) return true;
  return floor.relation === '≥' ? value >= floor.value : value <= floor.value;
}

/** @param aim what it should reach, where that is more than the floor; it never fails the bench */
export function atLeast(value: number, aim?: number): Floor {
  return { relation: '≥', value, ...(aim === undefined ? {} : { aim }) };
}

/** As `atLeast`, where less is better. */
export function atMost(value: number, aim?: number): Floor {
  return { relation: '≤', value, ...(aim === undefined ? {} : { aim }) };
}

/** Three digits that tell, with a suffix for thousands and millions. */
export function short(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (magnitude >= 1e5) return `${Math.round(value / 1e3)}k`;
  if (magnitude >= 1e3) return `${(value / 1e3).toPrecision(3)}k`;
  return magnitude >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
