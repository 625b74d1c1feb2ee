import { createHash } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, it } from 'vitest';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { Identities } from '../encryption/identities.ts';
import { Recipients } from '../encryption/recipients.ts';
import { encodeFramesHeader, encodeImagePartHeader, type FramesHeader } from './object-header.ts';
import { openObject, readObjectHead, sealObject, type UnsealedObject } from './sealed-object.ts';

const SECRET = 'a text that nobody else may read 🌲';
const PARTS = [Buffer.from(SECRET.repeat(40)), Buffer.from('and more')];
const at = (revision: number) => ({ epoch: 1, epochId: 'e'.repeat(16), revision });
const HEADER: FramesHeader = {
  archive: 'a'.repeat(32),
  line: '1'.repeat(16),
  base: at(1),
  last: at(3),
  firstTime: 5,
  lastTime: 6,
  commits: 2,
  plainBytes: Buffer.concat(PARTS).length,
  previous: '0'.repeat(64),
  chain: 'c'.repeat(64),
  digest: 'd'.repeat(16),
  marks: [3],
  after: null,
};
const FRAMES: UnsealedObject = { kind: 'frames', header: HEADER, parts: PARTS };

/** An object that nobody sealed, with a right sum. */
function forged(
  { kind, flags, plainBytes }: { readonly kind: 1 | 2; readonly flags: number; readonly plainBytes: number },
  payload: Buffer,
): Buffer {
  const { archive, line } = HEADER;
  const header = Buffer.from(
    kind === 1
      ? encodeFramesHeader({ ...HEADER, plainBytes })
      : encodeImagePartHeader({ archive, line, position: at(9), part: 1, plainBytes }),
  );
  const prefix = Buffer.from([0x45, 0x56, 0x54, 0x41, 1, kind, flags, 0, 0, 0, 0, 0]);
  prefix.writeUInt32LE(header.length, 8);
  const bytes = Buffer.concat([prefix, header, payload]);
  return Buffer.concat([bytes, createHash('sha256').update(bytes).digest()]);
}

describe('a sealed object', () => {
  it('gives back what was sealed, compressed where that is shorter', async () => {
    const { bytes, sha256 } = await sealObject(FRAMES, 'plain');
    const opened = await openObject(bytes, undefined, 'x');
    expect(opened).toMatchObject({ kind: 'frames', header: HEADER, isCompressed: true, isEncrypted: false, sha256 });
    expect(opened.payload.equals(Buffer.concat(PARTS))).toBe(true);
    expect(bytes.length).toBeLessThan(HEADER.plainBytes);

    const random = Buffer.from(Array.from({ length: 20 }, (_, n) => n * 37));
    const header = { archive: HEADER.archive, line: HEADER.line, position: at(9), part: 1, plainBytes: 20 };
    const image = await sealObject({ kind: 'image', header, parts: [random] }, 'plain');
    const part = await openObject(image.bytes, undefined, 'x');
    expect(part).toMatchObject({ kind: 'image', header, isCompressed: false });
    expect(part.payload.equals(random)).toBe(true);
  });

  it('is encrypted for recipients: head and sum can be read without an identity, and nothing else', async () => {
    const identity = await generateX25519Identity();
    const { bytes } = await sealObject(FRAMES, Recipients.parse([await identityToRecipient(identity)]));
    expect(readObjectHead(bytes, 'x')).toMatchObject({ kind: 'frames', header: HEADER, isEncrypted: true });
    expect(bytes.includes('a text that nobody')).toBe(false);
    await expect(openObject(bytes, undefined, 'stretch/1')).rejects.toMatchObject({
      code: 'IDENTITY_NEEDED',
      message: expect.stringContaining('stretch/1 is encrypted'),
    });
    const opened = await openObject(bytes, Identities.parse([identity]), 'x');
    expect(opened.payload.equals(Buffer.concat(PARTS))).toBe(true);
  });

  it('shows every byte that was changed, and every cut', async () => {
    const { bytes } = await sealObject(FRAMES, 'plain');
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed[index]! ^= 0x10;
      await expect(openObject(changed, undefined, 'stretch/1'), `byte ${index}`).rejects.toMatchObject({
        code: 'DAMAGED',
        message: expect.stringContaining('stretch/1 is damaged'),
        details: { object: 'stretch/1' },
      });
      await expect(openObject(bytes.subarray(0, index), undefined, 'x'), `cut at ${index}`).rejects.toMatchObject({ code: 'DAMAGED' });
    }
  });

  it('has frames in columns where that is shorter, and they come back as they were', async () => {
    const { store } = await memoryStore();
    for (let index = 0; index < 5_000; index++) store.put(['devices', `device ${index % 700}`, 'count'], index * 1_000);
    await store.flush();
    const parts = (await framesOf(store.journal)).map(({ bytes }) => bytes);
    const plainBytes = Buffer.concat(parts).length;
    const { bytes } = await sealObject({ kind: 'frames', header: { ...HEADER, plainBytes }, parts }, 'plain');
    const opened = await openObject(bytes, undefined, 'x');
    expect(opened).toMatchObject({ isInColumns: true, isCompressed: true });
    expect(opened.payload.equals(Buffer.concat(parts))).toBe(true);
    expect(bytes.length).toBeLessThan(plainBytes / 15);
  });

  it('is damaged if its columns are not those of frames, whatever they ask for', async () => {
    const bomb = Buffer.alloc(64 * 1024 * 1024);
    const huge = 400 * 1024 * 1024;
    const objects = [
      forged({ kind: 1, flags: 4, plainBytes: 500 }, Buffer.from('no columns')),
      forged({ kind: 1, flags: 5, plainBytes: 500 }, zstdCompressSync(Buffer.alloc(30))),
      forged({ kind: 1, flags: 5, plainBytes: 500 }, zstdCompressSync(bomb)),
      forged({ kind: 1, flags: 5, plainBytes: huge }, zstdCompressSync(bomb)),
      forged({ kind: 1, flags: 4, plainBytes: huge }, Buffer.alloc(30)),
    ];
    for (const object of objects) await expect(openObject(object, undefined, 'stretch/1')).rejects.toMatchObject({ code: 'DAMAGED' });
    const image = forged({ kind: 2, flags: 4, plainBytes: 30 }, Buffer.alloc(30));
    await expect(openObject(image, undefined, 'image/1')).rejects.toMatchObject({ code: 'DAMAGED' });
    await expect(openObject(forged({ kind: 1, flags: 8, plainBytes: 30 }, Buffer.alloc(30)), undefined, 'x')).rejects.toMatchObject({
      code: 'FORMAT_UNSUPPORTED',
    });
  });

  it('is not sealed where header and payload differ', async () => {
    await expect(sealObject({ ...FRAMES, header: { ...HEADER, plainBytes: 1 } }, 'plain')).rejects.toMatchObject({
      code: 'FORMAT_INVALID',
    });
  });
});
