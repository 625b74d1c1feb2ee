import type { Once } from './once.ts';
import type { Session } from './session.ts';
import { TailSearch } from './tail.ts';

/** So many records of somebody else's between two of ours are read; more are as good as frames. */
const LOOK_RECORDS = 256n;

/** How far another writer's frames go, as long as this process remembers: links come and go. */
export class ForeignFrames {
  #to: bigint | undefined;

  get to(): bigint | undefined {
    return this.#to;
  }

  saw(to: bigint): void {
    this.#to = to;
  }
}

/**
 * Looks at records that somebody else put between ours, and reports them. Frames among them put in doubt what the topic holds; anything
 * else only takes up room.
 * @returns whether there are frames among them
 */
export async function foreignFrames(session: Session, from: bigint, to: bigint, once: Once): Promise<boolean> {
  const { topic } = session.settings;
  const found = to - from > LOOK_RECORDS || (await holdsFrames(session, from, to));
  once.tell(found ? 'foreign frames' : 'foreign records', {
    level: 'warn',
    event: 'foreign-records',
    message: `somebody else writes ${found ? 'frames' : 'records'} into the topic ${topic}, at offset ${from}: it belongs to this primary alone, stop the other writer`,
    details: { topic, offset: from },
  });
  return found;
}

async function holdsFrames(session: Session, from: bigint, to: bigint): Promise<boolean> {
  const search = new TailSearch(from, to);
  do await session.scan(search);
  while (search.any === undefined && search.stepBack());
  return search.any !== undefined;
}
