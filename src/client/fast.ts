// The first try of a put, delete or get over a multiplexed connection: the case that must cost little. It is one
// promise, without a timer or a listener.
//
// Changes that begin before their message leaves are one batch: one entry of the log, with one identity. The cluster
// spends less on them than on as many entries, and so does the client.
//
// A success resolves the promises. Everything else goes on in call.ts, by the rules for all calls: there the operation
// is a first try, which has ended or is still under way.

import { AbortListeners } from './abort-listeners.ts'
import { type Asked, AskedExchange, QUEUED } from './asked.ts'
import { patienceMs, SLOW_BYTES_PER_MS } from './call.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import { QuorateError } from './errors.ts'
import type { Hedges } from './hedges.ts'
import {
  bytesOfChange,
  CHANGES,
  type ChangeOperation,
  type ChangeResult,
  type ChangesOperation,
  GET,
  type Result,
  type SingleOperation,
} from './operation.ts'
import type { Exchange, Exchanged } from './transport/http-transport.ts'
import {
  creditOf,
  exchangedOf,
  infoOf,
  MALFORMED,
  type MuxItem,
  resultOfItem,
  resultsOfItem,
  SERVED,
  type Welcome,
} from './transport/mux-codec.ts'
import type { Connection } from './transport/mux-connection.ts'
import type { Connections } from './transport/mux-transport.ts'
import type { AnswerInfo } from './types.ts'
import { isSlot, type WriteId } from './write-id.ts'

/** Limits of a batch. Those of a node may be lower. */
export const BATCH_CHANGES_MAX = 256
export const BATCH_BYTES_MAX = 128 * 1024
/** Changes go together only if they began within this share of their time-out: they have one deadline. */
const SPREAD_SHARE = 0.01

/** What the caller of an operation has set. All times are of `performance.now()`. */
export interface Limits {
  readonly startedAt: number
  readonly timeoutMs: number
  /** How long it waited for its turn. */
  readonly waitedMs: number
  readonly signal: AbortSignal | undefined
}

type OnAnswer = ((info: AnswerInfo) => void) | undefined

/** What becomes of the changes of a batch, each by itself. */
export type Settled = readonly (ChangeResult | Promise<Result>)[]

export interface FastHost {
  readonly endpoints: Endpoints
  readonly connections: Connections
  readonly turns: ConcurrencyLimiter
  readonly hedges: Hedges
  readonly identify: (nowMs: number) => WriteId
  /** A write with this identity has ended. */
  readonly release: (identity: WriteId) => void
  /** A node has answered. */
  answered(endpoint: Endpoint, revision: number, nowMs: number): void
  /** The call ends elsewhere; it keeps its turn. */
  goOn(operation: SingleOperation, call: FastCall, exchange: Exchange): Promise<Result>
  /** The same for a batch. */
  goOnTogether(operation: ChangesOperation, call: FastCall, exchange: Exchange): Promise<Settled>
}

interface Route {
  readonly endpoint: Endpoint
  readonly connection: Connection
}

export class FastCalls {
  readonly host: FastHost
  readonly #signals = new AbortListeners<FastCall>((call) => call.goOn())
  /** Further changes may go with this one, as long as it is not sent. */
  #gathering: FastCall | undefined
  underWay = 0

  constructor(host: FastHost) {
    this.host = host
  }

  /** The result; undefined when no connection can take it. The call must have its turn. */
  begin(operation: SingleOperation, limits: Limits, onAnswer: OnAnswer): Promise<Result> | undefined {
    const nowMs = limits.waitedMs === 0 ? limits.startedAt : performance.now()
    const route = this.#routeOf(operation, limits, nowMs)
    if (route === undefined) return undefined
    if (operation.op === GET) return this.#ask(operation, limits, onAnswer, route, nowMs).wait()
    if (this.#gathering?.takes(operation, route.connection, limits) === true) {
      this.underWay += 1
      return this.#gathering.add(operation)
    }
    const call = this.#ask(operation, limits, onAnswer, route, nowMs)
    // A cluster that knows sessions knows batches.
    this.#gathering = call.identity !== undefined && isSlot(call.identity) ? call : undefined
    return call.wait()
  }

  /** The same for a change that must not go with others, since a batch with it was refused. */
  beginAlone(change: ChangeOperation, limits: Limits): Promise<Result> | undefined {
    const nowMs = performance.now()
    const route = this.#routeOf(change, limits, nowMs)
    return route && this.#ask(change, limits, undefined, route, nowMs).wait()
  }

