import { type Figure, passes, short } from './figure.ts';

/** What a reader has to do something about: what was missed, what failed, and what could not run. */
export interface Shortfalls {
  readonly figures: readonly Figure[];
  readonly failures: readonly { readonly measure: string; readonly error: string }[];
  /** Why a measure was left out, or a contestant was missing, and what helps. */
  readonly omissions: readonly Omission[];
  /** The command without the measures, as `pnpm bench --quick`. */
  readonly command: string;
}

export interface Omission {
  readonly measures: readonly string[];
  readonly reason: string;
}

/** Nothing if all is well. Each line names the command that runs its measure alone. */
export function summary({ figures, failures, omissions, command }: Shortfalls): string {
  const alone = (measures: readonly string[]) => `\n    ${command} --only ${measures.join(',')}\n`;
  const missed = figures
    .filter(figure => !passes(figure))
    .map(({ measure, title, value, unit, floor }) => {
      const goal = `${floor?.relation} ${floor?.value}`;
      return `MISSED ${title}: ${short(value)} ${unit}, not ${goal}${alone([measure])}`;
    });
  const failed = failures.map(({ measure, error }) => `FAILED ${measure}: ${error}${alone([measure])}`);
  const unmeasured = figures
    .filter(({ value }) => Number.isNaN(value))
    .map(({ measure, title, detail }) => `NOT MEASURED ${title}: ${detail}${alone([measure])}`);
  const omitted = omissions.map(({ measures, reason }) => `NOT MEASURED ${measures.join(', ')}: ${reason}${alone(measures)}`);
  return [...missed, ...failed, ...unmeasured, ...omitted].join('');
}
