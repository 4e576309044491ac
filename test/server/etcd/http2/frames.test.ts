// The buffers of frames that wait for a write: connections share the memory that is left, and no byte of it.

import { expect, test } from 'vitest'
import { FrameBuffer } from '../../../../src/server/etcd/http2/frames.ts'
import { frame, TYPE, uint32 } from '../raw-http2.ts'

const CONNECTIONS = 4
/** Payloads that are copied, that fill the rest of a slab, and that are too large for it. */
const SIZES = [0, 4, 9, 100, 1_000, 4_096, 4_097, 16_384]

test('frames of connections that write in one turn are those of each, also after later ones are written', () => {
  const connections = Array.from({ length: CONNECTIONS }, () => ({
    buffer: new FrameBuffer(),
    taken: [] as Uint8Array[],
    expected: [] as Buffer[],
  }))
  let made = 0
  for (let turn = 0; turn < 60; turn++) {
    // In each turn other connections have frames.
    const writing = connections.filter((_, at) => (turn >> at) % 2 === 0)
    for (let round = 0; round <= turn % 5; round++)
      for (const { buffer, expected } of writing) {
        made++
        const payload = Buffer.alloc(SIZES[made % SIZES.length] ?? 0, made % 251)
        buffer.add(TYPE.data, made % 2, made, payload)
        buffer.addUint32(TYPE.windowUpdate, made, 7 * made)
        expected.push(
          frame(TYPE.data, made % 2, made, payload),
          frame(TYPE.windowUpdate, 0, made, uint32(7 * made)),
        )
      }
    for (const { buffer, taken } of writing) {
      const { length } = buffer
      const parts = buffer.take()
      expect([parts.reduce((sum, part) => sum + part.length, 0), buffer.length]).toEqual([length, 0])
      taken.push(...parts)
    }
  }
  for (const { taken, expected } of connections)
    expect(Buffer.concat(taken).equals(Buffer.concat(expected))).toBe(true)
})
