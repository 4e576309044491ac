// One operation of a client, from its arrival to its answer.

import { type ApiError, problemDocument } from '../http/problem.ts'
import type { Reservation } from '../http/response-budget.ts'
import type { Item } from './messages.ts'
import { GET, KEEP_ALIVE, NAMES, type Op, PROBLEM, RANGE, WATCH } from './protocol.ts'
import type { MuxWatch } from './watch-sink.ts'

/** Memory of an answer beside keys and values. */
export const ANSWER_BYTES = 200
/** Memory of a record of a range beside its key and its value. */
export const RECORD_BYTES = 100
/** Memory of the outcome of one change of a batch: of two or three numbers, or of a problem beside the key. */
export const OUTCOME_BYTES = 60
export const OUTCOME_PROBLEM_BYTES = 500

/** The connection that an operation came on. */
interface Asker {
  /** Nobody will read the answer. */
  readonly isOver: boolean
  checkRoom(bytes: number): void
  answered(operation: Operation): void
  openWatch(id: number): MuxWatch
}

export class Operation {
  readonly id: number
  readonly op: Op
  /** Bytes of its key and value, as far as they count for credit. */
  readonly bytes: number
  /** When its message arrived, on the clock of `performance.now()`. */
  readonly arrivedAt: number
  /** The HTTP status that its answer would have; undefined: not answered yet. */
  status: number | undefined
  answer: Item = []
  /** Memory of the answer. */
  answerBytes = 0
  /** Room that is reserved for its answer. */
  hold: Reservation | undefined
  readonly #asker: Asker

  constructor(asker: Asker, id: number, op: Op, bytes: number, arrivedAt: number) {
    this.#asker = asker
    this.id = id
    this.op = op
    this.bytes = bytes
    this.arrivedAt = arrivedAt
  }

  get name(): (typeof NAMES)[Op] {
    return NAMES[this.op]
  }

  /** A transaction counts as one, also without changes. What keeps leases alive changes no key. */
  get isChange(): boolean {
    return this.op !== GET && this.op !== RANGE && this.op !== WATCH && this.op !== KEEP_ALIVE
  }

  /** Nobody will read the answer. */
  get isAbandoned(): boolean {
    return this.#asker.isOver || this.status !== undefined
  }

  /** Throws `Refused` if there is no room for an answer of so many bytes. */
  checkRoom(bytes: number): void {
    this.#asker.checkRoom(bytes)
  }

  /** The way of the watch that this operation begins. Throws `Refused` if there are too many. */
  openWatch(): MuxWatch {
    return this.#asker.openWatch(this.id)
  }

  /** Only the first answer counts: a read may have been cancelled. */
  end(status: number, answer: Item, bytes = 0): void {
    this.hold?.release()
    this.hold = undefined
    if (this.status !== undefined) return
    this.status = status
    this.answer = answer
    this.answerBytes = ANSWER_BYTES + bytes
    this.#asker.answered(this)
  }

  /** `written`: of a change, whether it may have been made. */
  refuse(refused: ApiError, written: 'no' | 'unknown', replayed = false): void {
    const problem = problemDocument(refused)
    const told = this.isChange ? { ...problem, written } : problem
    this.end(problem.status, [this.id, PROBLEM, told, refused.revision ?? null, replayed])
  }
}
