export { dialTransport } from './dialler.ts';
export { listenTransport } from './listener.ts';
export type { ListenTransport } from './listener.ts';
export type { DialOptions, ListenOptions, Remote, WireLimits, WireOptions } from './options.ts';
