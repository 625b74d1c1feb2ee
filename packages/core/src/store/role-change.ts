import { EvertreeError } from '../errors.ts';
import type { Journal } from '../seams/journal.ts';
import { formatPosition, type Position } from '../position.ts';

/**
 * Records that a site is a secondary from now on.
 * @throws EvertreeError WRONG_ROLE when it has commits of its own
 */
export async function changeToSecondary(journal: Journal, position: Position): Promise<void> {
  const { site, role } = journal.identity;
  if (role === 'secondary') return;
  if (position.revision > 0) {
    const own = `the site ${site} is a primary with commits of its own (${formatPosition(position)})`;
    throw new EvertreeError('WRONG_ROLE', `${own}; a secondary starts with an empty directory`);
  }
  await journal.identity.setRole('secondary');
}

/** @throws EvertreeError WRONG_ROLE at a primary: its history has one writer, itself */
export function assertSecondary({ identity: { site, role } }: Journal): void {
  if (role === 'secondary') return;
  throw new EvertreeError('WRONG_ROLE', `the site ${site} is a primary: it takes nothing of another's history`);
}
