import type { Socket } from 'node:net';
import type { Connections } from './patience.ts';
import { ABANDONED, KEEP_ALIVE_MS } from './settings.ts';

/** The sockets of one part of a client: what came through them, and the end of all. */
export class Sockets implements Connections {
  readonly #living = new Set<Socket>();
  #goneBytes = 0;
  #isAbandoned = false;

  /** Once it is true, no socket may be made. */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  get receivedBytes(): number {
    let bytes = this.#goneBytes;
    for (const { bytesRead } of this.#living) bytes += bytesRead;
    return bytes;
  }

  /** Takes a socket that was made just now. */
  add(socket: Socket): void {
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#living.add(socket);
    socket.once('close', () => {
      this.#living.delete(socket);
      this.#goneBytes += socket.bytesRead;
    });
  }

  abandon(): void {
    this.#isAbandoned = true;
    for (const socket of this.#living) socket.destroy(new Error(ABANDONED));
  }
}
