import { Gauge, type Registry } from '@prometheus-io/client';

type MaybeLater<T> = T | Promise<T>;

/** @param read undefined while there is no such number */
export function addGauge(registry: Registry, name: string, help: string, read: () => MaybeLater<number | undefined>): void {
  const gauge = new Gauge({
    registers: [registry],
    name,
    help,
    async collect() {
      const value = await read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
  gauge.remove();
}
