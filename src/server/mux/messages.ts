// Messages as bytes: arrays of items in MessagePack. Records, an extension of msgpackr, are not used, so that any
// implementation of MessagePack can read them.

import { Packr } from 'msgpackr'
import { LARGEST_ID } from '../../operations/mux/connection.ts'
import type { Item } from '../../operations/mux/form.ts'
import { PROTOCOL_ERROR, ProtocolFault } from './protocol-fault.ts'
import { UnreadableError, unpack } from './unpack.ts'

const packr = new Packr({ useRecords: false })

/** An item that many connections send, packed once except for its id. */
export class SharedItem {
  readonly id: number
  readonly kind: number
  /** Its other elements, packed, and their number. */
  readonly rest: Uint8Array
  readonly restCount: number

  constructor(id: number, kind: number, rest: Uint8Array, restCount: number) {
    this.id = id
    this.kind = kind
    this.rest = rest
    this.restCount = restCount
  }

  get bytes(): number {
    return SHARED_HEAD_BYTES + this.rest.length
  }

  /** Returns where the next item begins. */
  writeTo(message: Buffer, at: number): number {
    // An array of up to 15 elements, an integer of 32 bits, an integer below 128.
    message[at] = 0x90 + 2 + this.restCount
    message[at + 1] = 0xce
    message.writeUInt32BE(this.id, at + 2)
    message[at + 6] = this.kind
    message.set(this.rest, at + SHARED_HEAD_BYTES)
    return at + this.bytes
  }
}

const SHARED_HEAD_BYTES = 7

/** Packs values one after the other. */
export const packAll = (...values: readonly unknown[]): Uint8Array =>
  Buffer.concat(values.map((value) => packr.pack(value)))

/** The head of an array, in the shortest form, as `packAll` writes it. */
export function arrayHead(length: number): Uint8Array {
  if (length < 16) return Uint8Array.of(0x90 + length)
  if (length < 2 ** 16) return Uint8Array.of(0xdc, length >> 8, length & 0xff)
  const head = Buffer.alloc(ARRAY_HEAD_BYTES)
  head[0] = 0xdd
  head.writeUInt32BE(length, 1)
  return head
}

export function packMessage(items: readonly (Item | SharedItem)[]): Uint8Array {
  if (!items.some((item) => item instanceof SharedItem)) return packr.pack(items)
  const parts = items.map((item) => (item instanceof SharedItem ? item : packr.pack(item)))
  const bytes = parts.reduce((sum, part) => sum + (part instanceof SharedItem ? part.bytes : part.length), 0)
  const message = Buffer.allocUnsafe(ARRAY_HEAD_BYTES + bytes)
  message[0] = 0xdd
  message.writeUInt32BE(items.length, 1)
  let at = ARRAY_HEAD_BYTES
  for (const part of parts) {
    if (part instanceof SharedItem) at = part.writeTo(message, at)
    else {
      message.set(part, at)
      at += part.length
    }
  }
  return message
}

/** Head of an array of up to 2^32 - 1 elements. */
const ARRAY_HEAD_BYTES = 5

/** The items of a message; their fields are not checked yet. Throws `ProtocolFault`. */
export function readMessage(bytes: Buffer): readonly unknown[] {
  let message: unknown
  try {
    message = unpack(bytes)
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    throw new ProtocolFault(PROTOCOL_ERROR, `the message cannot be read: ${error.message}`)
  }
  if (!Array.isArray(message)) throw new ProtocolFault(PROTOCOL_ERROR, 'a message is an array of items')
  return message
}

export function asItem(item: unknown): Item {
  if (Array.isArray(item)) return item
  throw new ProtocolFault(PROTOCOL_ERROR, 'an item is an array')
}

export function decodeRequestId(item: Item): number {
  const id = item[0]
  if (typeof id === 'number' && Number.isInteger(id) && id >= 1 && id <= LARGEST_ID) return id
  throw new ProtocolFault(PROTOCOL_ERROR, `an id is a whole number from 1 to ${LARGEST_ID}`)
}
