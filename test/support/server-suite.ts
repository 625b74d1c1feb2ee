import { beforeAll, describe, it } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    needsKafka?: boolean;
    needsS3?: boolean;
  }
}

/** A real server, as a suite needs it. */
export interface NeededServer {
  /** The suite's mark, by which the closing lines of a run find it. */
  readonly mark: 'needsKafka' | 'needsS3';
  /** As in «runs against …». */
  readonly name: string;
  /** Why none can be started here, and what helps; null where one can. */
  readonly obstacle: string | null;
  /** Resolves once it can be started at once. */
  readonly prepare: () => Promise<unknown>;
  /** The first use on a machine fetches or builds it. */
  readonly preparationLimitMs: number;
}

/**
 * A suite that needs a real server. Where that can't be had it does not run, and the closing lines say so; with CI set
 * that is a failure.
 */
export function describeServer(
  name: string,
  { mark, name: server, obstacle, prepare, preparationLimitMs }: NeededServer,
  suite: () => void,
): void {
  if (obstacle === null) {
    describe(name, () => {
      beforeAll(prepare, preparationLimitMs);
      suite();
    });
  } else if (process.env['CI'] === undefined) {
    describe(name, { skip: true, meta: { [mark]: true } }, suite);
  } else {
    describe(name, () => {
      it(`runs against ${server}`, () => {
        throw new Error(obstacle);
      });
    });
  }
}
