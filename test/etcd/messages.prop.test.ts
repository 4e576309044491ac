// Messages of etcd's API in protocol buffers and in JSON: every message of every RPC, with drawn fields.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FRAME_HEAD_BYTES, GrpcFrameReader, withFrameHead } from '../../src/etcd/frames.ts'
import { type MessageCodec, TooManyFieldsError } from '../../src/etcd/message.ts'
import { ProtobufError } from '../../src/etcd/protobuf.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import { runs } from '../runs.ts'

const CODECS: readonly MessageCodec<object>[] = Object.values(RPC).flatMap(({ request, response }) => [
  request as MessageCodec<object>,
  response as MessageCodec<object>,
])

/** Bytes of fields that a message may know: numbers, lengths, and what fits neither. */
const field = fc
  .tuple(fc.integer({ min: 1, max: 13 }), fc.constantFrom(0, 2), fc.uint8Array({ maxLength: 12 }))
  .map(([number, wireType, bytes]) =>
    wireType === 0 ? [number * 8, (bytes[0] ?? 1) & 0x7f] : [number * 8 + 2, bytes.length, ...bytes],
  )
const drawnBytes = fc.array(field, { maxLength: 8 }).map((list) => Uint8Array.from(list.flat()))
const codec = fc.constantFrom(...CODECS)

/** undefined: the bytes are no message. */
function decode(of: MessageCodec<object>, bytes: Uint8Array): object | undefined {
  try {
    return of.decode(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(ProtobufError)
    return undefined
  }
}

test('a message is the same after it was encoded, and after JSON', () => {
  fc.assert(
    fc.property(codec, drawnBytes, (of, bytes) => {
      const message = decode(of, bytes)
      if (message === undefined) return
      const encoded = of.encode(message)
      expect(of.decode(encoded)).toEqual(message)
      expect(of.encode(of.decode(encoded))).toEqual(encoded)
      const json: unknown = JSON.parse(JSON.stringify(of.toJson(message)))
      expect(of.encode(of.fromJson(json))).toEqual(encoded)
    }),
    { numRuns: runs(2_000) },
  )
})

test('fields that are not known are skipped', () => {
  const unknown = Uint8Array.of(0xf8, 0x3f, 1, 0xfa, 0x3f, 2, 7, 7, 0xfd, 0x3f, 1, 2, 3, 4)
  fc.assert(
    fc.property(codec, drawnBytes, (of, bytes) => {
      const message = decode(of, bytes)
      if (message !== undefined) expect(of.decode(Uint8Array.from([...unknown, ...bytes]))).toEqual(message)
    }),
    { numRuns: runs(500) },
  )
})

test('a message that is cut within a field, or any other bytes, are refused as such', () => {
  fc.assert(
    fc.property(
      codec,
      fc.oneof(fc.uint8Array({ maxLength: 40 }), drawnBytes),
      fc.nat(40),
      (of, bytes, end) => {
        decode(of, bytes.subarray(0, end))
      },
    ),
    { numRuns: runs(2_000) },
  )
  const { request } = RPC.put
  const bytes = request.encode({ key: Uint8Array.of(1, 2, 3) })
  for (const end of [1, 2, 3, 4]) expect(() => request.decode(bytes.subarray(0, end))).toThrow(ProtobufError)
})

test('frames may arrive in any pieces', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 5 })
  fc.assert(
    fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (sent, lengths) => {
      const bytes = Buffer.concat(
        sent.map((message) => withFrameHead(Buffer.concat([Buffer.alloc(FRAME_HEAD_BYTES), message]))),
      )
      const reader = new GrpcFrameReader(20)
      const received: Uint8Array[] = []
      for (let at = 0; at < bytes.length; ) {
        const end = at + (lengths.next().value ?? 1)
        for (const message of reader.read(bytes.subarray(at, end))) received.push(Uint8Array.from(message))
        at = end
      }
      expect(received).toEqual(sent.map((message) => Uint8Array.from(message)))
      expect(reader.heldBytes).toBe(0)
    }),
    { numRuns: runs(500) },
  )
})

/** Fields that all count alike: each of them is two bytes of a request, and much more memory. */
const LISTS: Readonly<Record<string, (length: number) => Uint8Array>> = {
  'in one field': (length) => nestedField(1, Uint8Array.of(...tagged(5, length), ...Array(length).fill(1))),
  'in a field each': (length) =>
    nestedField(1, Uint8Array.from(Array.from({ length }, () => [5 * 8, 1]).flat())),
  'of fields that are not known': (length) =>
    Uint8Array.from(Array.from({ length }, () => [15 * 8, 1]).flat()),
  'of empty messages': (length) => Uint8Array.from(Array.from({ length }, () => [3 * 8 + 2, 0]).flat()),
}
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
const tagged = (number: number, length: number): number[] => [number * 8 + 2, ...varint(length)]
const nestedField = (number: number, bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([...tagged(number, bytes.length), ...bytes])

test.each(Object.entries(LISTS))('a list %s counts each element', (_, listOf) => {
  const { request } = RPC.watch
  const bytes = listOf(1_000)
  expect(() => request.decode(bytes, 1_100)).not.toThrow()
  expect(() => request.decode(bytes, 990)).toThrow(TooManyFieldsError)
  // The count begins anew with each message.
  expect(() => request.decode(bytes, 1_100)).not.toThrow()
})
