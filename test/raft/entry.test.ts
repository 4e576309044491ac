// The bytes of an entry: every field at its limits, frames of all sizes side by side, and bytes that are not a frame.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BODY_AT,
  frameBody,
  frameClusterTimeMs,
  frameIndex,
  frameIntact,
  frameKind,
  frameTerm,
  frameVersion,
  newFrame,
  readHeader,
  sealFrame,
  stampFrame,
} from '../../src/raft/entry.ts'
import { asIndex, asReplicaId, asTerm } from '../../src/raft/types.ts'
import { runs } from '../runs.ts'
import { crc32 } from './harness/frames.ts'

const upTo = (bits: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: 0, max: bits }).map((bit) => Math.max(0, 2 ** bit - 1)),
    fc.integer({ min: 0, max: bits - 1 }).map((bit) => 2 ** bit),
    fc.maxSafeInteger().map((value) => Math.abs(value) % 2 ** bits),
  )

const header = fc.record({
  kind: upTo(8),
  version: upTo(8),
  proposer: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => asReplicaId(`${value}`)),
  boot: upTo(32),
  seq: upTo(48),
})
const stamp = fc.record({ term: upTo(53), index: upTo(53), clusterTimeMs: upTo(53) })

describe('a frame', () => {
  test('holds what was written into it, at every size, and nothing of its neighbours', () => {
    // Sizes around the limit for frames in a shared slab, and enough of them for several slabs.
    const bodyBytes = fc.oneof(fc.nat(300), fc.integer({ min: 8100, max: 8300 }), fc.nat(70_000))
    const frames = fc.array(fc.record({ header, stamp, bodyBytes }), { minLength: 1, maxLength: 40 })
    const property = fc.property(frames, (all) => {
      const made = all.map(({ header: given, stamp: stamped, bodyBytes: bytes }, at) => {
        const frame = newFrame(given, bytes)
        frame.fill(at + 1, BODY_AT)
        stampFrame(
          sealFrame(frame, crc32),
          asTerm(stamped.term),
          asIndex(stamped.index),
          stamped.clusterTimeMs,
        )
        return frame
      })
      for (const [at, frame] of made.entries()) {
        const { header: given, stamp: stamped, bodyBytes: bytes } = all[at] ?? expect.fail()
        expect(readHeader(frame)).toEqual({
          ...given,
          ...stamped,
          frameBytes: BODY_AT + bytes,
          crc: crc32(frame.subarray(32)),
        })
        expect([frameKind(frame), frameVersion(frame)]).toEqual([given.kind, given.version])
        expect([frameTerm(frame), frameIndex(frame)]).toEqual([stamped.term, stamped.index])
        expect(frameClusterTimeMs(frame)).toBe(stamped.clusterTimeMs)
        expect(frame.length).toBe(BODY_AT + bytes)
        expect(frameBody(frame).every((byte) => byte === at + 1)).toBe(true)
        expect(frameBody(frame).length).toBe(bytes)
        expect(frameIntact(frame, crc32)).toBe(true)
      }
    })
    fc.assert(property, { numRuns: runs(100) })
  })

  test('small ones share memory, large ones do not hold more than they need', () => {
    const made = { kind: 20, version: 1, proposer: asReplicaId('1'), boot: 1, seq: 1 }
    const frames = Array.from({ length: 1000 }, () => newFrame(made, 100))
    expect(frames.every((frame) => frame.length === BODY_AT + 100)).toBe(true)
    // 154,000 bytes, and the slab that was begun before.
    const slabs = new Set(frames.map(({ buffer }) => buffer))
    expect([3, 4]).toContain(slabs.size)
    expect(newFrame(made, 8192 - BODY_AT).buffer.byteLength).toBe(64 * 1024)
    expect(newFrame(made, 8193 - BODY_AT).buffer.byteLength).toBe(8193)
  })

  test('of which a payload bit is flipped, a byte is missing or a byte is too much is not intact', () => {
    const frame = newFrame({ kind: 20, version: 1, proposer: asReplicaId('77'), boot: 3, seq: 9 }, 5)
    frame.set([1, 2, 3, 4, 5], BODY_AT)
    sealFrame(frame, crc32)
    for (let at = 32; at < frame.length; at++) {
      const flipped = Uint8Array.from(frame)
      flipped[at] = (flipped[at] ?? 0) ^ 1
      expect(frameIntact(flipped, crc32)).toBe(false)
    }
    for (const at of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const flipped = Uint8Array.from(frame)
      flipped[at] = (flipped[at] ?? 0) ^ 1
      expect(frameIntact(flipped, crc32)).toBe(false)
    }
    for (let length = 0; length < frame.length; length++) {
      expect(frameIntact(frame.subarray(0, length), crc32)).toBe(false)
    }
    expect(frameIntact(Uint8Array.from([...frame, 0]), crc32)).toBe(false)
    // The leader's stamp is not sealed.
    stampFrame(frame, asTerm(4), asIndex(5), 6)
    expect(frameIntact(frame, crc32)).toBe(true)
  })

  test('too short to hold a header is not intact, whatever its length says', () => {
    const short = new Uint8Array(BODY_AT - 1)
    short[3] = short.length
    expect(frameIntact(sealFrame(short, crc32), crc32)).toBe(false)
    const empty = newFrame({ kind: 0, version: 0, proposer: asReplicaId('0'), boot: 0, seq: 0 }, 0)
    expect(frameIntact(sealFrame(empty, crc32), crc32)).toBe(true)
  })

  test('with an integer that a number cannot hold is refused', () => {
    const frame = newFrame({ kind: 20, version: 1, proposer: asReplicaId('1'), boot: 1, seq: 1 }, 0)
    frame.fill(0xff, 8, 16)
    expect(() => frameTerm(frame)).toThrow('integer beyond 2^53 at byte 8')
    expect(() => readHeader(frame)).toThrow(RangeError)
  })
})
