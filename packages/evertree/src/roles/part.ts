import type { Consumer } from '@evertree/consumer';
import type { RoleHandler, Transport } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import type { Acknowledgement } from '../configuration/configuration.ts';

interface PartHooks {
  /** Called once the part is open. */
  readonly opened?: () => void;
  /** The same part, made anew and not opened yet. */
  readonly again?: () => Promise<Part>;
}

/** What feeds a primary's secondaries. */
export interface PrimaryPart extends PartHooks {
  readonly role: 'primary';
  readonly producer: Producer;
  /** What a write over HTTP waits for when it does not say so itself. */
  readonly acknowledgement?: Acknowledgement | undefined;
}

/** What feeds a secondary from its primary; in any other standing, what answers at its port. */
export interface SecondaryPart extends PartHooks {
  readonly role: 'secondary';
  readonly consumer: Consumer;
}

/** A part that a site plays. */
export type Part = PrimaryPart | SecondaryPart;

/** Makes the parts that a site may play, as its files say. What is made is not opened yet. */
export interface PartFactory {
  /** Undefined: the site has no primary file. */
  readonly primary?: ((role: RoleHandler) => Promise<PrimaryPart>) | undefined;
  /** Undefined: the site has no standby file. */
  readonly standby?: ((role: RoleHandler) => Promise<SecondaryPart>) | undefined;
  /** Transports as the primary file says, for the questions of a promotion: to a log one that claims there. Undefined: no primary file. */
  readonly dial?: (() => Promise<readonly Transport[]>) | undefined;
}

/** Where parts are played: opened and closed one after the other, and seen by everybody who asks what the site plays. */
export interface Stage {
  /** Throws what opening the part throws; it is closed then. */
  begin(part: Part): Promise<void>;
  end(part: Part): Promise<void>;
}
