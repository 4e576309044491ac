// A call: what surrounds one operation at a node, such as its deadline, its user and its permission.

import type { SpanContext } from '@opentelemetry/api'
import type { AccessDemand, KeyRow } from '../../operations/forms/index.ts'
import type { Operation } from '../../operations/index.ts'
import type { UsedToken } from '../auth/used-tokens.ts'
import type { WatchSink } from '../node/watch/index.ts'
import type { Reservation } from './budget.ts'
import type { OpenedRange } from './opened-range.ts'

/** The user who makes a call. */
export interface Principal {
  readonly user: string
  /** The epoch of the password or token; undefined: the user is known by a certificate. */
  readonly epoch: number | undefined
  /** The token by which the user is known. undefined: not by a token. */
  readonly token?: UsedToken
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
  /** Reads a range itself, at one instant, in place of a page. */
  readonly rangeReader?: RangeReader | undefined
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

/** Reads a range at one instant of the store. No deadline of the operation ends it once it has begun. */
export interface RangeReader {
  /** Whether it needs the sizes of records before it has read them. */
  readonly needsSizes: boolean
  /** The scans of the range are closed when this has ended. */
  read(range: OpenedRange): Promise<void>
}
