import type { EarlierFrames, MissingStretch } from '@evertree/consumer';
import type { Frame } from '@evertree/core';

/** History kept elsewhere, for tests: frames in the order given, and what is to happen while they are read. */
export class ScriptedSource implements EarlierFrames {
  readonly source = 'the archive';
  /** What lies there. */
  frameList: () => readonly Frame[];
  /** Runs before each frame is handed out; what it throws is what the source fails with. */
  before: (index: number) => Promise<void> | void = () => undefined;
  /** What was asked for. */
  readonly asked: MissingStretch[] = [];
  /** How many readings were ended by their signal, or by whoever took the frames. */
  ended = 0;
  handedOut = 0;

  constructor(frameList: () => readonly Frame[]) {
    this.frameList = frameList;
  }

  async *frames(stretch: MissingStretch, signal: AbortSignal): AsyncGenerator<Frame> {
    this.asked.push(stretch);
    try {
      let index = 0;
      for (const frame of this.frameList()) {
        if (frame.header.last.revision <= stretch.after.revision) continue;
        await this.before(index++);
        if (signal.aborted) return;
        this.handedOut += 1;
        yield frame;
      }
    } finally {
      this.ended += 1;
    }
  }
}
