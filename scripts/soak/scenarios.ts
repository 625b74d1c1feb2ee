import { fileURLToPath } from 'node:url';
import type { Setting } from './sites.ts';
import type { StepName } from './steps.ts';

export interface Scenario extends Setting {
  /** What it is about, for `--help`. */
  readonly about: string;
  /** Sites may be promoted without their primary: then commits may be left behind, and are kept. */
  readonly mayDiverge: boolean;
  /** The usual bound of a value; some are larger. */
  readonly valueBytes: number;
  /** How long steps are taken until the next check. */
  readonly roundMs: number;
  /** How often each step comes, beside the others. */
  readonly weights: Readonly<Partial<Record<StepName, number>>>;
}

const KIB = 1024;
const HOST = fileURLToPath(new URL('./host.ts', import.meta.url));
/** Small files, so that a short run has many segments and snapshots. */
const JOURNAL = { 'segment-bytes': 64 * KIB, 'snapshot-bytes': 128 * KIB };
/** History for some seconds, with values of up to 30 KB: sites that are away for longer miss what is deleted. */
const TIGHT_JOURNAL = {
  'segment-bytes': 256 * KIB,
  'snapshot-bytes': 1024 * KIB,
  'retention-max-bytes': 4096 * KIB,
  'retention-rewind-ms': 1_000,
};

const FAULTS = { kill: 3, killAll: 1, killAsItStarts: 2, stop: 1, hold: 2, part: 2, cut: 3, slow: 1, heal: 6, snapshot: 1 };
const SWAPS = { ...FAULTS, switchover: 10, switchoverKill: 10 };
const RIVALS = { ...FAULTS, part: 8, promote: 8, promoteTwo: 3, promoteKill: 4, switchover: 2, switchoverKill: 1, repair: 4, replay: 1 };

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  swaps: {
    about: 'two sites, switchovers and faults: nothing is ever left behind',
    names: ['north', 'south'],
    journal: JOURNAL,
    valueBytes: 200,
    roundMs: 20_000,
    mayDiverge: false,
    weights: SWAPS,
  },
  rivals: {
    about: 'three sites, promoted beside each other while the network is parted',
    names: ['north', 'south', 'west'],
    journal: JOURNAL,
    valueBytes: 200,
    roundMs: 20_000,
    mayDiverge: true,
    weights: RIVALS,
  },
  retention: {
    about: 'as rivals, and the history that a site missed is deleted',
    names: ['north', 'south', 'west'],
    journal: TIGHT_JOURNAL,
    valueBytes: 30_000,
    roundMs: 10_000,
    mayDiverge: true,
    weights: RIVALS,
  },
  archive: {
    about: 'as retention, and all archive into one place, from which they catch up',
    names: ['north', 'south', 'west'],
    journal: TIGHT_JOURNAL,
    archives: true,
    valueBytes: 30_000,
    roundMs: 10_000,
    mayDiverge: true,
    weights: { ...RIVALS, rotateArchive: 1 },
  },
  library: {
    about: 'as swaps, in processes that embed the library, write and listen themselves',
    names: ['north', 'south'],
    program: HOST,
    journal: JOURNAL,
    valueBytes: 200,
    roundMs: 20_000,
    mayDiverge: false,
    weights: SWAPS,
  },
};
