import { PROTOCOL_VERSIONS } from '@evertree/core';
import type { Message, Role } from '@evertree/core';
import { decodeMessage, TYPE, violation } from './messages.ts';
import type { Decoded } from './messages.ts';
import { HELLO_LIMIT_BYTES, MESSAGE_LIMIT_BYTES, MessageParts } from './parts.ts';

/** The messages that each role may be sent. PROTOCOL.md, «Messages», direction. */
const TAKES: { readonly [role in Role]: ReadonlySet<Decoded['type']> } = {
  primary: new Set(['hello', 'heartbeat', 'acknowledge', 'resend', 'role']),
  secondary: new Set(['hello', 'heartbeat', 'frame', 'history-begins', 'snapshot-begin', 'snapshot-chunk', 'snapshot-end', 'role']),
};
/** Those of an end that dialled and asked for frames (`lend`). */
const TAKES_LENT: ReadonlySet<Decoded['type']> = new Set([...TAKES.primary, 'frame']);

/** A hello that does not name the version this link was opened with. */
export class VersionMismatch extends Error {}

/** Decodes what WebSocket delivers, and checks that it comes in the order of PROTOCOL.md. */
export class Inbox {
  readonly #role: Role;
  readonly #version: number;
  /** What the far end may send. */
  #takes: ReadonlySet<Decoded['type']>;
  readonly #parts = new MessageParts();
  #peerHeartbeatMs: number | undefined;

  /**
   * @param role this end's
   * @param version of the protocol, agreed upon at the opening
   */
  constructor(role: Role, version: number) {
    this.#role = role;
    this.#version = version;
    this.#takes = TAKES[role];
  }

  /** Whether the far end's hello has come. */
  get greeted(): boolean {
    return this.#peerHeartbeatMs !== undefined;
  }

  /** This end has asked the far end for frames. */
  asked(): void {
    this.#takes = TAKES_LENT;
  }

  /** How often the far end wants to hear from this one, if it has said so. */
  get peerHeartbeatMs(): number | undefined {
    return this.#peerHeartbeatMs;
  }

  /**
   * Takes the payload of one WebSocket message; returns what it means, if that is whole.
   * @throws EvertreeError PROTOCOL_VIOLATION, FORMAT_INVALID, FORMAT_UNSUPPORTED; VersionMismatch
   */
  take(payload: Buffer, binary: boolean): Message | undefined {
    if (!binary) throw violation('a text message');
    if (payload[0] === TYPE.part) {
      const whole = this.#parts.add(payload, this.greeted ? MESSAGE_LIMIT_BYTES : HELLO_LIMIT_BYTES);
      return whole && this.#admit(whole);
    }
    if (this.#parts.open && payload[0] !== TYPE.heartbeat) throw violation('a message between the parts of another');
    return this.#admit(payload);
  }

  #admit(bytes: Buffer): Message | undefined {
    if (!this.greeted && bytes[0] !== TYPE.hello) throw violation('something before hello');
    const message = decodeMessage(bytes);
    if (!this.#takes.has(message.type)) throw violation(`a ${message.type}, which a ${this.#role} is not sent`);
    if (message.type === 'heartbeat') return undefined;
    if (message.type !== 'hello') return message;
    this.#greet(message.hello.protocols);
    this.#peerHeartbeatMs = message.heartbeatMs;
    return { type: 'hello', hello: message.hello };
  }

  #greet(protocols: readonly number[]): void {
    if (this.greeted) throw violation('a second hello');
    if (!protocols.includes(this.#version)) {
      throw new VersionMismatch(
        `this link speaks version ${this.#version}, the far end ${protocols.slice(0, 8).join(', ')}; here ${PROTOCOL_VERSIONS.join(', ')}`,
      );
    }
  }
}
