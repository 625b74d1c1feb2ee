import { NO_CHAIN, ORIGIN } from '@evertree/core';
import type { CloseReason, Hello, Message, Role, Transport } from '@evertree/core';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { End, EPOCH, frameOf, helloOf, POSITION, same, STREAM, WAIT } from '../support/links.ts';
import { expectErrors } from '../support/reports.ts';

/** What a wire supports, as its implementation declares. Only these flags decide which cases are left out. */
export interface TransportSupports {
  /** The largest frame it is asked to carry here. */
  readonly frameBytes: number;
  /** `writable` turns false for a far end that does not read, and going on closes the link. */
  readonly backPressure: boolean;
  /** The far end hears why a link was closed. */
  readonly closeReasons: boolean;
  /** The wire finds malformed messages and a wrong order, and closes the link. */
  readonly violations: boolean;
  /** An idle link sends heartbeats. */
  readonly signsOfLife: boolean;
  /** The factory's network can be cut and left half-open; links that are lost are made again. */
  readonly faults: boolean;
  /**
   * Between the ends is a log that keeps what it is sent. The primary's far end is the log, which says its own hello
   * and reports its readers. A secondary has a link once a primary has said hello to the log.
   * The newest acknowledgement is told; older ones may be skipped.
   * Its client connects again by itself: a link outlives a cut that comes between two requests, or that the client can
   * mend. It does not outlive an outage.
   */
  readonly log: boolean;
}

export interface Bounds {
  readonly heartbeatMs: number;
  readonly writableBytes: number;
  readonly bufferedBytes: number;
}

/** Two ends of a wire, not open yet, and the network between them. */
export interface TransportPair extends AsyncDisposable {
  readonly primary: Transport;
  readonly secondary: Transport;
  /** Faults of the network; only asked for where `supports.faults`. */
  readonly network: {
    cut(): void;
    halfOpen(): void;
    setAccepting(mode: 'forward' | 'refuse'): void;
    setRate(bytesPerSecond: number | undefined): void;
  };
}

