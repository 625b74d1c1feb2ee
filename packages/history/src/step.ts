/** Operations, paths, touches or entries of the index between two looks at the clock. */
export const STEP_ITEMS = 64;
