import type { Link, Transport } from '@evertree/core';

/** Changes each link of a transport before it is handed up. */
export function withLinks(transport: Transport, change: (link: Link) => void): Transport {
  override(
    transport,
    'open',
    open => events =>
      open({
        ...events,
        link: link => {
          change(link);
          events.link(link);
        },
        failed: (remote, error, retryInMs) => events.failed(remote, error, retryInMs),
      }),
  );
  return transport;
}

/** Replaces a method of one object; what replaces it is given the method. */
export function override<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  change: (method: Target[Name]) => Target[Name],
): void {
  const method = target[name] as unknown as (...given: unknown[]) => unknown;
  const bound = ((...given: unknown[]) => method.apply(target, given)) as unknown as Target[Name];
  Object.defineProperty(target, name, { value: change(bound), configurable: true });
}
