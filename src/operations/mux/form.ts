// The form of an operation on the multiplexed connection (docs/reference/protocol.md): the item of its request, and
// that of its result. Sockets, credit and back pressure belong to the two ends.

import type { AnswerHead } from '../forms/answer-head.ts'
import { decodeRevision, isWholeNumber } from '../forms/decode.ts'
import type { ReadConsistency, ReadGrant } from '../forms/freshness.ts'
import { type ApiError, problemDocument } from '../forms/problems.ts'
import { asRevision, type Revision } from '../forms/store.ts'
import type { OperationOpcode } from './opcodes.ts'

/** An item: its id, its kind, and fields. */
export type Item = readonly unknown[]

/** The limits of a node that a request is decoded with. */
export interface ItemLimits {
  /** Largest page. */
  readonly pageRowsMax: number
  /** Keys and values of a transaction. */
  readonly requestBytesMax: number
}

/** The item of a request, as a node decodes it. */
export interface ItemForm<Q> {
  /** The kind of its item. */
  readonly opcode: OperationOpcode
  /** Largest number of elements of its item. */
  readonly elementsMax: number
  /** Decodes the fields after the timeout. Throws `ApiError`. */
  readonly decode: (item: Item, limits: ItemLimits) => Q
  /** Bytes that count for the credit of a connection. The fields are not checked yet. */
  readonly itemCredit: (item: Item) => number
  /** Bytes that a node keeps until it has answered, or the watch has ended. The credit unless given. */
  readonly heldBytes?: (item: Item) => number
}

export interface MuxRequestForm<Q> extends ItemForm<Q> {
  /** `timeoutMs`: how long the node may take. Throws `ApiError` for what an item cannot say. */
  readonly encode: (id: number, timeoutMs: number, request: Q) => Item
  /** Whether a client sends this request as an item. It sends every one unless given. */
  readonly carries?: (request: Q) => boolean
  /** The credit, as its client counts it. */
  readonly credit: (request: Q) => number
  /** At most the bytes of its item in a message. */
  readonly size: (request: Q) => number
}

/** The item of a result, as a node encodes it. */
export interface MuxResultForm<Q, R, H extends AnswerHead = AnswerHead> {
  readonly encodeResult: (id: number, result: R, head: H, request: Q) => Item
  /** Memory of the item, beside that of any answer. */
  readonly resultBytes: (result: R, request: Q) => number
}

/** An operation whose result is one item. `D`: the result as a client decodes it. */
export interface MuxForm<Q, R, H extends AnswerHead = AnswerHead, D = R>
  extends MuxRequestForm<Q>,
    MuxResultForm<Q, R, H> {
  /** Throws `DisagreementError`. */
  readonly decodeResult: (item: Item, request: Q) => D
  readonly decodeHead: (item: Item) => AnswerHead
}

/** Kinds of the items that end an operation. */
export const SUCCESS = 0
export const PROBLEM = 1

/** Bytes of an item that are no keys and no values: numbers, a slot of a session, a condition of one revision. */
export const ITEM_BYTES = 128

/** Credit for a range, or for a watch that begins. */
export const RANGE_CREDIT_BYTES = 1024

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** The consistency that was served. */
export const servedField = ({ served }: ReadGrant): ReadConsistency => served

/** The bound of staleness. It is rounded up, so that it becomes no smaller. */
export const stalenessField = ({ stalenessMs }: ReadGrant): number | null =>
  stalenessMs === undefined ? null : Math.ceil(stalenessMs)

/** The revision of the outcome of a change. Throws `DisagreementError`. */
export const decodeResultRevision = (item: Item): Revision => decodeRevision(item[2], 'revision')

/** The head of the answer to a read, whose consistency is the element `at`. */
export function decodeReadHead(item: Item, at: number): AnswerHead {
  const [served, stalenessMs] = [item[at], item[at + 1]]
  return {
    revision: decodeRevisionIfAny(item[2]),
    served: served === 'linearizable' || served === 'lease' || served === 'stale' ? served : undefined,
    stalenessMs: typeof stalenessMs === 'number' && stalenessMs >= 0 ? stalenessMs : undefined,
  }
}

/** The head of the answer to a change: the element `at` says whether the outcome is that of an earlier copy. */
export const decodeChangeHead = (item: Item, at: number): AnswerHead => ({
  revision: decodeRevisionIfAny(item[2]),
  replayed: item[at] === true,
})

const decodeRevisionIfAny = (field: unknown): Revision | undefined =>
  isWholeNumber(field) ? asRevision(field) : undefined

/** `isChange`: it says whether the change may have been made. */
export function encodeProblem(id: number, error: ApiError, isChange: boolean): Item {
  const problem = problemDocument(error)
  const document = isChange ? { ...problem, written: error.written } : problem
  return [id, PROBLEM, document, error.revision ?? null, error.replayed]
}
