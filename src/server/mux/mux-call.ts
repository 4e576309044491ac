// One operation of a multiplexed connection, from its arrival to its answer.

import type { Span, SpanContext } from '@opentelemetry/api'
import type { ApiError, KeyRow } from '../../operations/forms/index.ts'
import {
  type ItemOperation,
  OPERATIONS,
  type Operation,
  type OperationLabel,
} from '../../operations/index.ts'
import { decodeTrace } from '../../operations/mux/connection.ts'
import { decodeTimeout } from '../../operations/mux/fields.ts'
import { encodeProblem, type Item } from '../../operations/mux/form.ts'
import type { RecordField } from '../../operations/mux/records.ts'
import { traceContextFrom } from '../../tracing/trace-context.ts'
import { endFailed, tracer } from '../../tracing/tracer.ts'
import type { Call, PageCollector, Permit, Principal } from '../api/call.ts'
import { answerWithinMs } from '../api/limits.ts'
import type { WatchHandle, WatchSink } from '../node/watch/index.ts'
import type { MuxWatch } from './watch-sink.ts'

/** Memory of an answer beside keys and values. */
const ANSWER_BYTES = 200

/** Memory of a call, or of its watch, beside keys and values. */
export const CALL_BYTES = 512

const SERVER_ERROR = 500

/** The connection of a call. */
interface CallConnection {
  /** Nothing can be answered any more. */
  readonly isOver: boolean
  /** The user who has opened it. */
  readonly principal: Principal | undefined
  /** Address of the client. */
  readonly address: string
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void
  /** Throws `ApiError` if there is no room for an answer of so many bytes. */
  checkRoom(bytes: number): void
  /** Counts bytes that the node keeps for a call. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void
  answered(call: MuxCall): void
  openWatch(id: number, time: boolean): MuxWatch
}

export class MuxCall implements Call {
  /** Keys and values are sent as they are. */
  readonly expansion = 1
  readonly id: number
  readonly definition: ItemOperation
  /** Bytes that the node keeps for it until its answer is sent, or until its watch ends. */
  heldBytes = 0
  /** Bytes of its key and value that count for credit. */
  readonly bytes: number
  /** Arrival of its message, on the clock of `performance.now()`. */
  readonly arrivedAt: number
  deadline: number
  withdraw: (() => void) | undefined
  /** Its connection has ended, and the node still counts it. */
  giveBack: (() => void) | undefined
  operation: Operation | undefined
  permit: Permit | undefined
  page: MuxPage | undefined
  /** The HTTP status that its answer would have; undefined: not answered yet. */
  status: number | undefined
  answer: Item = []
  /** Memory of the answer. */
  answerBytes = 0
  readonly #connection: CallConnection
  /** undefined: it is not recorded. */
  #span: Span | undefined
  #watch: MuxWatch | undefined

  constructor(
    connection: CallConnection,
    id: number,
    definition: ItemOperation,
    bytes: number,
    arrivedAt: number,
  ) {
    this.#connection = connection
    this.id = id
    this.definition = definition
    this.bytes = bytes
    this.arrivedAt = arrivedAt
    this.deadline = arrivedAt
  }

  get principal(): Principal | undefined {
    return this.#connection.principal
  }

  origin(): { readonly method: string; readonly address: string } {
    return { method: `mux ${this.name}`, address: this.#connection.address }
  }

  get name(): OperationLabel {
    return this.definition.label
  }

  get trace(): SpanContext | undefined {
    return this.#span?.spanContext()
  }

  /** Begins the span of the call. `context`: the item before it, if that is its trace context. */
  startSpan(node: string, context: Item | undefined): void {
    const recording = tracer()
    if (recording === undefined) return
    const parent = context && traceContextFrom(recording, ...decodeTrace(context))
    this.#span = recording.startRequest(`mux ${this.name}`, { 'quorate.node': node }, parent)
  }

  /** A transaction counts as a change, also without changes. A keep-alive changes no key. */
  get isChange(): boolean {
    return this.definition.effect === 'change'
  }

  setTimeout(field: unknown): void {
    this.deadline = this.arrivedAt + answerWithinMs(decodeTimeout(field))
  }

  isAbandoned(): boolean {
    return this.#connection.isOver || this.status !== undefined
  }

  checkServed(): void {
    this.#connection.checkServed()
  }

  checkRoom(bytes: number): void {
    this.#connection.checkRoom(bytes)
  }

  /** Holds so many bytes of keys and values, and the call itself. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void {
    const heldBytes = CALL_BYTES + bytes
    this.#connection.hold(heldBytes)
    this.heldBytes = heldBytes
  }

  /** Throws `ApiError` if the connection has too many watches. */
  openSink(): WatchSink {
    const time = this.operation?.kind === 'watch' && this.operation.request.time === true
    this.#watch = this.#connection.openWatch(this.id, time)
    return this.#watch
  }

  beginWatch(watch: WatchHandle): void {
    if (this.#watch === undefined) return
    // The watch keeps its range.
    this.#watch.heldBytes = this.heldBytes
    this.heldBytes = 0
    this.#watch.begin(watch)
  }

  #endSpan(span: Span, status: number): void {
    const operation = this.operation?.kind
    if (operation !== undefined)
      span.updateName(`mux ${operation}`).setAttribute('db.operation.name', operation)
    // Nothing is answered on a connection that has ended.
    if (status > 0) span.setAttribute('http.response.status_code', status)
    if (status === 0 || status >= SERVER_ERROR) endFailed(span, status === 0 ? 'abandoned' : String(status))
    else span.end()
  }

  /** Ends the call with an error. */
  fail(error: ApiError): void {
    // A text may repeat what the client chose, and a failed condition has the key.
    const bytes = error.message.length + (error.current?.key.length ?? 0)
    this.end(error.status, encodeProblem(this.id, error, this.isChange), bytes)
  }

  /** Only the first answer counts: a read may have been cancelled. */
  end(status: number, answer: Item, bytes = 0): void {
    if (this.status !== undefined) return
    this.status = status
    this.answer = answer
    this.answerBytes = ANSWER_BYTES + bytes
    if (this.#span !== undefined) this.#endSpan(this.#span, status)
    this.#connection.answered(this)
  }
}

/** The records of a page. */
export class MuxPage implements PageCollector {
  readonly records: RecordField[] = []
  bytes = 0
  readonly #keysOnly: boolean

  constructor(keysOnly: boolean) {
    this.#keysOnly = keysOnly
  }

  add(row: KeyRow, bytesMax: number): number {
    const { recordBytes, encodeRecord } = OPERATIONS.range.mux
    const bytes = recordBytes(row, this.#keysOnly)
    if (bytes > bytesMax) return bytes
    this.records.push(encodeRecord(row, this.#keysOnly))
    this.bytes += bytes
    return bytes
  }
}
