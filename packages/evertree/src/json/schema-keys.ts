import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';

/** A name is near another if changing a third of its characters, or two, makes it the other. */
const NEAR_SHARE = 1 / 3;
const NEAR_CHARACTERS = 2;

/** The nearest of the known names, if one is near enough to have been meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const best = closest(name.toLowerCase(), known);
  const allowed = Math.max(NEAR_CHARACTERS, Math.floor(best.length * NEAR_SHARE));
  return distance(name.toLowerCase(), best) <= allowed ? best : undefined;
}

/** So many names are offered at most. */
const OFFERED = 4;

/**
 * What to write in place of a name that is not known: the nearest one, or else those that have all words of the name, and
 * all that are known.
 */
export function remedyFor(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  const alike = namesWithWords(name, known).map(each => `"${each}"`);
  const question = alike.length === 0 ? '' : `did you mean ${alike.join(' or ')}? `;
  return `${question}known here: ${known.map(each => `"${each}"`).join(', ') || 'nothing'}`;
}

/** The known names that have all words of a name. */
export function namesWithWords(name: string, known: readonly string[]): readonly string[] {
  const words = wordsOf(name);
  return known.filter(each => words.every(word => wordsOf(each).includes(word))).slice(0, OFFERED);
}

function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[-._\s]+/)
    .filter(word => word !== '');
}

/** The keys that an object at the place may have. */
export function keysAt(schema: z.ZodType, place: readonly (string | number)[]): string[] {
  let candidates = alternatives(schema);
  for (const step of place) {
    candidates = candidates.flatMap(candidate => {
      if (candidate instanceof z.ZodObject && typeof step === 'string') {
        const child = (candidate.shape as Record<string, z.ZodType>)[step];
        return child === undefined ? [] : alternatives(child);
      }
      return candidate instanceof z.ZodArray && typeof step === 'number' ? alternatives(candidate.element as z.ZodType) : [];
    });
  }
  return candidates.flatMap(candidate => (candidate instanceof z.ZodObject ? Object.keys(candidate.shape) : []));
}

/** The schemas of a union, or the one that there is. */
export function alternatives(schema: z.ZodType): z.ZodType[] {
  if (schema instanceof z.ZodOptional) return alternatives(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodUnion) return (schema.options as z.ZodType[]).flatMap(alternatives);
  return [schema];
}
