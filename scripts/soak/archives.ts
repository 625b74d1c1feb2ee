import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ExactPosition, type Store, initArchive, isEvertreeError, openStore, parseWhen, restore, verifyArchive } from 'evertree';
import type { Chance } from '../../test/simulation/chance.ts';
import { IDENTITY, OTHER_IDENTITY, OTHER_RECIPIENT, RECIPIENT } from '../../test/support/archived-history.ts';
import { type Ids, type Past, differenceOf, idsOf } from './past.ts';

interface SoakArchive {
  readonly target: string;
  readonly identity: string;
}

/** What the checks found. */
interface KnownPast {
  readonly past: Past | undefined;
  stateAt(position: ExactPosition): Ids | undefined;
}

interface RestoredState extends AsyncDisposable {
  readonly position: ExactPosition;
  readonly store: Store;
}

const FINDINGS_SHOWN = 8;
const UNKNOWN_STATE = ['NOT_FOUND', 'COMPACTED', 'POSITION_MISMATCH', 'HISTORY_MISMATCH'] as const;
const KEYS = [
  { identity: IDENTITY, recipient: RECIPIENT },
  { identity: OTHER_IDENTITY, recipient: OTHER_RECIPIENT },
] as const;

/** The archives of a run, each encrypted for another identity than the one before. Sites write to the last one, and catch up from it. */
export class SoakArchives {
  readonly #folder: string;
  readonly #made: SoakArchive[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the next archive, for another identity, as people do who rotate it. Resolves with the section of a site's file. */
  async rotate(): Promise<object> {
    const name = `archive-${this.#made.length + 1}`;
    const [target, recipients, file] = [name, `${name}.recipients`, `${name}.identity`].map(each => join(this.#folder, each)) as [
      string,
      string,
      string,
    ];
    const { identity, recipient } = KEYS[this.#made.length % KEYS.length]!;
    await initArchive(target, { recipients: [recipient] });
    await writeFile(recipients, `${recipient}\n`);
    await writeFile(file, `${identity}\n`, { mode: 0o600 });
    this.#made.push({ target, identity });
    return { target, recipients, every: '50ms', 'catch-up-from': target, 'identity-file': file };
  }

  /** No site runs any more: each archive is sound, and gives back the newest state, and one at random, as they were. */
  async check(known: KnownPast, chance: Chance, fault: (what: string) => void): Promise<void> {
    const commits = known.past?.commits ?? [];
    const moment = commits[chance.below(commits.length)]?.position;
    for (const { target, identity } of this.#made) {
      const { passed, findings } = await verifyArchive(target, { identities: [identity], level: 2 });
      if (!passed) fault(`${target} is not sound: ${JSON.stringify(findings.slice(0, FINDINGS_SHOWN))}`);
      for (const to of new Set([undefined, moment])) {
        await using restored = await restoredState({ target, identity }, to);
        const expected = restored && known.stateAt(restored.position);
        if (restored === undefined || expected === undefined) continue;
        const difference = differenceOf(idsOf(restored.store.get('/k')), expected);
        if (difference !== undefined) fault(`${target} gives back a wrong state of ${to ?? 'the end'}: ${difference}`);
      }
    }
  }
}

/** Undefined where the archive does not have the state: it begins with its first site, may have gaps, and may end before. */
async function restoredState({ target, identity }: SoakArchive, to: string | undefined): Promise<RestoredState | undefined> {
  const data = `${target}-restored`;
  try {
    const when = to === undefined ? {} : { to: parseWhen(to, Date.now()) };
    const { plan } = await restore(target, { data, identities: [identity], ...when });
    const store = await openStore({ data });
    const end = () => store.close().then(() => rm(data, { recursive: true }));
    return { position: plan.position, store, [Symbol.asyncDispose]: end };
  } catch (error) {
    if (UNKNOWN_STATE.some(code => isEvertreeError(error, code))) return undefined;
    throw error;
  }
}
