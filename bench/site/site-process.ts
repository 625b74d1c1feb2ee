import { Worker } from '../worker.ts';
import type { SiteTasks } from './tasks.ts';

const CHILD = new URL('./child.ts', import.meta.url);

/** A site in a process of its own. */
export class SiteProcess extends Worker<SiteTasks> {
  /** @param flags Node's own */
  constructor(flags: readonly string[] = []) {
    super(CHILD, flags);
  }
}
