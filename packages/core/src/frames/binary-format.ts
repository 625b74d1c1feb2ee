/**
 * The binary body: varints, a dictionary of keys and a dictionary of nodes. Both dictionaries are valid for one frame.
 * FORMAT.md, «Binary body», is normative.
 *
 * An operation names the object it changes by a number instead of by its path: the writer finds that number on the node
 * itself, the reader finds the node under it. So a change costs the same at any depth, in bytes and in time.
 */

/** Bits of a change set's first byte. */
export const ONE_OPERATION = 1;
export const HAS_TIME = 2;
export const HAS_AUTHOR = 4;
export const HAS_MESSAGE = 8;

/** A value's first byte. From SMALL on it is itself a whole number: SMALL means 0. */
export const DELETED = 0;
export const NULL = 1;
export const FALSE = 2;
export const TRUE = 3;
export const WHOLE = 4;
export const NEGATIVE = 5;
export const DOUBLE = 6;
export const TEXT = 7;
export const ARRAY = 8;
export const OBJECT = 9;
export const SMALL = 32;

export const ROOT_ID = 1;
