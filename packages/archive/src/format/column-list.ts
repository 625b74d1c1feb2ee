import { ByteColumnReader, ColumnsCursor, NumberColumnReader } from './column-reader.ts';
import { ByteColumnWriter, NumberColumnWriter } from './column-writer.ts';

/** A longer text of a value is spelled each time. */
export const NUMBERED_TEXT_BYTES = 255;
/** Arrays and objects inside one another. The tree's own limit is lower. */
export const VALUE_DEPTH_LIMIT = 1_024;

/** The columns in their order, written: ARCHIVE.md, «Columns», says what is in each. Fields, so that each is found at once. */
export class ColumnWriters {
  readonly wide = new ByteColumnWriter();
  readonly kinds = new ByteColumnWriter();
  readonly headers = new ByteColumnWriter();
  readonly digests = new ByteColumnWriter();
  readonly bodies = new ByteColumnWriter();
  readonly sets = new ByteColumnWriter();
  readonly levels = new ByteColumnWriter();
  readonly tags = new ByteColumnWriter();
  readonly keys = new ByteColumnWriter();
  readonly texts = new ByteColumnWriter();
  readonly counts = new NumberColumnWriter(this.wide);
  readonly firstTimes = new NumberColumnWriter(this.wide);
  readonly lastTimes = new NumberColumnWriter(this.wide);
  readonly bodyLengths = new NumberColumnWriter(this.wide);
  readonly times = new NumberColumnWriter(this.wide);
  readonly sizes = new NumberColumnWriter(this.wide);
  readonly targets = new NumberColumnWriter(this.wide);
  readonly parents = new NumberColumnWriter(this.wide);
  readonly pathKeys = new NumberColumnWriter(this.wide);
  readonly redefined = new NumberColumnWriter(this.wide);
  readonly redefinitions = new NumberColumnWriter(this.wide);
  readonly respelled = new NumberColumnWriter(this.wide);
  readonly numbers = new NumberColumnWriter(this.wide);
  readonly doublesLow = new NumberColumnWriter(this.wide);
  readonly doublesHigh = new NumberColumnWriter(this.wide);
  readonly members = new NumberColumnWriter(this.wide);
  readonly memberKeys = new NumberColumnWriter(this.wide);
  readonly textNumbers = new NumberColumnWriter(this.wide);
  readonly textLengths = new NumberColumnWriter(this.wide);
  readonly keyLengths = new NumberColumnWriter(this.wide);

  /** Gives the memory back. Nothing may be written or stored afterwards. */
  release(): void {
    for (const column of Object.values(this) as readonly (ByteColumnWriter | NumberColumnWriter)[]) column.release();
  }

  /** The columns, one after the other. @returns undefined if they have more bytes */
  store(limit: number): Buffer | undefined {
    const all = Object.values(this) as readonly (ByteColumnWriter | NumberColumnWriter)[];
    const length = all.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    if (length > limit) return undefined;
    const bytes = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (const column of all) at = column.store(bytes, at);
    return bytes;
  }
}

/** The same columns in the same order, read. */
export class ColumnReaders {
  readonly wide: ByteColumnReader;
  readonly kinds: ByteColumnReader;
  readonly headers: ByteColumnReader;
  readonly digests: ByteColumnReader;
  readonly bodies: ByteColumnReader;
  readonly sets: ByteColumnReader;
  readonly levels: ByteColumnReader;
  readonly tags: ByteColumnReader;
  readonly keys: ByteColumnReader;
  readonly texts: ByteColumnReader;
  readonly counts: NumberColumnReader;
  readonly firstTimes: NumberColumnReader;
  readonly lastTimes: NumberColumnReader;
  readonly bodyLengths: NumberColumnReader;
  readonly times: NumberColumnReader;
  readonly sizes: NumberColumnReader;
  readonly targets: NumberColumnReader;
  readonly parents: NumberColumnReader;
  readonly pathKeys: NumberColumnReader;
  readonly redefined: NumberColumnReader;
  readonly redefinitions: NumberColumnReader;
  readonly respelled: NumberColumnReader;
  readonly numbers: NumberColumnReader;
  readonly doublesLow: NumberColumnReader;
  readonly doublesHigh: NumberColumnReader;
  readonly members: NumberColumnReader;
  readonly memberKeys: NumberColumnReader;
  readonly textNumbers: NumberColumnReader;
  readonly textLengths: NumberColumnReader;
  readonly keyLengths: NumberColumnReader;

  /** @throws MalformedColumns */
  constructor(bytes: Buffer) {
    const cursor = new ColumnsCursor(bytes);
    this.wide = new ByteColumnReader(cursor);
    this.kinds = new ByteColumnReader(cursor);
    this.headers = new ByteColumnReader(cursor);
    this.digests = new ByteColumnReader(cursor);
    this.bodies = new ByteColumnReader(cursor);
    this.sets = new ByteColumnReader(cursor);
    this.levels = new ByteColumnReader(cursor);
    this.tags = new ByteColumnReader(cursor);
    this.keys = new ByteColumnReader(cursor);
    this.texts = new ByteColumnReader(cursor);
    this.counts = new NumberColumnReader(cursor, this.wide);
    this.firstTimes = new NumberColumnReader(cursor, this.wide);
    this.lastTimes = new NumberColumnReader(cursor, this.wide);
    this.bodyLengths = new NumberColumnReader(cursor, this.wide);
    this.times = new NumberColumnReader(cursor, this.wide);
    this.sizes = new NumberColumnReader(cursor, this.wide);
    this.targets = new NumberColumnReader(cursor, this.wide);
    this.parents = new NumberColumnReader(cursor, this.wide);
    this.pathKeys = new NumberColumnReader(cursor, this.wide);
    this.redefined = new NumberColumnReader(cursor, this.wide);
    this.redefinitions = new NumberColumnReader(cursor, this.wide);
    this.respelled = new NumberColumnReader(cursor, this.wide);
    this.numbers = new NumberColumnReader(cursor, this.wide);
    this.doublesLow = new NumberColumnReader(cursor, this.wide);
    this.doublesHigh = new NumberColumnReader(cursor, this.wide);
    this.members = new NumberColumnReader(cursor, this.wide);
    this.memberKeys = new NumberColumnReader(cursor, this.wide);
    this.textNumbers = new NumberColumnReader(cursor, this.wide);
    this.textLengths = new NumberColumnReader(cursor, this.wide);
    this.keyLengths = new NumberColumnReader(cursor, this.wide);
    cursor.assertEnd();
  }

  /** @throws MalformedColumns if something was not read */
  assertRead(): void {
    for (const column of Object.values(this) as readonly (ByteColumnReader | NumberColumnReader)[]) column.assertEnd();
  }
}
