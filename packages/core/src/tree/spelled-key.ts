/** Whether bytes, from `start` to `end`, spell an ASCII key; one with other characters never is. */
export function isSpelled(key: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false;
  for (let index = 0; index < key.length; index++) {
    const byte = bytes[start + index]!;
    // Above 127 a byte is part of a character and no character itself: the bytes of "é" are not the key "Ã©".
    if (byte > 127 || key.charCodeAt(index) !== byte) return false;
  }
  return true;
}
