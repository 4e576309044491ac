// The answers of the API, as plain data.

import type { AnswerHead } from '../../operations/forms/answer-head.ts'
import type { ApiError, KeyRow, LeaseDescription, ReadGrant } from '../../operations/forms/index.ts'
import type { HeadOf, OperationKind, ResultOf, WholeKind } from '../../operations/index.ts'
import type { PageResult } from '../../operations/range.ts'
import type { WatchHandle, WatchSink } from '../node/watch/index.ts'

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
