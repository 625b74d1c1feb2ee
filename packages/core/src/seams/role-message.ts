import type { EpochName } from '../lineage.ts';
import type { Boundary, Epoch, ExactPosition } from '../position.ts';

/** Something that stands against a change of roles: a code for programs, a sentence for people. */
export interface Obstacle {
  readonly code: string;
  readonly text: string;
}

/** What the target of a switchover tells of itself beside its obstacles: the primary compares it with what it knows. */
export interface TargetFacts {
  /** Its program's name and version, for people. */
  readonly program: string;
  /** The version of the frames that it writes as a primary. */
  readonly frameVersion: number;
  /** The sites that answered at the addresses of its primary file. */
  readonly reaches: readonly string[];
  /** The addresses of its primary file where no site answered, each with the reason. */
  readonly unreached: readonly string[];
  /** The logs that its primary file names, as `FarEnd.name`. */
  readonly logs: readonly string[];
}

/** What became of a command. `unknown`: it can't be told here, and `text` says why. */
export type CommandOutcome = 'done' | 'abandoned' | 'unknown';

/**
 * What two sites tell each other about who leads: PROTOCOL.md, «Roles». Producer and consumer carry these messages and
 * decide nothing about them; only `lend` is answered there, with frames.
 *
 * `command` is the id of the command that a person gave; whatever is said about one command bears the same id.
 */
export type RoleMessage =
  /** A primary asks the site `to` what stands against its taking over. A dry run ends with the answer. */
  | { readonly kind: 'prepare'; readonly command: string; readonly from: string; readonly to: string; readonly dryRun: boolean }
  /** The answer. Without an obstacle it may follow the handover of that command. `syncMs`: one sync of its disk. */
  | {
      readonly kind: 'consent';
      readonly command: string;
      readonly obstacles: readonly Obstacle[];
      readonly syncMs: number;
      readonly facts?: TargetFacts;
    }
  /** The target leads: the first frame of its epoch, which ends at `position`, is durable there. */
  | {
      readonly kind: 'begun';
      readonly command: string;
      readonly epoch: EpochName;
      readonly position: ExactPosition;
      readonly epochs: readonly Epoch[];
      readonly advertised?: string;
    }
  /** The old primary takes the command back. It is answered with `begun` or `declined`. */
  | { readonly kind: 'withdraw'; readonly command: string }
  /** The target never begins for this command; recorded durably before it is said. */
  | { readonly kind: 'declined'; readonly command: string }
  /** What became of the command? Asked after a restart. */
  | { readonly kind: 'ask'; readonly command: string }
  /** `time`: the clock of the site that answers, milliseconds since 1970, as it answers. */
  | { readonly kind: 'told'; readonly command: string; readonly outcome: CommandOutcome; readonly text: string; readonly time?: number }
  /** A secondary passes on what a person asked it for: let this switchover be done, cancelled, or only looked at. */
  | {
      readonly kind: 'request';
      readonly command: string;
      readonly to: string;
      readonly dryRun: boolean;
      readonly cancel: boolean;
      readonly maxPauseMs?: number;
    }
  /**
   * The primary's answer to a request. `pauseMs`: how long writers waited, or would; null if they did not. `warnings`: of
   * a dry run, what does not stand in the way.
   */
  | {
      readonly kind: 'answered';
      readonly command: string;
      readonly outcome: CommandOutcome;
      readonly text: string;
      readonly obstacles: readonly Obstacle[];
      readonly warnings?: readonly Obstacle[];
      readonly position: ExactPosition;
      readonly pauseMs: number | null;
    }
  /**
   * A site that is to be promoted asks for a promise: no acknowledgement for an older epoch from now on. `epochs`: its
   * table, in which the other's last epoch has to stand.
   */
  | { readonly kind: 'raise'; readonly epoch: EpochName; readonly epochs: readonly Epoch[] }
  /**
   * The promise, durable before it is said. `position` and `digest`: where that site stands, with the appends in flight
   * ended. `known`: positions that it heard of, of other sites.
   */
  | ({
      readonly kind: 'promised';
      readonly epoch: EpochName;
      readonly epochs: readonly Epoch[];
      readonly known: readonly ExactPosition[];
    } & Boundary)
  /** No promise. `highest`: the epoch that stands in the way, if one does. */
  | { readonly kind: 'not-promised'; readonly epoch: EpochName; readonly text: string; readonly highest?: EpochName }
  /** From the site that is to be promoted: send your frames after this position, up to where you stand. */
  | { readonly kind: 'lend'; readonly after: ExactPosition }
  /** The frames are not all there any more. */
  | { readonly kind: 'not-lent'; readonly text: string };

/**
 * Takes what a far end says about who leads. `reply` answers on the link that the message came on, and returns false
 * when that is gone.
 */
export type RoleHandler = (from: string, message: RoleMessage, reply: (message: RoleMessage) => boolean) => void;
