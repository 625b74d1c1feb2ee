import { Decrypter, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, it } from 'vitest';
import { Identities } from './identities.ts';
import { Recipients } from './recipients.ts';

/** Made for this test by `age-keygen`, and used for nothing else. */
const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
/** What `age -r`, version 1.1.1, made of «written by age 1.1.1 🌲». */
const BY_AGE = [
  '6167652d656e6372797074696f6e2e6f72672f76310a2d3e2058323535313920716f382f2b7655716e6f4d577952505a6650',
  '6f736f5734416e4930674c326e7761676b3974514a35656a380a492f58316471656c6947793164522b50526a66776839396d',
  '4c4f7151744f5858634b5255794c784c5673410a2d2d2d206174794279705838644c443273704d6678515656546d4e2b6748',
  '49722b49584b726c76445065576858366f0ac350b5288a450c15863444cd545b422f5e5774e40fa8d1fe84adc47958d143b7',
  'c1a0183ef0f3c4b228f2d020510fc38cee2fa0b189c1b183e9',
].join('');

const PIECE = 64 * 1024;
const LENGTHS = [0, 1, 1_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 17];

function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff));
}

describe('encryption', () => {
  it('reads what age itself wrote', async () => {
    const identities = Identities.parse([IDENTITY]);
    const plain = await identities.decrypt(Buffer.from(BY_AGE, 'hex'), 'a file');
    expect(plain.toString('utf8')).toBe('written by age 1.1.1 🌲');
    expect(await identities.hashes()).toEqual(Recipients.parse([RECIPIENT]).hashes);
  });

  it.each(LENGTHS)('agrees with the library both ways about %d bytes', async length => {
    const plain = bytes(length);
    const encrypter = new Encrypter();
    encrypter.addRecipient(RECIPIENT);
    const theirs = await encrypter.encrypt(plain);
    const read = await Identities.parse([IDENTITY]).decrypt(theirs, 'a file');
    expect(read.equals(plain)).toBe(true);

    const ours = await Recipients.parse([RECIPIENT]).encrypt(plain);
    expect(ours.length).toBe(theirs.length);
    const decrypter = new Decrypter();
    decrypter.addIdentity(IDENTITY);
    expect(Buffer.from(await decrypter.decrypt(ours)).equals(plain)).toBe(true);
  });

  it('encrypts for several recipients of every kind, and each of them reads it', async () => {
    const others = [await generateX25519Identity(), await generateHybridIdentity()];
    const texts = [RECIPIENT, ...(await Promise.all(others.map(other => identityToRecipient(other))))];
    const recipients = Recipients.parse([`# mine\n\n${texts[0]}\r\n`, `${texts[1]}\n${texts[2]}\n${texts[1]}\n`]);
    expect(recipients.hashes).toHaveLength(3);
    const file = await recipients.encrypt(bytes(100));
    for (const identity of [IDENTITY, ...others]) {
      expect((await Identities.parse([`# a comment\n${identity}\n`]).decrypt(file, 'a file')).equals(bytes(100))).toBe(true);
    }
  });

  it('never encrypts two files alike', async () => {
    const recipients = Recipients.parse([RECIPIENT]);
    const [one, two] = [await recipients.encrypt(bytes(100)), await recipients.encrypt(bytes(100))];
    expect(one.subarray(-100).equals(two.subarray(-100))).toBe(false);
  });

  it('refuses a file for others, and names it', async () => {
    const file = await Recipients.parse([await identityToRecipient(await generateX25519Identity())]).encrypt(bytes(5));
    await expect(Identities.parse([IDENTITY]).decrypt(file, 'image/1')).rejects.toMatchObject({
      code: 'IDENTITY_NEEDED',
      message: expect.stringContaining('image/1 is encrypted for others'),
    });
  });

  it('finds any byte that was changed, and pieces that are missing, moved or added', async () => {
    const identities = Identities.parse([IDENTITY]);
    const small = await Recipients.parse([RECIPIENT]).encrypt(bytes(40));
    for (let at = 0; at < small.length; at++) {
      const changed = Buffer.from(small);
      changed[at]! ^= 1;
      await expect(identities.decrypt(changed, 'a file'), `byte ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(DAMAGED|IDENTITY_NEEDED)$/),
      });
    }
    const file = await Recipients.parse([RECIPIENT]).encrypt(bytes(3 * PIECE));
    const start = file.length - 3 * (PIECE + 16);
    const [head, ...pieces] = [0, 1, 2, 3].map(n => file.subarray(n && start + (n - 1) * (PIECE + 16), start + n * (PIECE + 16)));
    const [one, two, three] = pieces as [Buffer, Buffer, Buffer];
    for (const wrong of [
      [one, two],
      [two, one, three],
      [one, two, two, three],
      [one, two, three, three],
      [one, two, three, Buffer.alloc(16)],
      [],
    ]) {
      const cut = Buffer.concat([head!, ...wrong]);
      await expect(identities.decrypt(cut, 'a file')).rejects.toMatchObject({ code: 'DAMAGED' });
    }
  });

  it.each([
    ['', 'there is no recipient'],
    ['# nothing\n', 'there is no recipient'],
    ['age1nonsense', '"age1nonsense" is no recipient'],
    ['ssh-ed25519 AAAA', 'is no recipient'],
    [IDENTITY, 'must not hold it'],
  ])('takes no recipients from %j', (text, message) => {
    expect(() => Recipients.parse([text])).toThrow(message);
    expect(() => Recipients.parse([text])).not.toThrow(IDENTITY);
  });

  it.each([
    ['', 'there is no identity'],
    [`\n${RECIPIENT}`, 'line 2 of the identities is a recipient'],
    ['-----BEGIN AGE ENCRYPTED FILE-----', 'line 1 of the identities is a file that is encrypted itself'],
    ['AGE-SECRET-KEY-1NONSENSE', 'line 1 of the identities is no identity'],
  ])('takes no identities from %j', (text, message) => {
    expect(() => Identities.parse([text])).toThrow(message);
    expect(() => Identities.parse([text])).not.toThrow('NONSENSE');
  });
});
