// The hash of the key of a row, for tables in memory. It is HalfSipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast
// short-input PRF", 2012), under a key that each process draws. With a hash that anybody can calculate, a client could
// choose keys that all share one place of a table. It is stored nowhere.
//
// The hash of 64 bits in src/bytes/siphash.ts takes 7 to 10 times as long: in one run of Node.js 24, 241 against 29 ns
// for a key of 8 bytes, 1,035 against 135 ns for one of 48. Every row that is loaded, read or written is hashed here.

import { randomBytes } from 'node:crypto'
import { readUint32 } from '../bytes/index.ts'

const drawn = randomBytes(8)
let [k0, k1] = [readUint32(drawn, 0) | 0, readUint32(drawn, 4) | 0]

/**
 * Makes all hashes those of this key. For tests and the simulator, whose runs must be alike: which rows a full table
 * forgets depends on their hashes. Called before a table is made.
 */
export function fixKeyHash(key: number): void {
  k0 = key | 0
  k1 = ~key
}

export function hashOfKey(key: Uint8Array): number {
  let v0 = k0
  let v1 = k1
  let v2 = 0x6c796765 ^ k0
  let v3 = 0x74656462 ^ k1
  const { length } = key
  const whole = length & ~3
  for (let at = 0; ; at += 4) {
    // The last word has the rest of the bytes, and the length.
    let word = length << 24
    if (at < whole)
      word =
        (key[at] ?? 0) | ((key[at + 1] ?? 0) << 8) | ((key[at + 2] ?? 0) << 16) | ((key[at + 3] ?? 0) << 24)
    else for (let last = length - 1; last >= at; last--) word |= (key[last] ?? 0) << (8 * (last - at))
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
    if (at >= whole) break
  }
  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  return v1 ^ v3
}
