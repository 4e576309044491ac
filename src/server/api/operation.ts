// The vocabulary of the API: what surrounds an operation, and every answer. Both are plain data.

import type { SpanContext } from '@opentelemetry/api'
import type { AnswerHead } from '../../operations/forms/answer-head.ts'
import type {
  AccessDemand,
  ApiError,
  KeyRow,
  LeaseDescription,
  ReadGrant,
} from '../../operations/forms/index.ts'
import type { HeadOf, Operation, OperationKind, ResultOf, WholeKind } from '../../operations/index.ts'
import type { PageResult } from '../../operations/range.ts'
import type { WatchHandle, WatchSink } from '../node/watch/index.ts'
import type { Reservation } from './budget.ts'

/** The user who makes a call. */
export interface Principal {
  readonly user: string
  /** The epoch of the password or token; undefined: the user is known by a certificate. */
  readonly epoch: number | undefined
  /** The end of the token by which the user is known, in milliseconds since 1970. undefined: not by a token. */
  readonly tokenEndsAt?: number
}

/** The circumstances of one operation. */
export interface Call {
  /** Deadline of the answer, on the clock of `performance.now()`. */
  readonly deadline: number
  /** Largest number of bytes that the wire writes for one byte of a key or a value. */
  readonly expansion: number
  /** The user who calls. undefined: it is not known, or rights are not checked. */
  readonly principal?: Principal | undefined
  /** Rights were not checked when the request arrived: its credentials were not read, and its client is served. */
  readonly isUnidentified?: boolean
  /** The trace of the call, if it is recorded. */
  readonly trace?: SpanContext | undefined
  /** How and from where the client calls. */
  origin?(): { readonly method: string; readonly address: string }
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed?(): void
  /** `execute` sets it: the operation of the call. */
  operation?: Operation | undefined
  /** `execute` sets it: what was permitted, and under which rights; undefined: rights were not checked. */
  permit?: Permit | undefined
  /** Collects the records of a page. Ranges need it, unless they are streams. */
  readonly page?: PageCollector | undefined
  /** Whether the client has disconnected, or has cancelled the operation. */
  isAbandoned(): boolean
  /** Withdraws the read of the call, if it still waits. Its wire calls this as soon as the call is abandoned. */
  withdraw?: (() => void) | undefined
  /** Takes over the room of an answer that is encoded later. Without it, the room is released before the answer. */
  holdRoom?(reservation: Reservation): void
  /** Opens the receiver of a watch, when the watch may begin. Throws `ApiError`. */
  openSink?(): WatchSink
}

/** The permission of a call. */
export interface Permit {
  readonly principal: Principal
  readonly authRevision: number
  /** The auth revision at which the user was made; 0: it is a node, or nobody. */
  readonly madeAt: number
  readonly demands: readonly AccessDemand[]
}

/** Keeps the records of a page in the form of a wire. */
export interface PageCollector {
  /** Encodes a record, and keeps it unless it has more than `bytesMax` bytes. Returns its bytes. */
  add(row: KeyRow, bytesMax: number): number
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** The answer to an operation, when it is one whole. Every wire encodes it with the forms of the operation. */
export interface AnswerTo<K extends WholeKind> {
  readonly kind: K
  readonly result: ResultOf<K>
  readonly head: HeadOf<K>
}

/** The head of an answer that says nothing beside its result. */
export const NO_HEAD: AnswerHead = {}

/** Rows of one instant. Each slice is read when its receiver requests it, so a slow client delays only itself. */
export interface RowStream<T> {
  /** The next rows; undefined after the last ones, which are then known to be complete. */
  next(): Promise<readonly T[] | undefined>
  close(): void
}

/** The answers that each wire encodes in its own way: it has collected them, or reads them to their end. */
interface OpenAnswers {
  /** The key is at a revision that `ifNoneMatch` names. */
  readonly get: { readonly kind: 'unchanged'; readonly row: KeyRow; readonly head: ReadGrant }
  readonly range: PageAnswer | RecordsAnswer
  /** A lease with more keys than one slice has. The receiver reads them to their end, or closes them. */
  readonly 'show-lease': {
    readonly kind: 'lease-keys'
    readonly lease: LeaseDescription
    readonly keys: RowStream<Uint8Array>
    readonly head: ReadGrant
  }
  /** The receiver reads the file to its end, or closes it. */
  readonly backup: {
    readonly kind: 'backup'
    readonly file: RowStream<Uint8Array>
    readonly head: ReadGrant
  }
  readonly watch: WatchAnswer
}

/** The facts of a page. Its records are in the collector of the call. */
export interface PageAnswer extends PageResult {
  readonly kind: 'page'
  readonly head: ReadGrant
}

/** The receiver reads the rows to their end, or closes them. */
export interface RecordsAnswer {
  readonly kind: 'records'
  readonly rows: RowStream<KeyRow>
  readonly keysOnly: boolean
  readonly head: ReadGrant
}

export interface WatchAnswer {
  readonly kind: 'watch'
  readonly watch: WatchHandle
  readonly sink: WatchSink
  readonly head: ReadGrant
}

export type OpenAnswer<K extends keyof OpenAnswers = keyof OpenAnswers> = OpenAnswers[K]

/** The answer to an operation of this kind. */
export type AnswerOf<K extends OperationKind> =
  | (K extends WholeKind ? AnswerTo<K> : never)
  | (K extends keyof OpenAnswers ? OpenAnswers[K] : never)

export type ApiAnswer = ApiError | AnswerOf<OperationKind>

/** Receives the answer to an operation, once. */
export type Respond<A = AnswerOf<OperationKind>> = (answer: ApiError | A) => void
