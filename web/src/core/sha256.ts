/**
 * SHA-256 (FIPS 180-4). The browser's own is asynchronous, and missing outside secure contexts, for instance over
 * plain HTTP from another host.
 */

const PRIMES = Array.from({ length: 310 }, (_, index) => index + 2).filter((n) => {
  for (let divisor = 2; divisor * divisor <= n; divisor += 1) if (n % divisor === 0) return false;
  return true;
});

/** The first 32 bits of the fraction of a root of each prime. */
const fractions = (root: number, count: number) => PRIMES.slice(0, count).map((prime) => (prime ** (1 / root) % 1) * 2 ** 32);

const ROUNDS = Uint32Array.from(fractions(3, 64));

const rotated = (word: number, by: number) => (word >>> by) | (word << (32 - by));

/** The digest of some bytes, in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  const state = Uint32Array.from(fractions(2, 8));
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n);
  for (let at = 0; at < padded.length; at += 64) compress(state, view, at);
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** Takes in one block of 64 bytes. */
function compress(state: Uint32Array, block: DataView, at: number): void {
  const schedule = new Uint32Array(64);
  for (let t = 0; t < 64; t += 1) {
    if (t < 16) {
      schedule[t] = block.getUint32(at + 4 * t);
      continue;
    }
    const [before15, before2] = [schedule[t - 15]!, schedule[t - 2]!];
    const small0 = rotated(before15, 7) ^ rotated(before15, 18) ^ (before15 >>> 3);
    const small1 = rotated(before2, 17) ^ rotated(before2, 19) ^ (before2 >>> 10);
    schedule[t] = schedule[t - 16]! + small0 + schedule[t - 7]! + small1;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let t = 0; t < 64; t += 1) {
    const big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const first = (h + big1 + ((e & f) ^ (~e & g)) + ROUNDS[t]! + schedule[t]!) | 0;
    const big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const second = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  for (const [index, word] of [a, b, c, d, e, f, g, h].entries()) state[index]! += word;
}
