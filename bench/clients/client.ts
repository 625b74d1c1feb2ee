/**
 * What this project needs of a Kafka client: to write whole frames into one partition, in order, and to read them from
 * any offset, without a group.
 */
export interface FrameClient {
  openWriter(broker: string, topic: string): Promise<FrameWriter>;
  openReader(broker: string, topic: string): Promise<FrameReader>;
}

export interface FrameWriter {
  /** Idempotent, and acknowledged by all replicas. One call at a time. */
  send(frames: readonly Buffer[]): Promise<void>;
  /** Called when it failed or is stuck: closes its connections. */
  abandon(): void;
}

export interface FrameReader {
  /** Waits a while for a frame at or after `offset`. One call at a time. */
  fetch(offset: bigint): Promise<{ readonly frames: readonly Buffer[]; readonly next: bigint }>;
  end(): Promise<bigint>;
  abandon(): void;
}

/** The headers of every record; PROTOCOL.md. */
export const KEY = 'DefaultKey';
export const HEADERS: Readonly<Record<string, string>> = { evertree: '1', position: '4-1201' };
export const PARTITION = 0;
/** The time that an answer may take. */
export const ANSWER_MS = 6_000;
export const WAIT_MS = 500;
export const FETCH_BYTES = 8 * 1024 * 1024;
