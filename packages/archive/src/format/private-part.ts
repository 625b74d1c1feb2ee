import type { Opening, Sealing } from '../encryption/sealing.ts';
import { z } from 'zod';
import { parseChecked } from './checked.ts';
import type { Private } from './manifest.ts';

/** What a line says of its site only to those who may read the archive. */
export interface PrivatePart {
  /** The name of the site. */
  readonly site: string;
}

const SCHEMA = z.strictObject({ site: z.string() });

export async function sealPrivate(part: PrivatePart, sealing: Sealing): Promise<Private> {
  if (sealing === 'plain') return { site: part.site };
  const sealed = await sealing.encrypt(Buffer.from(JSON.stringify({ site: part.site }), 'utf8'));
  return sealed.toString('base64');
}

/**
 * @returns undefined where it is encrypted and no identity was given
 * @throws EvertreeError DAMAGED, IDENTITY_NEEDED
 */
export async function openPrivate(sealed: Private, opening: Opening, name: string): Promise<PrivatePart | undefined> {
  if (typeof sealed !== 'string') return parseChecked(SCHEMA, JSON.stringify(sealed), name);
  if (opening === undefined) return undefined;
  const plain = await opening.decrypt(Buffer.from(sealed, 'base64'), name);
  return parseChecked(SCHEMA, plain.toString('utf8'), name);
}
