/** Names that are suggested at most. */
const MOST_NEAR = 3;

/** The names that somebody who wrote `wrong` may have meant, the likeliest first. */
export function nearNames(wrong: string, names: readonly string[]): string[] {
  const limit = Math.max(1, Math.floor(wrong.length / 3));
  const judged = names.map(name => ({ name, distance: distanceOf(wrong.toLowerCase(), name.toLowerCase(), limit) }));
  const near = judged.filter(({ name, distance }) => distance <= limit || (wrong.length > 1 && name.includes(wrong)));
  return near
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, MOST_NEAR)
    .map(({ name }) => name);
}

/** Characters to insert, remove or replace; above `limit` the result only says that it is above. */
function distanceOf(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
