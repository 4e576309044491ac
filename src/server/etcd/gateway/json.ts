// The JSON of requests: one message, or objects that follow each other in the body of a stream.

import { JsonFault, type MessageCodec } from '../../../etcd/message.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { ApiError } from '../../../operations/forms/index.ts'
import { appended } from '../../connections/body.ts'
import { parseJson } from '../../connections/json-body.ts'
import { REQUEST_FIELDS_MAX } from '../rpc.ts'

const LIMITS = { partsMax: REQUEST_FIELDS_MAX, depthMax: 128 } as const

/** Throws `GrpcError` or `ApiError`. Without a body, all fields have their defaults. */
export function decodeRequest<T>(message: MessageCodec<T>, body: Uint8Array): T {
  const json = parseJson(body, LIMITS, keepInteger)
  if (json instanceof ApiError) throw json
  try {
    return message.fromJson(json ?? {})
  } catch (error) {
    throw error instanceof JsonFault ? new GrpcError(GRPC.invalidArgument, error.message) : error
  }
}

/** A number that JavaScript does not hold exactly, such as the id of a lease, stays the text that it is. */
function keepInteger(_name: string, value: unknown, { source }: { readonly source?: string }): unknown {
  const isExact = typeof value !== 'number' || Number.isSafeInteger(value)
  return isExact || source === undefined || !/^-?\d+$/.test(source) ? value : source
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d])
const NOTHING: Buffer = Buffer.alloc(0)

/** Splits a body into objects. */
export class ObjectReader {
  readonly #bytesMax: number
  /** Memory that begins with the object that has not arrived completely. */
  #held: Buffer = NOTHING
  /** The length of its beginning. */
  #length = 0
  /** Where the search for its end continues. */
  #at = 0
  #depth = 0
  #isText = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Memory of an object that has not arrived completely. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** The objects that are complete now. They are valid until the next call. Throws `GrpcError`. */
  read(chunk: Uint8Array): readonly Uint8Array[] {
    this.#held = appended(this.#held, this.#length, chunk)
    const bytes = this.#held.subarray(0, this.#length + chunk.length)
    const objects: Uint8Array[] = []
    let from = 0
    let at = this.#at
    for (; at < bytes.length; at++) {
      const byte = bytes[at]
      if (this.#isText) {
        if (byte === BACKSLASH) at++
        else if (byte === QUOTE) this.#isText = false
      } else if (byte === OPEN) this.#depth++
      else if (byte === CLOSE && this.#depth > 0) {
        if (--this.#depth > 0) continue
        objects.push(bytes.subarray(from, at + 1))
        from = at + 1
      } else if (this.#depth > 0) this.#isText = byte === QUOTE
      else if (SPACES.has(byte)) from = at + 1
      else throw new GrpcError(GRPC.invalidArgument, 'the body is not a sequence of JSON objects')
    }
    this.#at = at - from
    this.#length = bytes.length - from
    if (this.#length > this.#bytesMax) throw ETCD_ERRORS.requestTooLarge
    if (this.#length === 0) this.#held = NOTHING
    else if (from > 0) this.#held = Buffer.from(bytes.subarray(from))
    return objects
  }
}
