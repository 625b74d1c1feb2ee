import type { CloseReason, Hello, Link, LinkEvents } from '../seams/transport.ts';
import type { Store } from '../store/store.ts';

export interface GreetingOptions {
  /** Hears of each far end's epochs, also of one that is turned away. */
  readonly store: Pick<Store, 'clock' | 'heardEpochs'>;
  /** How long the far end may take to say hello before its link is closed as silent. */
  readonly helloMs: number;
  /**
   * The far end has said who it is. Returns who takes what follows on this link, or undefined when it is turned away:
   * then the link was closed, and nothing is delivered any more. In a process with several streams it would be chosen
   * here which one the link is for.
   */
  meet(hello: Hello): LinkEvents | undefined;
  /** The link ended before the far end was met, or after it was turned away. */
  left(reason: CloseReason, explanation: string, byPeer: boolean): void;
}

/**
 * Receives a new link: waits for the far end's hello, which is the first message, and hands the link over to whom it is
 * for.
 */
export function greet(link: Link, options: GreetingOptions): void {
  const { store, helloMs } = options;
  /** Whether the first message has come. */
  let spoken = false;
  let taker: LinkEvents | undefined;
  const patience = store.clock.after(helloMs, () => link.close('silent', `no hello came within ${helloMs} ms`));
  link.attach({
    message: message => {
      if (spoken) return taker?.message(message);
      spoken = true;
      patience[Symbol.dispose]();
      if (message.type !== 'hello') return link.close('protocol-violation', `the first message is a hello, and not ${message.type}`);
      store.heardEpochs.hear(message.hello);
      taker = options.meet(message.hello);
    },
    drained: () => taker?.drained(),
    closed: (reason, explanation, byPeer) => {
      patience[Symbol.dispose]();
      if (taker !== undefined) taker.closed(reason, explanation, byPeer);
      else options.left(reason, explanation, byPeer);
    },
  });
}
