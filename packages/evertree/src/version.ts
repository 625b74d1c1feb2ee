/** This package's version: that of its package.json, which a bundle does not have beside it. A test holds both to each other. */
export const VERSION = '0.1.0';
