import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { testTransport } from './transport.ts';

testTransport(
  'websocket',
  async limits => {
    const host = { clock: systemClock, random: systemRandom, report: strictReport, limits };
    const network = await startTcpProxy({ port: 1 });
    const secondary = listenTransport({ ...host, port: 0 });
    const primary = dialTransport({ ...host, remotes: [{ address: network.host, port: network.port }], retryIntervalMs: 10 });
    return {
      primary,
      // The proxy leads nowhere until the secondary has its port.
      secondary: {
        remotes: secondary.remotes,
        farEnd: secondary.farEnd,
        open: async events => {
          await secondary.open(events);
          network.setTarget({ port: secondary.port });
        },
        close: () => secondary.close(),
      },
      network,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([primary.close(), secondary.close()]);
        await network.close();
      },
    };
  },
  { frameBytes: 20 * 1024 * 1024, backPressure: true, closeReasons: true, violations: true, signsOfLife: true, faults: true, log: false },
);
