import { z } from 'zod';

// Each field's schema has one message: what is expected, as it reads after «write …» and «it is …».

export function wholeNumber(minimum: number, maximum: number, what: string): z.ZodNumber {
  const expected = `${what}: a whole number from ${minimum} to ${maximum}`;
  return z.int(expected).min(minimum, expected).max(maximum, expected);
}

export function port(what: string): z.ZodNumber {
  return wholeNumber(1, 65_535, what);
}

export function milliseconds(minimum: number, maximum: number, what: string): z.ZodNumber {
  return wholeNumber(minimum, maximum, `${what} in milliseconds`);
}

export function bytes(minimum: number, maximum: number, what: string): z.ZodNumber {
  return wholeNumber(minimum, maximum, `${what} in bytes`);
}

export function text(what: string, pattern = /^.{1,4096}$/su): z.ZodString {
  return z.string(what).regex(pattern, what);
}

export function choice<const T extends readonly [string, ...string[]]>(options: T): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(options, `one of ${options.map(option => JSON.stringify(option)).join(', ')}`) as z.ZodEnum<{ [K in T[number]]: K }>;
}

export function yesOrNo(): z.ZodBoolean {
  return z.boolean('true or false (without quotes)');
}

export function section<T extends z.ZodRawShape>(shape: T, what = 'an object'): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, { error: issue => (issue.code === 'unrecognized_keys' ? undefined : what) });
}

/** Where clients reach a site's HTTP: `http://HOST:PORT` or `https://HOST:PORT`, without a path. */
export function httpAddress(what: string): z.ZodString {
  const expected = `${what}: http:// or https:// with host and port, and no path, such as http://box-a.example:8181`;
  return text(expected, /^.{1,300}$/u).refine(isHttpAddress, expected);
}

function isHttpAddress(address: string): boolean {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.hostname !== '' && url.href === `${url.origin}/` && !/[?#]$/.test(address);
}

/** A host name, an IPv4 or an IPv6 address (without brackets). */
export function host(what: string): z.ZodString {
  return text(
    `${what}: a host name or an IP address, without port`,
    /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|[0-9a-fA-F:.]{2,45}(?:%[A-Za-z0-9_.-]+)?)$/,
  );
}

/** The address of a service: `http://` or `https://`, with a path where it has one. */
export function serviceAddress(what: string): z.ZodString {
  const expected = `${what}: http:// or https:// with a host, such as https://s3.example:9000`;
  return text(expected, /^https?:\/\/[^\s?#@]{1,300}$/i).refine(address => URL.parse(address) !== null, expected);
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;

/** A time with its unit, such as `1s`, `500ms` or `24h`; `durationMs` reads it. */
export function duration(minimum: string, maximum: string, what: string): z.ZodString {
  const expected = `${what}: a time with its unit from ${minimum} to ${maximum}, such as "500ms", "1s", "30m" or "24h"`;
  return text(expected, DURATION).refine(value => {
    const wanted = durationMs(value);
    return wanted >= durationMs(minimum) && wanted <= durationMs(maximum);
  }, expected);
}

/** @param value what `duration` accepts */
export function durationMs(value: string): number {
  const [, count, unit] = DURATION.exec(value) ?? [];
  return Math.round(Number(count) * UNITS[unit as keyof typeof UNITS]);
}
