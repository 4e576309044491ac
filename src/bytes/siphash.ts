// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits. Without the key nobody can predict a hash, or
// find two messages with the same. Words of 64 bits are pairs of integers of 32 bits, because those are ten times as
// fast as BigInts.

import { readUint32 } from './integers.ts'

export const SIPHASH_KEY_BYTES = 16

/** The four words of the state: high and low halves. */
class State {
  h0 = 0
  l0 = 0
  h1 = 0
  l1 = 0
  h2 = 0
  l2 = 0
  h3 = 0
  l3 = 0

  begin([k0, k1]: readonly [Word, Word]): void {
    this.h0 = k0.high ^ 0x736f6d65
    this.l0 = k0.low ^ 0x70736575
    this.h1 = k1.high ^ 0x646f7261
    this.l1 = k1.low ^ 0x6e646f6d
    this.h2 = k0.high ^ 0x6c796765
    this.l2 = k0.low ^ 0x6e657261
    this.h3 = k1.high ^ 0x74656462
    this.l3 = k1.low ^ 0x79746573
  }

  absorb({ high, low }: Word): void {
    this.h3 ^= high
    this.l3 ^= low
    this.#round()
    this.#round()
    this.h0 ^= high
    this.l0 ^= low
  }

  end(): Word {
    this.l2 ^= 0xff
    for (let round = 0; round < 4; round++) this.#round()
    return {
      high: (this.h0 ^ this.h1 ^ this.h2 ^ this.h3) >>> 0,
      low: (this.l0 ^ this.l1 ^ this.l2 ^ this.l3) >>> 0,
    }
  }

  #round(): void {
    let { h0, l0, h1, l1, h2, l2, h3, l3 } = this
    let sum = (l0 >>> 0) + (l1 >>> 0)
    h0 = (h0 + h1 + (sum > 0xffff_ffff ? 1 : 0)) | 0
    l0 = sum | 0
    sum = (l2 >>> 0) + (l3 >>> 0)
    h2 = (h2 + h3 + (sum > 0xffff_ffff ? 1 : 0)) | 0
    l2 = sum | 0
    // Rotations by 13 and 16.
    let high = (h1 << 13) | (l1 >>> 19)
    l1 = ((l1 << 13) | (h1 >>> 19)) ^ l0
    h1 = high ^ h0
    high = (h3 << 16) | (l3 >>> 16)
    l3 = ((l3 << 16) | (h3 >>> 16)) ^ l2
    h3 = high ^ h2
    // By 32.
    high = l0
    l0 = h0
    h0 = high
    sum = (l2 >>> 0) + (l1 >>> 0)
    h2 = (h2 + h1 + (sum > 0xffff_ffff ? 1 : 0)) | 0
    l2 = sum | 0
    sum = (l0 >>> 0) + (l3 >>> 0)
    h0 = (h0 + h3 + (sum > 0xffff_ffff ? 1 : 0)) | 0
    l0 = sum | 0
    // By 17 and 21.
    high = (h1 << 17) | (l1 >>> 15)
    l1 = ((l1 << 17) | (h1 >>> 15)) ^ l2
    h1 = high ^ h2
    high = (h3 << 21) | (l3 >>> 11)
    l3 = ((l3 << 21) | (h3 >>> 11)) ^ l0
    h3 = high ^ h0
    // By 32.
    high = l2
    l2 = h2
    h2 = high
    this.h0 = h0
    this.l0 = l0
    this.h1 = h1
    this.l1 = l1
    this.h2 = h2
    this.l2 = l2
    this.h3 = h3
    this.l3 = l3
  }
}

interface Word {
  readonly high: number
  readonly low: number
}

const state = new State()

/** The hash of `message`. `key`: SIPHASH_KEY_BYTES bytes. */
export function sipHash(key: Uint8Array, message: Uint8Array): Word {
  state.begin([wordAt(key, 0), wordAt(key, 8)])
  const whole = message.length & ~7
  for (let at = 0; at < whole; at += 8) state.absorb(wordAt(message, at))
  const last = new Uint8Array(8)
  last.set(message.subarray(whole))
  last[7] = message.length
  state.absorb(wordAt(last, 0))
  return state.end()
}

/** Eight bytes, of which the first is the lowest. */
const wordAt = (bytes: Uint8Array, at: number): Word => ({
  high: swapped(readUint32(bytes, at + 4)),
  low: swapped(readUint32(bytes, at)),
})

const swapped = (word: number): number =>
  (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)
