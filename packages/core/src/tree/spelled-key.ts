/** Whether bytes from `start` to `end` spell a key of ASCII characters; false for any other key. */
export function isSpelled(key: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false;
  for (let index = 0; index < key.length; index++) {
    const byte = bytes[start + index]!;
    // A byte above 127 is part of a character: the bytes of "é" do not spell the key "Ã©".
    if (byte > 127 || key.charCodeAt(index) !== byte) return false;
  }
  return true;
}
