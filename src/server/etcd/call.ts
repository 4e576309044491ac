// One RPC of one client, as the API of the node sees it. It executes operations in the name of the client.

import type { SpanContext } from '@opentelemetry/api'
import { GRPC, GrpcError } from '../../etcd/status.ts'
import { ApiError, type LeaseId } from '../../operations/forms/index.ts'
import type { KvTxn, Operation } from '../../operations/index.ts'
import type { AnswerOf } from '../api/answer.ts'
import type { Api } from '../api/api.ts'
import type { Reservation } from '../api/budget.ts'
import type { Call, PageCollector, Permit, Principal, RangeReader } from '../api/call.ts'
import { abandoned } from '../api/errors.ts'
import { checkPermitted, execute } from '../api/execute.ts'
import { answerWithinMs } from '../api/limits.ts'
import { undoGrant, undoPut } from '../api/undo.ts'
import type { ClientConnection } from '../clients/client-connection.ts'
import type { WatchSink } from '../node/watch/index.ts'
import { runAt } from './drain.ts'
import { CANCELLED } from './errors.ts'
import type { EtcdApi } from './etcd-api.ts'

/** The client of a call, as its transport knows it. */
export interface EtcdCaller {
  readonly principal: Principal | undefined
  /** Rights were not checked when the call arrived. */
  readonly isUnidentified: boolean
  /** Its watches end with `no leader` when the node has none (`WithRequireLeader` in Go). */
  readonly requiresLeader: boolean
  readonly connection: Pick<ClientConnection, 'address' | 'tryHold' | 'outlive'>
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void
}

/** The time of a call without a deadline, in milliseconds: etcd's, for its default election timeout. */
export const TIMEOUT_MS = 7_000

export interface CallTimes {
  /** The deadline of its operations, on the clock of `performance.now()`. */
  readonly deadline: number
  /** The client waits no longer than this; infinite: it has stated no time. */
  readonly endsAt: number
}

/** `statedMs`: how long the client waits; undefined: it has not stated it. */
export const callTimes = (startedAt: number, statedMs: number | undefined): CallTimes => ({
  deadline: startedAt + answerWithinMs(Math.min(statedMs ?? TIMEOUT_MS, TIMEOUT_MS)),
  endsAt: statedMs === undefined ? Number.POSITIVE_INFINITY : startedAt + answerWithinMs(statedMs),
})

/**
 * The end of a stream whose token has ended. Go's clients log in for each stream, and open one again only after this
 * code.
 */
export const LOGIN_NEEDED = new GrpcError(GRPC.unavailable, 'etcdserver: the token has ended: log in again')

/** The end of a call that has taken longer than its client waits. */
export const DEADLINE_EXCEEDED = new GrpcError(GRPC.deadlineExceeded, 'context deadline exceeded')

export class EtcdCall {
  readonly etcd: EtcdApi
  readonly client: EtcdCaller
  /** Name for logs, such as `grpc KV/Put`. */
  readonly name: string
  /** The deadline of its operations, on the clock of `performance.now()`. */
  readonly deadline: number
  /** The client waits no longer than this; infinite: it has stated no time. */
  readonly endsAt: number
  /** Its trace, if it is recorded. */
  readonly trace: SpanContext | undefined
  #isOver = false
  readonly #withdrawals = new Set<() => void>()
  #room: Reservation | undefined
  /** Ends the waits for room. */
  readonly #roomWaits = new Set<() => void>()

  constructor(
    etcd: EtcdApi,
    client: EtcdCaller,
    name: string,
    { deadline, endsAt }: CallTimes,
    trace?: SpanContext,
  ) {
    this.etcd = etcd
    this.client = client
    this.name = name
    this.deadline = deadline
    this.endsAt = endsAt
    this.trace = trace
  }

