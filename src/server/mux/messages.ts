// Messages as bytes: arrays of items in MessagePack. Records, an extension of msgpackr, are not used, so that any
// implementation of MessagePack can read them.

import { Packr } from 'msgpackr'
import { Fault, ID_MAX, PROTOCOL_ERROR } from './protocol.ts'
import { UnreadableError, unpack } from './unpack.ts'

/** An item: its id, what it asks for or how it ends, and fields. */
export type Item = readonly unknown[]

const packr = new Packr({ useRecords: false })

export const packMessage = (items: readonly Item[]): Uint8Array => packr.pack(items)

/** The items of a message; their fields are not checked yet. Throws `Fault`. */
export function readMessage(bytes: Buffer): readonly unknown[] {
  let message: unknown
  try {
    message = unpack(bytes)
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    throw new Fault(PROTOCOL_ERROR, `the message cannot be read: ${error.message}`)
  }
  if (!Array.isArray(message)) throw new Fault(PROTOCOL_ERROR, 'a message is an array of items')
  return message
}

export function asItem(item: unknown): Item {
  if (Array.isArray(item)) return item
  throw new Fault(PROTOCOL_ERROR, 'an item is an array')
}

export function idOf(item: Item): number {
  const id = item[0]
  if (typeof id === 'number' && Number.isInteger(id) && id >= 1 && id <= ID_MAX) return id
  throw new Fault(PROTOCOL_ERROR, `an id is a whole number from 1 to ${ID_MAX}`)
}
