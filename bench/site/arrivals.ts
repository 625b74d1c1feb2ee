import type { Store } from 'evertree';
import { now } from '../clock.ts';

/** When each of the revisions after `first` stood at this site: in its tree, or on its disk too. */
export function arrivals(store: Store, first: number, count: number, where: 'visible' | 'durable'): Promise<Float64Array> {
  const times = new Float64Array(count);
  let seen = first;
  return new Promise(resolve => {
    const look = (): void => {
      const { revision } = where === 'visible' ? store.position : store.stable.position;
      const time = now();
      for (; seen < revision && seen - first < count; seen++) times[seen - first] = time;
      if (seen - first < count) return;
      subscription[Symbol.dispose]();
      resolve(times);
    };
    const subscription = store.on(where === 'visible' ? 'advanced' : 'stable', look);
    look();
  });
}

/** When the site stood at `revision`: in its tree, or on its disk too. */
export function arrival(store: Store, revision: number, where: 'visible' | 'durable'): Promise<number> {
  const reached = () => (where === 'visible' ? store.position : store.stable.position).revision >= revision;
  return new Promise(resolve => {
    if (reached()) return resolve(now());
    const subscription = store.on(where === 'visible' ? 'advanced' : 'stable', () => {
      if (!reached()) return;
      subscription[Symbol.dispose]();
      resolve(now());
    });
  });
}
