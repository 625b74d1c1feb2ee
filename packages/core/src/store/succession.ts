import type { CommitOutcomes } from './commit-outcomes.ts';
import { EvertreeError } from '../errors.ts';
import type { History } from './history.ts';
import type { Reporter } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import type { EpochName } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';
import type { WriteGate } from './write-gate.ts';

export interface SuccessionParts {
  readonly journal: Journal;
  readonly history: History;
  readonly gate: WriteGate;
  readonly outcomes: CommitOutcomes;
  readonly report: Reporter;
  /** Cuts what was committed, and tells nobody. */
  readonly cut: () => void;
  /** Digest of the tree. */
  readonly digest: () => string;
  /** A frame was cut. */
  readonly advanced: () => void;
}

/** How a site's reign begins and ends. The methods are those of the Store, which see. */
export class Succession {
  readonly #parts: SuccessionParts;
  /** Resolves when the last epoch's role is recorded, or could not be. */
  #recording: Promise<void> = Promise.resolve();

  constructor(parts: SuccessionParts) {
    this.#parts = parts;
  }

  async handOver(to: string, command: string): Promise<ExactPosition> {
    const { journal, history, gate, outcomes, cut, digest, advanced } = this.#parts;
    gate.assertStorage();
    if (!gate.isHeld || gate.standing !== 'primary') {
      throw new EvertreeError('WRONG_ROLE', `${journal.identity.site} hands over only while it is the primary and holds writes back`);
    }
    cut();
    const position = history.handOver({ to, command }, digest());
    gate.update();
    advanced();
    await journal.log.flush();
    outcomes.assertGoesOn(position);
    return position;
  }

  async prepareToLead(promised: EpochName | undefined): Promise<void> {
    const { journal, gate } = this.#parts;
    gate.assertHasHistory();
    if (promised !== undefined) await this.#promise(promised);
    if (journal.identity.role !== 'primary') await journal.identity.setRole('primary');
  }

  beginEpoch(epoch: EpochName, reason: string): void {
    const { journal, history, gate, outcomes, cut, digest, advanced } = this.#parts;
    gate.assertMayBegin(epoch);
    cut();
    history.beginEpoch(epoch, reason, digest());
    gate.beginAs('primary');
    outcomes.goOn();
    if (journal.identity.role !== 'primary') this.#recording = this.#recordLead();
    advanced();
  }

  async fence({ number, id }: EpochName, begun: boolean): Promise<void> {
    const { journal, gate, outcomes } = this.#parts;
    const fencing = { number, id, begun };
    gate.fence(fencing);
    outcomes.fenced();
    try {
      await journal.identity.fence(fencing);
    } catch (error) {
      gate.notRecorded(fencing);
      throw error;
    }
    gate.recorded(fencing);
  }

  async follow(): Promise<void> {
    const { journal, history, gate, outcomes } = this.#parts;
    gate.beginAs('secondary');
    if (history.epochs.at(-1)?.end !== undefined) outcomes.acknowledgements.lose();
    await this.#recording;
    if (journal.identity.role !== 'secondary') await journal.identity.setRole('secondary');
  }

  async #promise(epoch: EpochName): Promise<void> {
    try {
      await this.fence(epoch, false);
    } catch (error) {
      this.#parts.gate.withdrawPromise(epoch);
      throw error;
    }
  }

  async #recordLead(): Promise<void> {
    const { journal, report } = this.#parts;
    try {
      await journal.identity.setRole('primary');
    } catch (error) {
      const message = `${journal.identity.site} could not record that it leads now; after a restart it follows until it is promoted again`;
      report({ level: 'error', event: 'role-not-recorded', message, details: { error } });
    }
  }
}
