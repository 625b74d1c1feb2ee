/**
 * What a client of Kafka is asked for by this project: whole frames into one partition, in order, and out of it from
 * any offset on, without a group.
 */
export interface FrameClient {
  openWriter(broker: string, topic: string): Promise<FrameWriter>;
  openReader(broker: string, topic: string): Promise<FrameReader>;
}

export interface FrameWriter {
  /** Idempotent, and acknowledged by all replicas. One call at a time. */
  send(frames: readonly Buffer[]): Promise<void>;
  /** It failed, or is stuck: lets go of its connections. */
  abandon(): void;
}

export interface FrameReader {
  /** Waits a while for a frame at or after `offset`. One call at a time. */
  fetch(offset: bigint): Promise<{ readonly frames: readonly Buffer[]; readonly next: bigint }>;
  end(): Promise<bigint>;
  abandon(): void;
}

/** What every record bears, as PROTOCOL.md has it. */
export const KEY = 'DefaultKey';
export const HEADERS: Readonly<Record<string, string>> = { evertree: '1', position: '4-1201' };
export const PARTITION = 0;
/** What an answer may take. */
export const ANSWER_MS = 6_000;
export const WAIT_MS = 500;
export const FETCH_BYTES = 8 * 1024 * 1024;
