/** Bounds of the HTTP interface; DESIGN.md says what happens at each. */
export interface HttpLimits {
  /** A request's body, held whole in memory. */
  readonly bodyBytes: number;
  /** All bodies that are held at one time. */
  readonly bodiesBytes: number;
  readonly batchBytes: number;
  readonly batchLineBytes: number;
  /** What is read and thrown away of a body that was refused, before its connection is cut. */
  readonly discardBytes: number;
  readonly connections: number;
  /** Watches, and histories that are followed. */
  readonly watches: number;
  /** Questions about the past that are answered at one time. */
  readonly pastQuestions: number;
  readonly headMs: number;
  readonly requestMs: number;
  readonly keepAliveMs: number;
  /** For a client to take the next bytes of an answer. */
  readonly stallMs: number;
  /** For one answer to hold a pinned snapshot. */
  readonly pinnedMs: number;
  /** States that comparisons hold at one time, and how long one is held that nobody asks for. */
  readonly digestPins: number;
  readonly digestPinMs: number;
  readonly heartbeatMs: number;
  /** How long a write waits for secondaries where it does not say. */
  readonly acknowledgementMs: number;
  readonly acknowledgementMaxMs: number;
  /** Writes that are held while roles are switched, the bytes of their bodies, and how long one is held. */
  readonly heldWrites: number;
  readonly heldBytes: number;
  readonly heldMs: number;
  /** For requests under way when the server closes. */
  readonly closeMs: number;
  /** Lag at which a connected secondary stops being ready. */
  readonly readyLagMs: number;
}

const HTTP_LIMITS: HttpLimits = Object.freeze({
  bodyBytes: 64 * 1024 * 1024,
  bodiesBytes: 256 * 1024 * 1024,
  batchBytes: 1024 * 1024 * 1024,
  batchLineBytes: 64 * 1024 * 1024,
  discardBytes: 64 * 1024 * 1024,
  connections: 1_024,
  watches: 256,
  pastQuestions: 8,
  headMs: 10_000,
  requestMs: 300_000,
  keepAliveMs: 30_000,
  stallMs: 30_000,
  pinnedMs: 600_000,
  digestPins: 8,
  digestPinMs: 60_000,
  heartbeatMs: 15_000,
  acknowledgementMs: 10_000,
  acknowledgementMaxMs: 300_000,
  heldWrites: 1_000,
  heldBytes: 64 * 1024 * 1024,
  heldMs: 10_000,
  closeMs: 5_000,
  readyLagMs: 10_000,
});

/** A line of a batch may be as long as a body, and one body always finds room. */
export function resolveLimits(given: Partial<HttpLimits> = {}): HttpLimits {
  const bodyBytes = given.bodyBytes ?? HTTP_LIMITS.bodyBytes;
  const bodiesBytes = Math.max(HTTP_LIMITS.bodiesBytes, bodyBytes);
  return Object.freeze({ ...HTTP_LIMITS, batchLineBytes: bodyBytes, bodiesBytes, ...given });
}

/** The longest head of a request: room for a pointer of 10,000 emoji, percent-encoded. */
export const HEAD_BYTES = 256 * 1024;
