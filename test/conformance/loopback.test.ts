import { systemClock, systemRandom } from '../support/host.ts';
import { Loopback } from '../support/loopback.ts';
import { testTransport } from './transport.ts';

/** As much as a real wire takes; the simulations have smaller ones. */
const WIRE = { writableBytes: 4 * 1024 * 1024, bufferedBytes: 64 * 1024 * 1024 };

testTransport(
  'loopback (in memory)',
  async bounds => {
    const network = new Loopback({ clock: systemClock, random: systemRandom }, { ...WIRE, ...bounds });
    const [primary, secondary] = [network.dial(['south:1']), network.listen('south:1')];
    return {
      primary,
      secondary,
      network: {
        cut: () => network.cut(),
        halfOpen: () => network.halfOpen(),
        setAccepting: mode => {
          network.up = mode === 'forward';
        },
        setRate: bytesPerSecond => {
          network.bytesPerSecond = bytesPerSecond ?? Infinity;
        },
      },
      [Symbol.asyncDispose]: async () => {
        await Promise.all([primary.close(), secondary.close()]);
      },
    };
  },
  // It hands over what it is given, and judges none of it.
  { frameBytes: 20 * 1024 * 1024, backPressure: true, closeReasons: true, violations: false, signsOfLife: true, faults: true, log: false },
);