/** The laws of core's Transport and Link, for any wire. */
export function testTransport(name: string, make: (bounds: Partial<Bounds>) => Promise<TransportPair>, supports: TransportSupports): void {
  const undo: AsyncDisposable[] = [];

  async function prepare(bounds: Partial<Bounds> = {}) {
    const pair = await make(bounds);
    undo.push(pair);
    const ends = { primary: [] as End[], secondary: [] as End[] };
    const failures: { remote: string; error: Error; retryInMs: number }[] = [];
    const open = (role: Role) =>
      pair[role].open({
        link: link => void ends[role].push(new End(link)),
        failed: (remote, error, retryInMs) => void failures.push({ remote, error, retryInMs }),
      });
    const linked = async () => {
      await vi.waitFor(() => expect(ends.primary.length).toBe(1), WAIT);
      if (supports.log) sayHello(ends.primary[0]!, helloOf('primary'));
      await vi.waitFor(() => expect([ends.primary.length, ends.secondary.length]).toEqual([1, 1]), WAIT);
      return { primary: ends.primary[0]!, secondary: ends.secondary[0]! };
    };
    return { pair, network: pair.network, failures, ends, open, linked };
  }

  /** A link; nobody has attached or said hello, but for a primary whose log has to know it first. */
  async function connect(bounds: Partial<Bounds> = {}) {
    const prepared = await prepare(bounds);
    await prepared.open('secondary');
    await prepared.open('primary');
    return { ...prepared, ...(await prepared.linked()) };
  }

  /** The primary's hello; before a log the first thing of all. */
  function greetPrimary(primary: End): End {
    return supports.log ? primary : sayHello(primary, helloOf('primary'));
  }

  /** Both ends say hello. */
  async function greet({ primary, secondary }: { primary: End; secondary: End }): Promise<void> {
    greetPrimary(primary);
    sayHello(secondary, helloOf('secondary'));
    await Promise.all([primary.received(1), secondary.received(1)]);
    if (supports.log) await vi.waitFor(() => expect(primary.messages.some(each => each.type === 'reader')).toBe(true), WAIT);
    primary.messages.length = 0;
    secondary.messages.length = 0;
  }

  /**
   * Both ends say hello on each link that they make after a fault, until two of them have met. A secondary of a log may
   * follow the primary's old link first, until the new one replaces it.
   */
  async function greetAgain(ends: Readonly<Record<Role, readonly End[]>>): Promise<void> {
    const change = { program: '0.2.0' };
    await vi.waitFor(() => {
      for (const role of ['primary', 'secondary'] as const) {
        for (const end of ends[role]) if (!end.isAttached) sayHello(end, helloOf(role, change));
      }
      const [primary, secondary] = [ends.primary.at(-1)!, ends.secondary.at(-1)!];
      expect(secondary.messages[0]).toEqual(helloOf('primary', change));
      expect(primary.messages.flatMap(helloIn)).toContainEqual(expect.objectContaining({ program: change.program, site: 'south' }));
      expect([...primary.closings, ...secondary.closings]).toEqual([]);
    }, WAIT);
    expect(ends.primary.length).toBe(2);
    if (!supports.log) expect(ends.secondary.length).toBe(2);
  }

  /** Why the secondary is gone, as the primary hears it. */
  async function heardClosing(primary: End): Promise<{ reason: CloseReason; explanation: string }> {
    if (!supports.log) return primary.closed();
    return vi.waitFor(() => {
      const lost = primary.messages.find(message => message.type === 'reader-lost');
      if (lost === undefined) throw new Error('the primary did not hear that its reader is gone');
      return lost;
    }, WAIT);
  }

  /** A link whose ends are attached and have said hello. */
  async function greeted(bounds: Partial<Bounds> = {}) {
    const linked = await connect(bounds);
    await greet(linked);
    return linked;
  }

  describe(`transport ${name}`, () => {
    let cases = 0;
    beforeEach(() => {
      cases += 1;
    });
    afterEach(async () => {
      for (const each of undo.splice(0)) await each[Symbol.asyncDispose]();
    });
    afterAll(() => {
      console.log(`transport ${name}: ${cases} cases`);
      expect(cases, 'cases that ran').toBeGreaterThan(0);
    });

    describe('messages', () => {
      test('hello goes first, both ways, and arrives as it was sent', async () => {
        const { primary, secondary } = await connect();
        const theirs = helloOf('secondary', { stream: null, position: ORIGIN, epochs: [], durable: false });
        greetPrimary(primary);
        sayHello(secondary, theirs);
        expect(await secondary.received(1)).toEqual([helloOf('primary')]);
        if (!supports.log) expect(await primary.received(1)).toEqual([theirs]);
      });

      test.runIf(supports.log)('a log says hello first, and then tells of who reads there, and where they stand', async () => {
        const { primary, secondary } = await connect();
        const theirs = helloOf('secondary', { stream: null, position: ORIGIN, epochs: [], durable: false });
        sayHello(secondary, theirs);
        await primary.received(2);
        expect(primary.messages[0]).toMatchObject({ type: 'hello', hello: { role: 'secondary', position: ORIGIN } });
        expect(primary.messages[1]).toEqual({ ...theirs, type: 'reader', present: true });
        secondary.link.send({ type: 'acknowledge', site: 'south', applied: POSITION, durable: ORIGIN });
        await vi.waitFor(() => {
          expect(primary.messages).toContainEqual({ type: 'acknowledge', site: 'south', applied: POSITION, durable: ORIGIN });
        }, WAIT);
      });

      test.runIf(!supports.log)('every message arrives as it was sent', async () => {
        const { primary, secondary } = await greeted();
        const marks = [{ name: 'před', position: ORIGIN, markedAt: POSITION, time: 4, message: 'we upgrade' }];
        const header = {
          stream: STREAM,
          position: POSITION,
          digest: '0'.repeat(16),
          chain: NO_CHAIN,
          epochs: [EPOCH, EPOCH],
          marks,
          time: 5,
        };
        const down: Message[] = [
          frameOf(9, 0),
          {
            type: 'history-begins',
            base: ORIGIN,
            epochs: [EPOCH],
            last: POSITION,
            reason: { code: 'retention-passed', text: 'the journal reaches back to 4-900 only' },
          },
          { type: 'snapshot-begin', header, reason: { code: 'retention-passed', text: 'the journal reaches back to 4-900 only' } },
          { type: 'snapshot-chunk', bytes: Buffer.from('EVTF, as a chunk may begin') },
          { type: 'snapshot-end', chunks: 1 },
          { type: 'role', from: 'norð', to: 'south', message: { kind: 'lend', after: POSITION } },
        ];
        const up: Message[] = [
          { type: 'acknowledge', site: 'süd', applied: POSITION, durable: ORIGIN },
          { type: 'resend', after: { ...POSITION, revision: Number.MAX_SAFE_INTEGER } },
          { type: 'role', from: 'south', to: 'norð', message: { kind: 'not-promised', epoch: { number: 7, id: EPOCH.id }, text: 'why' } },
          // Asked for above.
          frameOf(9, 0),
        ];
        for (const message of down) primary.link.send(message);
        await secondary.received(down.length);
        for (const message of up) secondary.link.send(message);
        expect(await secondary.received(down.length)).toEqual(down);
        expect(await primary.received(up.length)).toEqual(up);
      });

      test('they arrive whole, unaltered and in order, whatever their sizes', async () => {
        const { primary, secondary } = await greeted();
        const limit = supports.frameBytes - 132;
        const size = fc.oneof(
          fc.nat(300),
          fc.integer({ min: 65_000, max: 66_000 }),
          fc.integer({ min: 261_800, max: 262_300 }),
          fc.nat(Math.min(limit, 2_000_000)),
        );
        const sizes = fc.sample(fc.array(size, { minLength: 40, maxLength: 40, size: 'max' }), { numRuns: 1, seed: 20261 })[0]!;
        const sent: Message[] = [];
        for (const [index, bytes] of sizes.entries()) {
          sent.push(frameOf(index + 1, bytes));
          if (!supports.log && index % 5 === 0) sent.push({ type: 'snapshot-chunk', bytes: Buffer.alloc(bytes + 1, index) });
        }
        for (const message of sent) {
          await vi.waitFor(() => expect(primary.link.writable).toBe(true), WAIT);
          primary.link.send(message);
        }
        // Compared only now: what was handed up earlier must not have been written over since.
        const received = await secondary.received(sent.length);
        expect(received.length).toBe(sent.length);
        for (const [index, message] of sent.entries()) expect(same(message, received[index]!), `message ${index}`).toBe(true);
      });

      test('a frame of the largest size arrives, and small ones around it', async () => {
        const { primary, secondary } = await greeted();
        const frames = [frameOf(1, 10), frameOf(2, supports.frameBytes - 132), frameOf(3, 10)];
        for (const frame of frames) primary.link.send(frame);
        const received = await secondary.received(3);
        for (const [index, frame] of frames.entries()) expect(same(frame, received[index]!)).toBe(true);
      });

      test('many small ones both ways at once', async () => {
        const { primary, secondary } = await greeted();
        for (let revision = 1; revision <= 2000; revision++) {
          primary.link.send(frameOf(revision, revision % 50));
          const applied = { ...POSITION, revision };
          secondary.link.send({ type: 'acknowledge', site: 'south', applied, durable: applied });
        }
        const frames = await secondary.received(2000);
        expect(frames.findIndex((frame, index) => !same(frame, frameOf(index + 1, (index + 1) % 50)))).toBe(-1);
        const acknowledged = () => primary.messages.flatMap(each => (isFrom('south', each) ? [each.applied.revision] : []));
        await vi.waitFor(() => expect(acknowledged().at(-1)).toBe(2000), WAIT);
        const order = acknowledged();
        expect(order).toEqual(supports.log ? order.toSorted((a, b) => a - b) : Array.from({ length: 2000 }, (_, index) => index + 1));
      });
    });

    describe('attaching and pausing', () => {
      test('nothing is lost before attach, however late attach is called', async () => {
        const { primary, secondary } = await connect();
        greetPrimary(primary);
        for (let revision = 1; revision <= 100; revision++) primary.link.send(frameOf(revision, 5000));
        secondary.link.send(helloOf('secondary'));
        await primary.received(1);
        expect(secondary.messages).toEqual([]);
        secondary.attach();
        const received = await secondary.received(101);
        expect(received[0]).toEqual(helloOf('primary'));
        expect(received.slice(1).every((frame, index) => same(frame, frameOf(index + 1, 5000)))).toBe(true);
      });

      test('attach calls no handler by itself at the secondary', async () => {
        const { primary, secondary } = await connect();
        secondary.link.send(helloOf('secondary'));
        if (!supports.log) primary.link.send(helloOf('primary'));
        secondary.attach();
        expect(secondary.messages).toEqual([]);
        expect(await secondary.received(1)).toEqual([helloOf('primary')]);
      });

      // A log's primary is attached before there is a secondary.
      test.runIf(!supports.log)('attach calls no handler by itself at the primary', async () => {
        const { primary, secondary } = await connect();
        secondary.link.send(helloOf('secondary'));
        primary.attach();
        expect(primary.messages).toEqual([]);
        expect(await primary.received(1)).toEqual([helloOf('secondary')]);
      });

      test('a paused link delivers nothing, not even what came with the message that paused it', async () => {
        const { primary, secondary } = await greeted();
        secondary.onMessage = () => secondary.link.pause();
        for (let revision = 1; revision <= 50; revision++) primary.link.send(frameOf(revision, 100));
        for (let revision = 1; revision <= 50; revision++) {
          await secondary.received(revision);
          // The wire goes on meanwhile in the other direction.
          const applied = { ...POSITION, revision };
          secondary.link.send({ type: 'acknowledge', site: 'south', applied, durable: applied });
          await vi.waitFor(() => {
            expect(primary.messages).toContainEqual({ type: 'acknowledge', site: 'south', applied, durable: applied });
          }, WAIT);
          expect(secondary.messages.length).toBe(revision);
          secondary.link.resume();
          expect(secondary.messages.length, 'resume calls no handler by itself').toBe(revision);
        }
        expect(secondary.messages.every((frame, index) => same(frame, frameOf(index + 1, 100)))).toBe(true);
      });

      test('a link that is closed while messages wait delivers none of them', async () => {
        const { primary, secondary } = await greeted();
        secondary.onMessage = () => secondary.link.pause();
        for (let revision = 1; revision <= 50; revision++) primary.link.send(frameOf(revision, 100));
        await secondary.received(1);
        secondary.link.resume();
        secondary.link.close('refused', 'enough');
        await secondary.closed();
        expect(secondary.messages.length).toBe(1);
      });

      test('if a handler throws, its link ends, and not the process', async () => {
        expectErrors('link-handler-threw');
        const { primary, secondary } = await greeted();
        secondary.onMessage = () => {
          throw new Error('a handler threw');
        };
        primary.link.send(frameOf(1, 100));
        primary.link.send(frameOf(2, 100));
        expect((await secondary.closed()).reason).toBe('refused');
        expect(secondary.messages.length).toBe(1);
        expect((await heardClosing(primary)).reason).toBe(supports.closeReasons ? 'refused' : 'lost');
      });
    });

    describe.runIf(supports.backPressure)('a far end that does not read', () => {
      const bounds = { writableBytes: 256 * 1024, bufferedBytes: 2 * 1024 * 1024 };

      test('writable is false at the limit, and drained is called when the far end reads again; nothing is lost', async () => {
        const { primary, secondary } = await greeted(bounds);
        secondary.link.pause();
        const sent = await fill(primary);
        const drained = primary.drained;
        secondary.link.resume();
        await vi.waitFor(() => expect(primary.drained).toBe(drained + 1), WAIT);
        const received = await secondary.received(sent);
        expect(received.every((frame, index) => same(frame, frameOf(index + 1, FILLING_BYTES)))).toBe(true);
      });

      test('writable turns false even before the far end has attached', async () => {
        const { primary, secondary } = await connect(bounds);
        greetPrimary(primary);
        const sent = await fill(primary);
        await secondary.attach().received(sent + 1);
      });

      test('a sender that ignores writable loses the link, and holds at most the limit and one message', async () => {
        const { primary, secondary } = await greeted(bounds);
        secondary.link.pause();
        const frame = frameOf(1, 100_000);
        let sentBytes = 0;
        while (primary.closings.length === 0) {
          for (let burst = 0; burst < 10; burst++) primary.link.send(frame);
          sentBytes += 10 * frame.bytes.length;
          await new Promise(resolve => setImmediate(resolve));
        }
        expect(primary.closings[0]).toMatchObject({ reason: 'too-large', byPeer: false });
        expect(primary.link.writable).toBe(false);
        const heldBytes = sentBytes - primary.link.sentBytes;
        expect(heldBytes).toBeLessThan(bounds.bufferedBytes + 12 * frame.bytes.length);
        primary.link.send(frame);
        secondary.link.resume();
        await secondary.closed();
      });
    });

    describe('closing', () => {
      test('both ends are told of it once, and nothing follows', async () => {
        const { primary, secondary } = await greeted();
        primary.link.send(frameOf(1, 100));
        primary.link.close('fenced', 'epoch 9 began');
        primary.link.close('refused', 'again');
        primary.link.send(frameOf(2, 100));
        await Promise.all([primary.closed(), secondary.closed()]);
        expect(primary.closings).toEqual([{ reason: 'fenced', explanation: 'epoch 9 began', byPeer: false }]);
        expect(secondary.messages.map(message => message.type)).toEqual(['frame']);
        expect(secondary.closings.length).toBe(1);
        secondary.link.send({ type: 'resend', after: ORIGIN });
        secondary.link.close('refused', 'too late');
        expect(secondary.link.writable).toBe(false);
        secondary.link.pause();
        secondary.link.resume();
        await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
        expect([primary.closings.length, secondary.closings.length]).toEqual([1, 1]);
      });

      test
        .runIf(supports.closeReasons)
        .for<CloseReason>([
          'going-away',
          'replaced',
          'fenced',
          'refused',
          'stream-mismatch',
          'history-mismatch',
          'wrong-role',
          'unauthenticated',
          'protocol-violation',
          'protocol-unsupported',
          'too-large',
          'quarantined',
          'silent',
          'lost',
        ])('%s arrives with its explanation, cut between two characters', async reason => {
        const { primary, secondary } = await greeted();
        const explanation = `because 🌲${'ä'.repeat(200)}`;
        secondary.link.close(reason, explanation);
        const closing = await heardClosing(primary);
        expect(closing).toMatchObject(supports.log ? { reason, site: 'south' } : { reason, byPeer: true });
        expect(closing.explanation.length).toBeGreaterThan(50);
        expect(explanation.startsWith(closing.explanation.replace(/…$/, ''))).toBe(true);
        expect(await secondary.closed()).toEqual({ reason, explanation, byPeer: false });
      });

      test('when both close at once, each keeps its own reason', async () => {
        const { primary, secondary } = await greeted();
        primary.link.close('fenced', 'one');
        secondary.link.close('replaced', 'two');
        expect(await primary.closed()).toEqual({ reason: 'fenced', explanation: 'one', byPeer: false });
        expect(await secondary.closed()).toEqual({ reason: 'replaced', explanation: 'two', byPeer: false });
      });

      test('messages from before the far end closed are delivered first, even after a late attach', async () => {
        const { primary, secondary } = await connect();
        greetPrimary(primary).link.send(frameOf(1, 100));
        primary.link.close('going-away', '');
        await new Promise(resolve => setImmediate(resolve));
        if (supports.log) secondary.link.send(helloOf('secondary'));
        secondary.attach();
        await secondary.closed();
        expect(secondary.messages.map(message => message.type)).toEqual(['hello', 'frame']);
      });

      test('a transport that closes says going-away on every link; closing again does nothing', async () => {
        const { primary, secondary, pair } = await greeted();
        await Promise.all([pair.primary.close(), pair.primary.close()]);
        expect(primary.closings).toMatchObject([{ reason: 'going-away', byPeer: false }]);
        const { reason } = await secondary.closed();
        if (supports.closeReasons) expect(reason).toBe('going-away');
        await pair.secondary.close();
        await pair.primary.close();
      });
    });

    describe('signs of life', () => {
      test.runIf(supports.signsOfLife)('an idle link lives, and says so', async () => {
        const heartbeatMs = 60;
        const { primary, secondary } = await greeted({ heartbeatMs });
        for (const end of [primary, secondary]) {
          const seen = end.link.lastSeen;
          const received = end.link.receivedBytes;
          await vi.waitFor(() => expect(end.link.lastSeen).toBeGreaterThanOrEqual(seen + 6 * heartbeatMs), WAIT);
          expect(end.link.receivedBytes).toBeGreaterThan(received);
          // A log repeats its readers' positions: that counts as their sign of life.
          const news = end.messages.filter(message => !supports.log || message.type !== 'acknowledge');
          expect(news).toEqual([]);
          expect(end.closings).toEqual([]);
        }
      });

      test('bytes are counted, both ways', async () => {
        const { primary, secondary } = await greeted();
        const before = { sent: primary.link.sentBytes, received: secondary.link.receivedBytes };
        primary.link.send(frameOf(1, 100_000));
        await secondary.received(1);
        expect(primary.link.sentBytes - before.sent).toBeGreaterThanOrEqual(100_000);
        expect(secondary.link.receivedBytes - before.received).toBeGreaterThanOrEqual(100_000);
      });

      test.runIf(supports.faults)('a message that takes many heartbeats to arrive is a sign of life with each byte', async () => {
        const heartbeatMs = 100;
        const { primary, secondary, network } = await greeted({ heartbeatMs });
        network.setRate(1_000_000);
        const frame = frameOf(1, 900_000);
        primary.link.send(frame);
        const began = Date.now();
        const received = await secondary.received(1);
        expect(Date.now() - began).toBeGreaterThan(6 * heartbeatMs);
        expect(same(received[0]!, frame)).toBe(true);
        expect([...primary.closings, ...secondary.closings]).toEqual([]);
      });

      test.runIf(supports.faults)('a half-open link is found at both ends within three heartbeats', async () => {
        const heartbeatMs = 100;
        const { primary, secondary, network } = await greeted({ heartbeatMs });
        network.halfOpen();
        expect(await primary.closed()).toMatchObject({ reason: 'silent', byPeer: false });
        expect(await secondary.closed()).toMatchObject({ reason: 'silent', byPeer: false });
        // Not earlier than it may; heartbeat.test.ts counts the upper bound on a clock of its own.
        for (const end of [primary, secondary]) expect(Date.now() - end.link.lastSeen).toBeGreaterThanOrEqual(2 * heartbeatMs);
      });
    });

    describe.runIf(supports.violations)('what is not allowed', () => {
      const before: Record<string, (ends: { primary: End; secondary: End }) => void> = {
        'a frame before hello': ({ primary }) => primary.link.send(frameOf(1, 10)),
        'an acknowledge before hello': ({ secondary }) =>
          secondary.link.send({ type: 'acknowledge', site: 'south', applied: ORIGIN, durable: ORIGIN }),
      };
      const after: Record<string, (ends: { primary: End; secondary: End }) => void> = {
        'a second hello': ({ primary }) => primary.link.send(helloOf('primary')),
        'a frame to a primary': ({ secondary }) => secondary.link.send(frameOf(1, 10)),
        'a large frame to a primary': ({ secondary }) => secondary.link.send(frameOf(1, 1_000_000)),
        'an acknowledge to a secondary': ({ primary }) =>
          primary.link.send({ type: 'acknowledge', site: 'south', applied: ORIGIN, durable: ORIGIN }),
        'a frame that is cut short': ({ primary }) => primary.link.send({ type: 'frame', bytes: frameOf(1, 1000).bytes.subarray(0, 900) }),
        'a frame with more behind it': ({ primary }) =>
          primary.link.send({ type: 'frame', bytes: Buffer.concat([frameOf(1, 100).bytes, Buffer.of(1)]) }),
      };

      test.for(Object.keys(before))('%s closes as protocol-violation', async what => {
        const ends = await connect();
        ends.primary.attach();
        ends.secondary.attach();
        before[what]!(ends);
        await expectViolation(ends);
      });

      test.for(Object.keys(after))('%s closes as protocol-violation', async what => {
        const ends = await greeted();
        after[what]!(ends);
        await expectViolation(ends);
      });

      test('a hello that does not name the version of the link closes as protocol-unsupported', async () => {
        const { primary, secondary } = await connect();
        primary.attach().link.send(helloOf('primary', { protocols: [4_000_000_000] }));
        expect(await secondary.attach().closed()).toMatchObject({ reason: 'protocol-unsupported', byPeer: false });
        expect((await primary.closed()).reason).toBe('protocol-unsupported');
        expect(secondary.messages).toEqual([]);
      });
    });

    describe.runIf(supports.faults)('faults', () => {
      /** Who can't get anywhere by itself: who dials, and who reads a log that only a primary makes. */
      const waiting: Role = supports.log ? 'secondary' : 'primary';

      test('after a cut both ends are told `lost`, a prefix has arrived, and a new link is made', async () => {
        const { primary, secondary, network, ends } = await greeted();
        for (let revision = 1; revision <= 200; revision++) primary.link.send(frameOf(revision, 50_000));
        await secondary.received(3);
        if (supports.log) network.setAccepting('refuse');
        network.cut();
        expect(await primary.closed()).toMatchObject({ reason: 'lost', byPeer: false });
        expect(await secondary.closed()).toMatchObject({ reason: 'lost', byPeer: false });
        network.setAccepting('forward');
        expect(secondary.messages.every((frame, index) => same(frame, frameOf(index + 1, 50_000)))).toBe(true);
        await greetAgain(ends);
      });

      test('either end may open first; until both are open, failures say when the next attempt is', async () => {
        const { open, linked, failures, pair } = await prepare();
        await open(waiting);
        await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(2), WAIT);
        await open(waiting === 'primary' ? 'secondary' : 'primary');
        await greet(await linked());
        for (const failure of failures) {
          expect(pair[waiting].remotes).toContain(failure.remote);
          expect(failure.error.message).toContain(failure.remote.replace(/^\w+:\/\/|\/.*$/g, ''));
          expect(failure.retryInMs).toBeGreaterThan(0);
          expect(failure.retryInMs).toBeLessThan(Infinity);
        }
      });

      test.runIf(supports.log)(
        'a cut between two requests of the primary ends its link as lost or not at all, and no frame is lost',
        async () => {
          const { primary, secondary, network, ends, pair } = await greeted();
          const { farEnd } = pair.primary;
          // The primary's wire has had the log's answer just now, and asks again a moment later.
          let wasCut = false;
          primary.onMessage = message => {
            if (wasCut || !isFrom('south', message)) return;
            wasCut = true;
            network.cut();
          };
          secondary.link.send({ type: 'acknowledge', site: 'south', applied: POSITION, durable: POSITION });
          await vi.waitFor(() => expect(wasCut).toBe(true), WAIT);
          const frames = Array.from({ length: 20 }, (_, index) => frameOf(index + 1, 50_000));
          for (const frame of frames) primary.link.send(frame);
          // Each further link is fed as a producer feeds it: with what the log did not acknowledge.
          const fed = new Set([primary]);
          await vi.waitFor(() => {
            const last = ends.primary.at(-1)!;
            if (!last.isAttached) sayHello(last, helloOf('primary'));
            if (!fed.has(last) && last.messages.some(({ type }) => type === 'hello')) {
              fed.add(last);
              for (const frame of frames) last.link.send(frame);
            }
            const taken = last.messages.flatMap(each =>
              farEnd.kind === 'log' && isFrom(farEnd.name, each) ? [each.applied.revision] : [],
            );
            expect(taken.at(-1)).toBe(20);
          }, WAIT);
          for (const { reason, byPeer } of ends.primary.flatMap(({ closings }) => closings)) {
            expect({ reason, byPeer }).toEqual({ reason: 'lost', byPeer: false });
          }
          const received = await vi.waitFor(() => {
            const last = ends.secondary.at(-1)!;
            if (!last.isAttached) sayHello(last, helloOf('secondary', { position: { ...POSITION, revision: 0 } }));
            const found = last.messages.filter(({ type }) => type === 'frame');
            expect(found.length).toBe(20);
            return found;
          }, WAIT);
          for (const [index, frame] of frames.entries()) expect(same(frame, received[index]!), `frame ${index}`).toBe(true);
        },
      );

      test('a far end that refuses connections for a while is reached in the end', async () => {
        const { network, ends, failures, primary } = await greeted();
        network.setAccepting('refuse');
        network.cut();
        await primary.closed();
        await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(2), WAIT);
        network.setAccepting('forward');
        await greetAgain(ends);
      });

      test('a transport that waits for its next attempt can be closed', async () => {
        const { open, failures, pair } = await prepare();
        await open(waiting);
        await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(1), WAIT);
        await pair[waiting].close();
      });
    });
  });
}

