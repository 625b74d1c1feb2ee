import type { Transport } from '@evertree/core';
import { ScriptedLink, ScriptedTransport } from '../support/scripted-link.ts';
import { testTransport } from './transport.ts';

testTransport(
  'scripted (two ends joined)',
  async () => {
    const [primary, secondary] = [new ScriptedTransport(['south:1']), new ScriptedTransport()];
    const join = () => {
      if (primary.events !== undefined && secondary.events !== undefined) {
        ScriptedLink.join(primary.connect('south:1'), secondary.connect('a dialler'));
      }
    };
    return {
      primary: joining(primary, join),
      secondary: joining(secondary, join),
      network: { cut: noNetwork, halfOpen: noNetwork, setAccepting: noNetwork, setRate: noNetwork },
      [Symbol.asyncDispose]: async () => {
        await Promise.all([primary.close(), secondary.close()]);
      },
    };
  },
  // A test plays the far end of such a link: it says when the link is writable, and nothing comes that the test does
  // not send.
  {
    frameBytes: 20 * 1024 * 1024,
    backPressure: false,
    closeReasons: true,
    violations: false,
    signsOfLife: false,
    faults: false,
    log: false,
  },
);

function joining(transport: ScriptedTransport, join: () => void): Transport {
  return {
    remotes: transport.remotes,
    farEnd: transport.farEnd,
    open: async events => {
      await transport.open(events);
      join();
    },
    close: () => transport.close(),
  };
}

function noNetwork(): void {
  throw new Error('there is no network between two ends that are joined');
}
