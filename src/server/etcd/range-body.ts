// The rows of a response that is too large to be held: they are read and encoded while the client takes them.

import { RangeRowWriter } from '../../etcd/key-values.ts'
import type { Encodable } from '../../etcd/message.ts'
import { type KeyValue, type RangeRequest, RangeResponse } from '../../etcd/messages/kv.ts'
import type { KeyRow } from '../../operations/forms/index.ts'
import type { OpenedRange, Slices } from '../api/opened-range.ts'
import type { EtcdCall } from './call.ts'
import { Selection } from './range-order.ts'
import { tookTooLong } from './range-reading.ts'
import type { ResponseInParts, ValuesInParts } from './rpc.ts'

export type RangeAnswer = Encodable<RangeResponse> | ResponseInParts<RangeResponse>

/** Rows of a response that are encoded. */
export const decodeRows = (part: Uint8Array): readonly KeyValue[] => RangeResponse.decode(part).kvs

interface Extent {
  readonly bytes: number
  readonly rows: number
}

interface WholeExtent extends Extent {
  /** The range has further rows, which the request does not want. */
  readonly more: boolean
}

interface RangeBodyOptions {
  readonly call: EtcdCall
  readonly range: OpenedRange
  /** Slices of records behind those that are encoded already. */
  readonly slices: Slices<KeyRow>
  readonly request: RangeRequest
  /** Rows that are encoded already. The call holds their bytes. */
  readonly parts: readonly Uint8Array[]
  readonly read: Extent
  /** All rows of the response, as their sizes were found before. */
  readonly all: WholeExtent
}

export class RangeBody implements ValuesInParts<KeyValue> {
  readonly bytes: number
  readonly takenUntil: number
  readonly #options: RangeBodyOptions
  readonly #selected: Selection
  readonly #writer = new RangeRowWriter()
  readonly #parts: Uint8Array[]
  /** Parts that are read ahead. */
  #ahead: Promise<readonly Uint8Array[]> | undefined
  #isRead = false
  readonly #closed = Promise.withResolvers<void>()

  constructor(options: RangeBodyOptions) {
    const { call, request, parts, read, all } = options
    this.#options = options
    this.bytes = all.bytes
    this.#selected = new Selection(request, all.rows - read.rows)
    this.#parts = [...parts]
    this.takenUntil = performance.now() + call.api.limits.streamMsMax
  }

  /** Resolves when nobody takes further parts. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  decode(part: Uint8Array): readonly KeyValue[] {
    return decodeRows(part)
  }

  /** Rejects with `GrpcError` or `ApiError`: the response is not complete. */
  async next(): Promise<Uint8Array | undefined> {
    const { call } = this.#options
    for (;;) {
      const part = this.#parts.shift()
      if (part !== undefined) {
        if (this.#parts.length === 0) this.#readAhead()
        call.giveBack(part.length)
        return part
      }
      // The rows that were read ahead may be the last.
      if (this.#isRead && this.#ahead === undefined) return undefined
      if (performance.now() > this.takenUntil) throw tookTooLong()
      this.#readAhead()
      const parts = await this.#ahead
      this.#ahead = undefined
      this.#parts.push(...(parts ?? []))
    }
  }

  close(): void {
    this.#closed.resolve()
  }

  #readAhead(): void {
    if (this.#ahead !== undefined || this.#isRead) return
    this.#ahead = this.#read()
    // It is awaited later, or not at all.
    this.#ahead.catch(() => {})
  }

  /** The rows of the next slice. The last one is given out when all rows are known to be complete. */
  async #read(): Promise<readonly Uint8Array[]> {
    const { call, range, slices, all, read } = this.#options
    const writer = this.#writer
    const selected = this.#selected
    const slice = await slices.next()
    const before = writer.bytes
    if (!slice.done) selected.take(slice.value, (row) => writer.add(row, row.value))
    const parts = writer.take()
    await call.holdInTurn(writer.bytes - before)
    const isFull = read.rows + selected.rows === all.rows
    if (all.more ? isFull : slice.done || slice.value.more === false) {
      await range.finish()
      if (!isFull || read.bytes + writer.bytes !== all.bytes || (selected.more && !all.more)) throw differ()
      this.#isRead = true
    } else if (slice.done || selected.more) throw differ()
    return parts
  }
}

const differ = (): Error => new Error('the records of a range and their sizes differ')
