/** What `HEAD` says: ARCHIVE.md, «HEAD». */
export interface ArchiveHead {
  /** Names the archive, 32 hex digits, drawn when it was made. */
  readonly archive: string;
  /** The stream that it holds; null before the first backup. */
  readonly stream: string | null;
  /** How often HEAD was moved. */
  readonly counter: number;
  /** When it was moved, by the target's time, milliseconds since 1970. */
  readonly time: number;
  /** SHA-256 of the manifest that counts; null before the first backup. */
  readonly manifest: string | null;
  /** SHA-256 of each recipient, sorted; empty for an archive that is not encrypted. */
  readonly recipients: readonly string[];
  /** Whether the target refuses what its conditions forbid; without that only one site may write. */
  readonly conditions: boolean;
  readonly drilled: DrillNote | null;
  readonly verified: VerificationNote | null;
}

/** The newest drill. */
export interface DrillNote {
  readonly time: number;
  readonly passed: boolean;
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly milliseconds: number;
  /** The key of its report. */
  readonly report: string;
}

/** The newest verification. */
export interface VerificationNote {
  readonly time: number;
  readonly level: number;
  readonly passed: boolean;
  /** The key of its report, which lists what was verified. */
  readonly report: string;
}
