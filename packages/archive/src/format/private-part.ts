import type { Opening, Sealing } from '../encryption/sealing.ts';
import { damagedObject } from './checked.ts';
import type { Private } from './manifest.ts';

/** What a line says of its site only to those who may read the archive. */
export interface PrivatePart {
  /** The name of the site. */
  readonly site: string;
}

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
  if (typeof sealed !== 'string') return checkPart(sealed, name);
  if (opening === undefined) return undefined;
  const plain = await opening.decrypt(Buffer.from(sealed, 'base64'), name);
  return checkPart(JSON.parse(plain.toString('utf8')), name);
}

function checkPart(part: unknown, name: string): PrivatePart {
  const site: unknown = typeof part === 'object' && part !== null && 'site' in part ? part.site : undefined;
  if (typeof site === 'string') return { site };
  throw damagedObject(name, '"private.site" is not a text', { key: 'private.site', value: site });
}
