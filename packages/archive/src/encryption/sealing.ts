import type { Identities } from './identities.ts';
import type { Recipients } from './recipients.ts';

/** How whoever writes to an archive seals what he writes. Nobody gets `plain` by leaving something out. */
export type Sealing = Recipients | 'plain';

/** How whoever reads opens it; undefined where no identity was given. */
export type Opening = Identities | undefined;
