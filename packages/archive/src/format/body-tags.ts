/** The first bytes of values: FORMAT.md, «Binary body». From SMALL on one is a whole number itself. */
export const NULL = 1;
export const TRUE = 3;
export const WHOLE = 4;
export const NEGATIVE = 5;
export const DOUBLE = 6;
export const TEXT = 7;
export const ARRAY = 8;
export const OBJECT = 9;
export const SMALL = 32;
