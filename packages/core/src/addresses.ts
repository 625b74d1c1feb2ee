/**
 * 127.0.0.0/8 in dotted decimal, without leading zeros: `127.0.0.01` is looked up as a name, so it may lead anywhere.
 */
const LOOPBACK_4 = String.raw`127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}`;
/** `::1` however it is spelled. */
const LOOPBACK_6 = '(?:::|(?:0{1,4}:){1,6}:|(?:0{1,4}:){7}|::(?:0{1,4}:){1,6})0{0,3}1';
/** An IPv4 address as an IPv6 socket shows it: `::ffff:127.0.0.1`, or `::ffff:7f00:1` as URLs write it. */
const LOOPBACK_MAPPED = `(?:::|(?:0{1,4}:){5})ffff:(?:${LOOPBACK_4}|7f[0-9a-f]{2}:[0-9a-f]{1,4})`;
const LOOPBACK = new RegExp(`^(?:localhost|${LOOPBACK_4}|${LOOPBACK_6}|${LOOPBACK_MAPPED})$`, 'i');

/**
 * Whether no other machine can reach the address: `localhost`, 127.0.0.0/8, `::1`, and 127.0.0.0/8 mapped into IPv6. An
 * IPv6 address may stand in brackets, as in a URL. No other name counts: what it resolves to is not known here.
 */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address.replace(/^\[(.*)\]$/, '$1'));
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
