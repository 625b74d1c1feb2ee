import { formatPosition } from '@evertree/core';
import type { Message } from '@evertree/core';

/** How many of the last lines are kept for people. */
const KEPT_LINES = 400;

/** All that happened in a run, in order: its hash tells whether two runs were the same, its last lines what went wrong. */
export class Trace {
  readonly #lines: string[] = [];
  #hash = 0x811c_9dc5;

  add(line: string): void {
    let hash = this.#hash;
    for (let at = 0; at < line.length; at++) hash = Math.imul(hash ^ line.charCodeAt(at), 0x0100_0193);
    this.#hash = Math.imul(hash ^ 10, 0x0100_0193);
    this.#lines.push(line);
    if (this.#lines.length >= 2 * KEPT_LINES) this.#lines.splice(0, KEPT_LINES);
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-KEPT_LINES);
  }
}

/** A message in a few words. */
export function describeMessage(message: Message): string {
  switch (message.type) {
    case 'hello':
      return `hello ${message.hello.role} ${formatPosition(message.hello.position)} ${message.hello.digest}`;
    case 'frame':
      return `frame ${message.bytes.length}`;
    case 'acknowledge':
      return `acknowledge ${formatPosition(message.applied)} ${formatPosition(message.durable)}`;
    case 'resend':
      return `resend ${formatPosition(message.after)}`;
    default:
      return message.type;
  }
}
