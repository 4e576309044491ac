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
  /** Memory of what has been added. */
  #held: Buffer = NOTHING
  /** Where the next object begins in it, where the search for its end continues, and where the bytes end. */
  #from = 0
  #at = 0
  #end = 0
  #depth = 0
  #isText = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Memory of what was not returned yet. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** Adds the bytes that follow. All complete objects have been returned. */
  add(chunk: Uint8Array): void {
    const rest = this.#from === 0 ? this.#held : Buffer.from(this.#held.subarray(this.#from, this.#end))
    this.#at -= this.#from
    this.#end -= this.#from
    this.#from = 0
    this.#held = appended(rest, this.#end, chunk)
    this.#end += chunk.length
  }

  /**
   * The next object; undefined: it has not arrived completely. It is valid until the next call, and no list of all is
   * made: an object of two bytes would take a hundred in it. Throws `GrpcError`.
   */
  next(): Uint8Array | undefined {
    const bytes = this.#held
    for (; this.#at < this.#end; this.#at++) {
      const byte = bytes[this.#at]
      if (this.#isText) {
        if (byte === BACKSLASH) this.#at++
        else if (byte === QUOTE) this.#isText = false
      } else if (byte === OPEN) this.#depth++
      else if (byte === CLOSE && this.#depth > 0) {
        if (--this.#depth > 0) continue
        const object = bytes.subarray(this.#from, ++this.#at)
        this.#from = this.#at
        return object
      } else if (this.#depth > 0) this.#isText = byte === QUOTE
      else if (SPACES.has(byte)) this.#from = this.#at + 1
      else throw new GrpcError(GRPC.invalidArgument, 'the body is not a sequence of JSON objects')
    }
    if (this.#end - this.#from > this.#bytesMax) throw ETCD_ERRORS.requestTooLarge
    if (this.#from < this.#end) return undefined
    this.#held = NOTHING
    this.#from = 0
    this.#at = 0
    this.#end = 0
    return undefined
  }
}
