/** The deepest tree: segments of a path and levels of a value together. */
export const DEPTH_LIMIT = 1_000;

/** The longest key, in UTF-16 units. */
export const KEY_LIMIT = 64 * 1024;

/** The longest pointer, in UTF-16 units. */
export const POINTER_LIMIT = 256 * 1024;

/** The longest author or message of a commit, in UTF-16 units. */
export const NOTE_LIMIT = 64 * 1024;