  get api(): Api {
    return this.etcd.api
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Counts bytes of the response until the transport has sent it. Throws `ApiError` if there is no room for them, or
   * nobody waits for the answer: nothing would give them back.
   */
  hold(bytes: number): void {
    if (this.#isOver) throw abandoned()
    this.#room ??= this.api.outbound.reserve()
    this.#room.grow(bytes)
  }

  /** Counts bytes as `hold` does, as soon as there is room for them. Rejects when the call or its response is over. */
  async holdInTurn(bytes: number): Promise<void> {
    if (this.#isOver) throw CANCELLED
    const { outbound } = this.api
    this.#room ??= outbound.reserve()
    if (outbound.waiting === 0 && this.#room.tryGrow(bytes)) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = outbound.growInTurn(this.#room, bytes, resolve)
    const fail = (error: GrpcError) => () => {
      leave()
      reject(error)
    }
    const cancel = fail(CANCELLED)
    this.#roomWaits.add(cancel)
    const stopTimer = this.whenLate(fail(DEADLINE_EXCEEDED))
    try {
      await promise
    } finally {
      this.#roomWaits.delete(cancel)
      stopTimer()
    }
  }

  /** Counts bytes of the one response for which there may be no room. Rejects when the call is over. */
  holdBeyond(bytes: number): void {
    if (this.#isOver) throw CANCELLED
    this.#room ??= this.api.outbound.reserve()
    this.#room.force(bytes)
  }

  /** The transport counts a part of the response now, or nobody keeps it. */
  giveBack(bytes: number): void {
    this.#room?.shrink(bytes)
  }

  /** Throws `GrpcError` when nobody waits for the answer any more. */
  checkWaiting(): void {
    if (this.#isOver) throw CANCELLED
    if (performance.now() > this.endsAt) throw DEADLINE_EXCEEDED
  }

  /** The transport counts the response now, or the call is over. */
  releaseRoom(): void {
    // A wait that ended later would take room that nobody gives back.
    for (const cancel of this.#roomWaits) cancel()
    this.#room?.release()
    this.#room = undefined
  }

  /** Nobody waits for the answer any more. Reads that wait are withdrawn; changes are still made. */
  abandon(): void {
    this.#isOver = true
    for (const withdraw of [...this.#withdrawals]) withdraw()
    this.releaseRoom()
  }

  /** Calls `run` when nobody waits for the answer any more, until the returned function is called. */
  whenOver(run: () => void): () => void {
    this.#withdrawals.add(run)
    return () => void this.#withdrawals.delete(run)
  }

  /** The header of a response. `revision`: of the change, or of the read; the newest unless given. */
  header(revision: number = this.api.node.revision) {
    return this.etcd.header(revision)
  }

  /** Calls `run` when the client has waited as long as it has stated, until the returned function is called. */
  whenLate(run: () => void): () => void {
    return runAt(this.endsAt, run)
  }

  /** Resolves when the work is done, or the client has waited as long as it has stated. Then the work continues. */
  async untilLate(work: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const stopTimer = this.whenLate(resolve)
    try {
      await Promise.race([work, promise])
    } finally {
      stopTimer()
    }
  }

  /** The deadline of an operation of a call that may take any number of them. */
  nextDeadline(): number {
    return Math.min(this.cleanUpDeadline(), this.endsAt)
  }

  /** The deadline of an operation that is made although nobody waits for it. */
  cleanUpDeadline(): number {
    return performance.now() + answerWithinMs(TIMEOUT_MS)
  }

  /** Rejects with `ApiError` if the client may not execute the operation. */
  check(operation: Operation): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = new OperationCall(this, this.deadline, undefined, undefined)
      checkPermitted(this.api, operation, call, (refusal) =>
        refusal === undefined ? resolve() : reject(refusal),
      )
    })
  }

  /** Ends a lease that this call was granted. Resolves in any case: then the lease expires. */
  async endLease(id: LeaseId): Promise<void> {
    const deadline = this.cleanUpDeadline()
    const undo = () => undoGrant(this.api.node, id, { deadline })
    await this.execute({ kind: 'revoke', id, idempotency: undefined }, { deadline }).catch(ifNotMade(undo))
  }

  /** Makes a change that removes a key which this call has made. Resolves in any case: the key ends with its lease. */
  async removeMade(txn: KvTxn): Promise<void> {
    const deadline = this.cleanUpDeadline()
    const { principal } = this.client
    const undo = () => undoPut(this.api.node, { kind: 'txn', txn }, { deadline, principal })
    await this.execute({ kind: 'txn', txn, ...UNNAMED }, { deadline }).catch(ifNotMade(undo))
  }

  /** Executes one operation. Rejects with `ApiError`. */
  execute<O extends Operation>(
    operation: O,
    { page, openSink, rangeReader, deadline = this.deadline }: OperationNeeds = {},
  ): Promise<AnswerOf<O['kind']>> {
    return new Promise((resolve, reject) => {
      const call = new OperationCall(this, deadline, page, openSink, rangeReader)
      // A read may begin when something else has been decided, and another one may follow it.
      const forget = this.whenOver(() => call.withdraw?.())
      execute(this.api, operation, call, (answer) => {
        forget()
        if (answer instanceof ApiError) reject(answer)
        else resolve(answer)
      })
    })
  }
}

const UNNAMED = { freshness: {}, idempotency: undefined } as const

/** Runs `undo` after a change that was certainly not made: its client may have lost the right. */
const ifNotMade =
  (undo: () => Promise<void>) =>
  async (error: unknown): Promise<void> => {
    if (error instanceof ApiError && error.code !== 'outcome_unknown') await undo()
  }

interface OperationNeeds {
  readonly page?: PageCollector | undefined
  readonly openSink?: (() => WatchSink) | undefined
  readonly rangeReader?: RangeReader | undefined
  /** The deadline of this operation of a stream; that of the call unless given. */
  readonly deadline?: number
}

class OperationCall implements Call {
  /** Keys and values are sent as they are. */
  readonly expansion = 1
  readonly deadline: number
  readonly page: PageCollector | undefined
  readonly openSink?: () => WatchSink
  readonly rangeReader: RangeReader | undefined
  operation: Operation | undefined
  permit: Permit | undefined
  withdraw: (() => void) | undefined
  readonly #rpc: EtcdCall

  constructor(
    rpc: EtcdCall,
    deadline: number,
    page: PageCollector | undefined,
    openSink: (() => WatchSink) | undefined,
    rangeReader?: RangeReader,
  ) {
    this.#rpc = rpc
    this.deadline = deadline
    this.page = page
    this.rangeReader = rangeReader
    if (openSink !== undefined) this.openSink = openSink
  }

  get principal(): Principal | undefined {
    return this.#rpc.client.principal
  }

  get isUnidentified(): boolean {
    return this.#rpc.client.isUnidentified
  }

  get trace(): SpanContext | undefined {
    return this.#rpc.trace
  }

  origin(): { readonly method: string; readonly address: string } {
    return { method: this.#rpc.name, address: this.#rpc.client.connection.address }
  }

  checkServed(): void {
    this.#rpc.client.checkServed()
  }

  isAbandoned(): boolean {
    return this.#rpc.isOver
  }
}