  /** The endpoint to ask over its connection, if there is one that can take the operation. */
  #routeOf(operation: SingleOperation, { signal }: Limits, nowMs: number): Route | undefined {
    const { connections, endpoints, turns } = this.host
    if (!connections.areWanted(turns.acquired) || signal?.aborted === true) return undefined
    const endpoint = connections.pick(endpoints, nowMs, operation.op !== GET)
    const connection = endpoint && connections.of(endpoint)
    if (endpoint === undefined || connection?.takes(operation) !== true) return undefined
    return connection.knows(operation) ? { endpoint, connection } : undefined
  }

  #ask(
    operation: SingleOperation,
    limits: Limits,
    onAnswer: OnAnswer,
    { endpoint, connection }: Route,
    nowMs: number,
  ): FastCall {
    const identity = operation.op === GET ? undefined : this.host.identify(nowMs)
    const call = new FastCall(this, endpoint, connection, operation, identity, limits, nowMs, onAnswer)
    endpoint.asked(call, nowMs)
    this.underWay += 1
    this.#signals.enter(limits.signal, call)
    connection.ask(call)
    return call
  }

  /** A call has ended here. */
  ended(call: FastCall): void {
    // Its values are not kept any longer.
    if (this.#gathering === call) this.#gathering = undefined
    this.underWay -= call.size
    this.#signals.leave(call.limits.signal, call)
  }
}

export class FastCall implements Asked {
  readonly endpoint: Endpoint
  operation: SingleOperation | ChangesOperation
  readonly identity: WriteId | undefined
  readonly limits: Limits
  readonly onAnswer: OnAnswer
  readonly deadline: number
  dueMs: number
  id = QUEUED
  readonly #calls: FastCalls
  readonly #connection: Connection
  readonly #askedAt: number
  /** Of the operation, or of each change of a batch. */
  readonly #resolves: ((result: Result | Promise<Result>) => void)[] = []
  readonly #rejects: ((error: unknown) => void)[] = []

  constructor(
    calls: FastCalls,
    endpoint: Endpoint,
    connection: Connection,
    operation: SingleOperation,
    identity: WriteId | undefined,
    limits: Limits,
    nowMs: number,
    onAnswer: OnAnswer,
  ) {
    this.#calls = calls
    this.endpoint = endpoint
    this.#connection = connection
    this.operation = operation
    this.identity = identity
    this.limits = limits
    this.onAnswer = onAnswer
    this.#askedAt = nowMs
    this.deadline = limits.startedAt + limits.timeoutMs
    this.dueMs = Math.min(this.deadline, nowMs + patienceMs(limits.timeoutMs))
  }

  /** How many operations its callers asked for. */
  get size(): number {
    return this.#resolves.length
  }

