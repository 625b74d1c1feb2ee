import { FRAME_VERSION, type Obstacle, type TargetFacts, formatPosition } from '@evertree/core';
import { type Reach, reachOf, timeSync } from './probe.ts';
import { type RoleContext, describe } from './role-context.ts';

/** What the target of a switchover finds out about itself. */
export interface Examination {
  readonly obstacles: Obstacle[];
  /** How long one sync of its disk takes. */
  readonly syncMs: number;
  readonly facts: TargetFacts;
}

/**
 * What stands in the way of this site's taking over, and what its primary has to know to judge the rest.
 * @param from the primary that asks
 */
export async function examineTarget(context: RoleContext, from: string): Promise<Examination> {
  const { store, factory, program } = context;
  const obstacles: Obstacle[] = [];
  const { site, standing, state, position } = store;
  if (factory.primary === undefined) {
    const text = `${site} has no primary file: start it with one (--standby-config)`;
    obstacles.push({ code: 'no-primary-file', text });
  }
  if (standing !== 'secondary') {
    obstacles.push({ code: 'not-secondary', text: `${site} is ${standing}, and only a secondary takes over: name another one` });
  }
  if (state !== 'open') obstacles.push({ code: 'storage', text: store.stateReason?.message ?? `the storage of ${site} is ${state}` });
  const { sites: reaches, unreached, logs } = await examineReach(context, from, obstacles);
  // Those that were dialled have told what they know, too.
  const higher = Math.max(store.fencedBy?.number ?? 0, store.heardEpochs.number);
  if (higher > position.epoch) {
    const text = `${site} knows of epoch ${higher}, above that of ${formatPosition(position)}: a promotion was begun; finish it`;
    obstacles.push({ code: 'higher-epoch', text });
  }
  const syncMs = await examineDisk(context, obstacles);
  return { obstacles, syncMs, facts: { program, frameVersion: FRAME_VERSION, reaches, unreached, logs } };
}

/** Dials as the primary file says. The old primary answers at its port in every standing, so it has to answer now. */
async function examineReach(
  { store, factory, limits }: RoleContext,
  from: string,
  obstacles: Obstacle[],
): Promise<Reach & Pick<TargetFacts, 'logs'>> {
  try {
    const transports = (await factory.dial?.()) ?? [];
    const direct = transports.filter(({ farEnd }) => farEnd.kind === 'site');
    const logs = transports.flatMap(({ farEnd }) => (farEnd.kind === 'log' ? [farEnd.name] : []));
    const reach = await reachOf(direct, store, limits.silentMs);
    // The old primary may read a log, too: whether it does only its own file says.
    if (direct.length > 0 && logs.length === 0 && !reach.sites.includes(from)) {
      const others = reach.sites.length === 0 ? '' : `; it reaches ${reach.sites.join(', ')}`;
      const failures = reach.unreached.length === 0 ? '' : `: ${reach.unreached.join('; ')}`;
      const text = `${store.site} does not reach ${from} at any address of its primary file${failures}${others}; correct that file`;
      obstacles.push({ code: 'primary-unreachable', text });
    }
    return { ...reach, logs };
  } catch (error) {
    obstacles.push({
      code: 'primary-file',
      text: `${store.site} can't dial as its primary file says: ${describe(error)}; correct that file, and start ${store.site} again`,
    });
    return { sites: [], unreached: [], logs: [] };
  }
}

const MEBIBYTE = 1024 * 1024;

/** @returns how long one sync took; 0 where the disk takes none */
async function examineDisk({ store, limits }: RoleContext, obstacles: Obstacle[]): Promise<number> {
  const { site } = store;
  try {
    const freeBytes = await store.journal.retention.freeBytes();
    if (freeBytes !== undefined && freeBytes < limits.roomBytes) {
      const text =
        `the disk of ${site} has ${(freeBytes / MEBIBYTE).toFixed(1)} MiB free, and a primary starts with at least ` +
        `${(limits.roomBytes / MEBIBYTE).toFixed(1)} MiB: make room on it, else its writes would soon stop`;
      obstacles.push({ code: 'little-room', text });
    }
    return await timeSync(store);
  } catch (error) {
    obstacles.push({
      code: 'storage',
      text: `the disk of ${site} can't be written to: ${describe(error)}; mend it, and start ${site} again`,
    });
    return 0;
  }
}
