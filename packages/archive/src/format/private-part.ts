import type { Opening, Sealing } from '../encryption/sealing.ts';
import { z } from 'zod';
import { checkValue, damagedObject, parseChecked } from './checked.ts';
import type { Private } from './manifest.ts';

/** What a line says of its site only to those who may read the archive. */
export interface PrivatePart {
  /** The name of the site. */
  readonly site: string;
}

/** A name is printed, and becomes that of a restored site: the rule is that of a hello. */
const SITE_LIMIT_BYTES = 255;
const SCHEMA = z.strictObject({
  site: z
    .string()
    .min(1)
    .refine(text => Buffer.byteLength(text) <= SITE_LIMIT_BYTES, `must have at most ${SITE_LIMIT_BYTES} bytes`)
    .refine(text => !/\p{Cc}/u.test(text), 'must have no control characters'),
});

export async function sealPrivate(part: PrivatePart, sealing: Sealing): Promise<Private> {
  if (sealing === 'plain') return { site: part.site };
  const sealed = await sealing.encrypt(Buffer.from(JSON.stringify({ site: part.site }), 'utf8'));
  return sealed.toString('base64');
}

export interface PrivateOpening {
  /** Of the archive: what is not encrypted is not taken then. */
  readonly isEncrypted: boolean;
  readonly opening: Opening;
  /** What it is in, for errors. */
  readonly name: string;
}

/**
 * @returns undefined where it is encrypted and no identity was given
 * @throws EvertreeError DAMAGED, IDENTITY_NEEDED
 */
export async function openPrivate(sealed: Private, { isEncrypted, opening, name }: PrivateOpening): Promise<PrivatePart | undefined> {
  if (typeof sealed !== 'string') {
    if (isEncrypted) throw damagedObject(name, 'the name of a site in it is not encrypted, and the archive is');
    return checkValue(SCHEMA, sealed, name);
  }
  if (opening === undefined) return undefined;
  const plain = await opening.decrypt(Buffer.from(sealed, 'base64'), name);
  return parseChecked(SCHEMA, plain.toString('utf8'), name);
}
