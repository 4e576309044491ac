// Tells two different requests with the same idempotency token apart. 64 bits: two lanes of MurmurHash3 (Appleby,
// public domain) with different seeds. It detects a client's mistake. It does not protect against an attacker.

import { writeUint32 } from '../bytes/index.ts'

export const FINGERPRINT_BYTES = 8

/** The fingerprint of `bytes` in an entry of `kind`. */
export function fingerprint(kind: number, bytes: Uint8Array): Uint8Array {
  const print = new Uint8Array(FINGERPRINT_BYTES)
  writeUint32(print, 0, murmur3(bytes, kind))
  writeUint32(print, 4, murmur3(bytes, ~kind))
  return print
}

/** The first of the two lanes alone, for a request that is known by a session, its slot and its number. */
export const fingerprint32 = (kind: number, bytes: Uint8Array): number => murmur3(bytes, kind)

/** A DataView reads a word four times as fast as four reads of bytes. Making it takes as long as reading 60 bytes. */
function murmur3(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const whole = bytes.length & ~3
  let hash = seed
  for (let at = 0; at < whole; at += 4) {
    const word = scramble(view.getInt32(at, true))
    // Without `| 0` the sum would be no 32-bit integer, and V8 would calculate with doubles.
    hash = (Math.imul(rotate(hash ^ word, 13), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= whole; at--) tail = (tail << 8) | view.getUint8(at)
  return finish(hash ^ scramble(tail) ^ bytes.length)
}

const scramble = (k: number): number => Math.imul(rotate(Math.imul(k, 0xcc9e2d51), 15), 0x1b873593)

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