  /** The result of the operation that was given or added last. */
  wait(): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#resolves.push(resolve)
      this.#rejects.push(reject)
    })
  }

  /** Whether this change can go with it. */
  takes(change: ChangeOperation, connection: Connection, { startedAt, timeoutMs, signal }: Limits): boolean {
    const { limits, size } = this
    const bytes = creditOf(this.operation) + bytesOfChange(change)
    return (
      this.id === QUEUED &&
      this.#connection === connection &&
      limits.signal === signal &&
      limits.timeoutMs === timeoutMs &&
      Math.abs(limits.startedAt - startedAt) <= timeoutMs * SPREAD_SHARE &&
      size < BATCH_CHANGES_MAX &&
      bytes <= BATCH_BYTES_MAX &&
      connection.takesChanges(size + 1, bytes)
    )
  }

  add(change: ChangeOperation): Promise<Result> {
    const { operation } = this
    const more = bytesOfChange(change)
    const bytes = creditOf(operation) + more
    this.#connection.grown(more)
    if (operation.op === CHANGES) {
      operation.changes.push(change)
      operation.bytes = bytes
    } else if (operation.op !== GET) this.operation = { op: CHANGES, changes: [operation, change], bytes }
    return this.wait()
  }

  answered(item: MuxItem, welcome: Welcome, nowMs: number): void {
    const { operation } = this
    const isServed = item[1] === SERVED
    if (operation.op === CHANGES) {
      const results = isServed ? resultsOfItem(operation, item, this.endpoint, welcome.node) : MALFORMED
      if (results === MALFORMED) this.#refused(item, welcome)
      else {
        this.#served(item, nowMs)
        this.#settle(results)
      }
      return
    }
    const result = isServed ? resultOfItem(operation, item) : MALFORMED
    if (result === MALFORMED) this.#refused(item, welcome)
    else {
      this.#served(item, nowMs)
      if (this.onAnswer === undefined) this.#resolves[0]?.(result)
      else this.#tellAnd(result, infoOf(operation, item, welcome.node))
    }
  }

  #refused(item: MuxItem, welcome: Welcome): void {
    this.#goOnWith(ended(exchangedOf(this.operation, item, welcome), true))
  }

  /** Its revision was checked with the result. */
  #served(item: MuxItem, nowMs: number): void {
    const { host } = this.#calls
    const { startedAt, waitedMs } = this.limits
    this.endpoint.worked()
    this.#leave()
    if (this.identity !== undefined) host.release(this.identity)
    host.answered(this.endpoint, item[2] as number, nowMs)
    host.hedges.callEnded(0)
    host.turns.giveAfter(nowMs - startedAt - waitedMs, this.size)
  }

  lost(cause: Error): void {
    this.#goOnWith(failed(this.id > 0, cause))
  }

  /** It has waited long enough, or its time is over. */
  due(nowMs: number): void {
    if (nowMs < this.deadline) {
      const untilMs = this.#patientUntilMs(nowMs)
      if (untilMs > nowMs) {
        this.dueMs = Math.min(this.deadline, untilMs)
        return
      }
      if (this.id > 0) this.#connection.suspect(this.#askedAt)
    }
    this.goOn()
  }

  /** From now on it is a try of a call of call.ts. */
  goOn(): void {
    if (this.id === QUEUED) {
      this.#connection.giveUp(this)
      this.#goOnWith(failed(false, new Error('it was not sent yet')))
      return
    }
    const exchange = new AskedExchange(this.#connection, this, this.#askedAt)
    this.#connection.replace(this, exchange)
    this.#goOnWith(exchange)
  }

  /** A large value takes long to send, and a large answer to arrive. */
  #patientUntilMs(nowMs: number): number {
    const patience = patienceMs(this.limits.timeoutMs)
    const bytes = creditOf(this.operation)
    const sendingMs = Math.min(bytes / SLOW_BYTES_PER_MS, (this.deadline - this.#askedAt) / 2)
    const sentMs = this.#askedAt + (this.id === QUEUED ? patience : Math.max(patience, sendingMs))
    const receivingAt = this.#connection.receivingAt
    return Math.max(sentMs, receivingAt === 0 || receivingAt > nowMs ? 0 : receivingAt + patience)
  }

  #leave(): void {
    this.dueMs = Number.POSITIVE_INFINITY
    this.endpoint.ended(this)
    this.#calls.ended(this)
  }

  #goOnWith(exchange: Exchange): void {
    this.#leave()
    const { host } = this.#calls
    const { operation, identity } = this
    const release = () => identity !== undefined && host.release(identity)
    if (operation.op !== CHANGES) {
      this.#resolves[0]?.(host.goOn(operation, this, exchange).finally(release))
      return
    }
    host
      .goOnTogether(operation, this, exchange)
      .finally(release)
      .then(
        (settled) => this.#settle(settled),
        (error: unknown) => {
          for (const reject of this.#rejects) reject(error)
        },
      )
  }

  #settle(settled: Settled): void {
    for (const [at, result] of settled.entries()) {
      if (result instanceof QuorateError) this.#rejects[at]?.(result)
      else this.#resolves[at]?.(result)
    }
  }

  #tellAnd(result: Result, info: AnswerInfo): void {
    try {
      this.onAnswer?.(info)
      this.#resolves[0]?.(result)
    } catch (error) {
      this.#rejects[0]?.(error)
    }
  }
}

/** A try that has ended. */
function ended(exchanged: Exchanged, connected: boolean): Exchange {
  const now = performance.now()
  return {
    result: Promise.resolve(exchanged),
    isConnected: () => connected,
    heardAt: () => now,
    lookupMs: () => 0,
    cancel: () => {},
  }
}

const failed = (connected: boolean, cause: Error): Exchange =>
  ended({ kind: 'failed', connected, accepted: true, timedOut: false, cause }, connected)
