import { openJournal } from '@evertree/journal';
import { SimulatedDisk } from '../simulation/simulated-disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';
import { lastByte, newestSegment } from './journal-suite.ts';
import { testJournal } from './journal.ts';

/** The simulation's disk under a journal: what the process hears of a write comes late now and then, in any order. */
testJournal(
  'on a simulated disk',
  async () => {
    const chance = new Simulation(20_261_127);
    // A process that died here is an error for whoever still holds its journal: the suite closes all of them.
    const process = {
      isAlive: true,
      isStalled: false,
      isHeld: false,
      hold: () => undefined,
      drawHoldMs: () => 0,
      clock: systemClock,
      run: (task: () => void) => task(),
      drawEchoMs: () => (chance.fraction() < 0.1 ? chance.fraction() : 0),
    };
    let disk = new FaultDisk();
    return {
      open: (identity = {}, options) =>
        openJournal({
          disk: new SimulatedDisk(disk, process),
          clock: systemClock,
          random: systemRandom,
          report: strictReport,
          identity,
          options: { sync: 'dsync', ...options },
        }),
      crash: async () => {
        disk = disk.crash();
      },
      tear: async bytes => disk.overwrite(newestSegment(disk), content => content.fill(0, lastByte(content) - bytes)),
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
  { durable: true, snapshots: true, retention: true, tearing: true, settlesAtClose: true, ownsPlace: true },
);
