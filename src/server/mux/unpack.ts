// Reads MessagePack from a client. Only what the protocol has is read: nil, booleans, numbers, strings, bytes, arrays,
// and maps with strings as names. The library that writes messages (msgpackr) can read them as well, but it would also
// read all its extensions: regular expressions, errors, numbers of any length, and records, for which it generates
// code. And it would make any number of objects out of one message, while heartbeats wait.

import { isUtf8 } from 'node:buffer'

/** Bytes that are not such a message. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
}

/** Arrays, maps, names and values of one message. */
export const PARTS_MAX = 128 * 1024
/** Most nested lists and maps. A transaction within another one is three deeper; transactions have a lower limit. */
const DEPTH_MAX = 256

/**
 * An operation may wait for a minute. Bytes that share the memory of their message keep all of it for so long, so byte
 * strings are copied, unless they are most of it. Throws `UnreadableError`.
 */
export function unpack(message: Buffer): unknown {
  bytes = message
  at = 0
  parts = 0
  try {
    const value = readValue(0)
    if (at !== message.length) throw new UnreadableError('there are bytes after the message')
    return value
  } finally {
    bytes = NOTHING
  }
}

const NOTHING = Buffer.alloc(0)

// One message is read at a time.
let bytes: Buffer = NOTHING
let at = 0
let parts = 0

function readValue(depth: number): unknown {
  if (++parts > PARTS_MAX) throw tooMany()
  const type = bytes[at++]
  if (type === undefined) throw new UnreadableError('the message is cut off')
  if (type < 0x80) return type
  if (type < 0x90) return readMap(type & 0x0f, depth)
  if (type < 0xa0) return readArray(type & 0x0f, depth)
  if (type < 0xc0) return readText(type & 0x1f)
  if (type >= 0xe0) return type - 0x100
  switch (type) {
    case 0xc0:
      return null
    case 0xc2:
      return false
    case 0xc3:
      return true
    case 0xc4:
      return readBytes(uint(1))
    case 0xc5:
      return readBytes(uint(2))
    case 0xc6:
      return readBytes(uint(4))
    case 0xca:
      return bytes.readFloatBE(skip(4))
    case 0xcb:
      return bytes.readDoubleBE(skip(8))
    case 0xcc:
      return uint(1)
    case 0xcd:
      return uint(2)
    case 0xce:
      return uint(4)
    case 0xcf:
      return uint(4) * 2 ** 32 + uint(4)
    case 0xd0:
      return bytes.readInt8(skip(1))
    case 0xd1:
      return bytes.readInt16BE(skip(2))
    case 0xd2:
      return bytes.readInt32BE(skip(4))
    case 0xd3:
      return bytes.readInt32BE(skip(4)) * 2 ** 32 + uint(4)
    case 0xd9:
      return readText(uint(1))
    case 0xda:
      return readText(uint(2))
    case 0xdb:
      return readText(uint(4))
    case 0xdc:
      return readArray(uint(2), depth)
    case 0xdd:
      return readArray(uint(4), depth)
    case 0xde:
      return readMap(uint(2), depth)
    case 0xdf:
      return readMap(uint(4), depth)
    default:
      throw new UnreadableError(`type ${type} of MessagePack is not used here`)
  }
}

const tooMany = (): UnreadableError => new UnreadableError(`a message has at most ${PARTS_MAX} parts`)

/** Moves on, and returns where these bytes begin. */
function skip(length: number): number {
  const begin = at
  at += length
  if (at > bytes.length) throw new UnreadableError('the message is cut off')
  return begin
}

function uint(length: 1 | 2 | 4): number {
  const begin = skip(length)
  if (length === 1) return bytes[begin] ?? 0
  return length === 2 ? bytes.readUInt16BE(begin) : bytes.readUInt32BE(begin)
}

const readBytes = (length: number): Buffer => {
  const begin = skip(length)
  const shared = bytes.subarray(begin, begin + length)
  return 2 * length < bytes.buffer.byteLength ? Buffer.from(shared) : shared
}

/** Bytes that are not UTF-8 would be replaced, and different keys would become the same one. */
const readText = (length: number): string => {
  const begin = skip(length)
  const text = bytes.toString('utf8', begin, begin + length)
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(begin, begin + length)))
    throw new UnreadableError('a string is not UTF-8: bytes are sent as bin')
  return text
}

function readArray(length: number, depth: number): unknown[] {
  if (depth === DEPTH_MAX) throw new UnreadableError(`nested more than ${DEPTH_MAX} deep`)
  if (length > PARTS_MAX - parts) throw tooMany()
  const array = new Array<unknown>(length)
  for (let i = 0; i < length; i++) array[i] = readValue(depth + 1)
  return array
}

function readMap(length: number, depth: number): ReadonlyMap<string, unknown> {
  if (depth === DEPTH_MAX) throw new UnreadableError(`nested more than ${DEPTH_MAX} deep`)
  const map = new Map<string, unknown>()
  for (let i = 0; i < length; i++) {
    const name = readValue(depth + 1)
    if (typeof name !== 'string' || map.has(name))
      throw new UnreadableError('names of a map are strings, each once')
    map.set(name, readValue(depth + 1))
  }
  return map
}