const FILLING_BYTES = 60_000;
/** More than the kernels and proxies on the way hold, and far more than `writableBytes`. */
const FILLED_BYTES = 64 * 1024 * 1024;
const TURNS = 30;

/** Sends frames as long as the link is writable, until it stays unwritable; returns how many. */
async function fill(end: End): Promise<number> {
  let sent = 0;
  let turns = 0;
  await vi.waitFor(() => {
    turns = end.link.writable ? 0 : turns + 1;
    while (end.link.writable) end.link.send(frameOf((sent += 1), FILLING_BYTES));
    expect(turns).toBe(TURNS);
  }, WAIT);
  expect(sent * FILLING_BYTES).toBeLessThan(FILLED_BYTES);
  return sent;
}

function sayHello(end: End, hello: Message): End {
  end.attach().link.send(hello);
  return end;
}

async function expectViolation({ primary, secondary }: { primary: End; secondary: End }): Promise<void> {
  const closings = [await primary.closed(), await secondary.closed()];
  expect(closings.map(closing => closing.reason)).toEqual(['protocol-violation', 'protocol-violation']);
  expect([primary.messages, secondary.messages]).toEqual([[], []]);
}

function isFrom(site: string, message: Message): message is Message & { type: 'acknowledge' } {
  return message.type === 'acknowledge' && message.site === site;
}

/** The hello of a far end that is there, as a primary hears it. */
function helloIn(message: Message): readonly Hello[] {
  return message.type === 'hello' || (message.type === 'reader' && message.present) ? [message.hello] : [];
}
