import { bodyTags } from '@evertree/core';

/** The first bytes of values: FORMAT.md, «Binary body». From SMALL on one is a whole number itself. */
export const { NULL, TRUE, WHOLE, NEGATIVE, DOUBLE, TEXT, ARRAY, OBJECT, SMALL } = bodyTags;
