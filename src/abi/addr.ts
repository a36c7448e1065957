/**
 * Addresses: text <-> `struct lb_addr`, 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
 * The text is canonical (IPv4 dotted, IPv6 as RFC 5952); a v4-mapped text is refused, so that one
 * address has one text.
 */

/** Writes 16 bytes. @throws RangeError when the text is not an address. */
export function addrToBytes(text: string, into: Uint8Array = new Uint8Array(16), at = 0): Uint8Array {
  if (text.includes(':') ? !parse6(text, into, at) : !parse4(text, into, at)) {
    throw new RangeError(`encode address '${text}': not an IP address (EINVAL).`);
  }
  return into;
}

export function isAddr(text: string): boolean {
  const scratch = new Uint8Array(16);
  return text.includes(':') ? parse6(text, scratch, 0) : parse4(text, scratch, 0);
}

/** Canonical text of 16 bytes. */
export function bytesToAddr(bytes: Uint8Array, at = 0): string {
  if (isMapped(bytes, at)) {
    return `${bytes[at + 12]}.${bytes[at + 13]}.${bytes[at + 14]}.${bytes[at + 15]}`;
  }
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2)
    words.push(((bytes[at + i] as number) << 8) | (bytes[at + i + 1] as number));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && words[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    if (length > 0) i += length - 1;
  }
  const hex = (part: number[]) => part.map((w) => w.toString(16)).join(':');
  if (best < 0) return hex(words);
  return `${hex(words.slice(0, best))}::${hex(words.slice(best + bestLength))}`;
}

/** 4 or 6 by the text's form (the text is not checked). */
export function addrFamily(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}

function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

function parse4(text: string, into: Uint8Array, at: number): boolean {
  let value = -1;
  let part = 0;
  const bytes: [number, number, number, number] = [0, 0, 0, 0];
  for (let i = 0; i <= text.length; i++) {
    const c = i < text.length ? text.charCodeAt(i) : 46;
    if (c === 46) {
      if (value < 0 || part > 3) return false;
      bytes[part++] = value;
      value = -1;
    } else if (c >= 48 && c <= 57) {
      if (value === 0) return false; // a leading zero reads as octal elsewhere
      value = Math.max(value, 0) * 10 + (c - 48);
      if (value > 255) return false;
    } else return false;
  }
  if (part !== 4) return false;
  into.fill(0, at, at + 10);
  into[at + 10] = 0xff;
  into[at + 11] = 0xff;
  into.set(bytes, at + 12);
  return true;
}

function parse6(text: string, into: Uint8Array, at: number): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const head = words(halves[0] as string);
  const tail = halves.length === 2 ? words(halves[1] as string) : [];
  if (!head || !tail) return false;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return false;
  const all = [...head, ...new Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  all.forEach((word, i) => {
    into[at + 2 * i] = word >> 8;
    into[at + 2 * i + 1] = word & 0xff;
  });
  return !isMapped(into, at);
}

function words(text: string): number[] | undefined {
  if (text === '') return [];
  const result: number[] = [];
  for (const part of text.split(':')) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    result.push(Number.parseInt(part, 16));
  }
  return result;
}
