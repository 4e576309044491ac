// The first try of a put, delete or get over a multiplexed connection: the case that must cost little. It is one object
// and one promise, without a timer or a listener.
//
// A success resolves the promise. Everything else goes on in call.ts, by the rules for all calls: there the operation
// is a first try, which has ended or is still under way.

import { type Asked, AskedExchange, QUEUED } from './asked.ts'
import { patienceMs, SLOW_BYTES_PER_MS } from './call.ts'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import type { Exchange, Exchanged } from './exchange.ts'
import type { Hedges } from './hedges.ts'
import type { Identity } from './identity.ts'
import { exchangedOf, type Item, infoOf, MALFORMED, resultOfItem, SERVED, type Welcome } from './messages.ts'
import { GET, type Operation, type RangeOperation, type Result } from './operation.ts'
import type { Turns } from './turns.ts'
import type { AnswerInfo } from './types.ts'

export type SingleOperation = Exclude<Operation, RangeOperation>

/** What the caller of an operation has set. All times are of `performance.now()`. */
export interface Limits {
  readonly startedAt: number
  readonly timeoutMs: number
  /** How long it waited for its turn. */
  readonly waitedMs: number
  readonly signal: AbortSignal | undefined
}

export interface FastHost {
  readonly endpoints: Endpoints
  readonly connections: Connections
  readonly turns: Turns
  readonly hedges: Hedges
  readonly identify: (nowMs: number) => Identity
  /** A write with this identity has ended. */
  readonly release: (identity: Identity) => void
  /** A node has answered. */
  answered(endpoint: Endpoint, revision: number, nowMs: number): void
  /** The call ends elsewhere; it keeps its turn. */
  goOn(call: FastCall, exchange: Exchange): Promise<Result>
}

export class FastCalls {
  readonly host: FastHost
  readonly #signals = new Map<AbortSignal, Watched>()
  underWay = 0

  constructor(host: FastHost) {
    this.host = host
  }

  /** The result; undefined when no connection can take it. The call must have its turn. */
  begin(
    operation: SingleOperation,
    limits: Limits,
    onAnswer: ((info: AnswerInfo) => void) | undefined,
  ): Promise<Result> | undefined {
    const { connections, endpoints } = this.host
    if (!connections.areWanted(this.host.turns.acquired)) return undefined
    if (limits.signal?.aborted === true) return undefined
    const nowMs = limits.waitedMs === 0 ? limits.startedAt : performance.now()
    const endpoint = connections.pick(endpoints, nowMs, operation.op !== GET)
    const connection = endpoint && connections.of(endpoint)
    if (endpoint === undefined || connection?.takes(operation) !== true) return undefined
    const identity = operation.op === GET ? undefined : this.host.identify(nowMs)
    const call = new FastCall(this, endpoint, connection, operation, identity, limits, nowMs, onAnswer)
    endpoint.asked(call, nowMs)
    this.underWay += 1
    if (limits.signal !== undefined) this.#watch(limits.signal)
    connection.ask(call)
    return call.promise
  }

  /** A call has ended here. */
  ended({ limits: { signal } }: FastCall): void {
    this.underWay -= 1
    if (signal === undefined) return
    const watched = this.#signals.get(signal)
    if (watched === undefined || --watched.calls > 0) return
    signal.removeEventListener('abort', watched.end)
    this.#signals.delete(signal)
  }

  /** Calls with the same signal share one listener. */
  #watch(signal: AbortSignal): void {
    let watched = this.#signals.get(signal)
    if (watched === undefined) {
      watched = { calls: 0, end: () => this.#abort(signal) }
      this.#signals.set(signal, watched)
      signal.addEventListener('abort', watched.end)
    }
    watched.calls += 1
  }

  #abort(signal: AbortSignal): void {
    for (const asked of this.host.connections.asked()) {
      if (asked instanceof FastCall && asked.limits.signal === signal) asked.goOn()
    }
  }
}

interface Watched {
  calls: number
  readonly end: () => void
}

export class FastCall implements Asked {
  readonly endpoint: Endpoint
  readonly operation: SingleOperation
  readonly identity: Identity | undefined
  readonly limits: Limits
  readonly onAnswer: ((info: AnswerInfo) => void) | undefined
  readonly deadline: number
  readonly promise: Promise<Result>
  dueMs: number
  id = QUEUED
  readonly #calls: FastCalls
  readonly #connection: Connection
  readonly #askedAt: number
  #resolve: (result: Result | Promise<Result>) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(
    calls: FastCalls,
    endpoint: Endpoint,
    connection: Connection,
    operation: SingleOperation,
    identity: Identity | undefined,
    limits: Limits,
    nowMs: number,
    onAnswer: ((info: AnswerInfo) => void) | undefined,
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
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  answered(item: Item, welcome: Welcome, nowMs: number): void {
    const result = item[1] === SERVED ? resultOfItem(this.operation, item) : MALFORMED
    if (result === MALFORMED) {
      this.#goOnWith(ended(exchangedOf(this.operation, item, welcome), true))
      return
    }
    const { host } = this.#calls
    this.endpoint.worked()
    this.#leave()
    if (this.identity !== undefined) host.release(this.identity)
    host.answered(this.endpoint, item[2] as number, nowMs)
    host.hedges.callEnded(0)
    host.turns.giveAfter(nowMs - this.limits.startedAt - this.limits.waitedMs)
    if (this.onAnswer === undefined) this.#resolve(result)
    else this.#tellAnd(result, infoOf(this.operation, item, welcome.node))
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
    const bytes = 'value' in this.operation ? this.operation.value.length : 0
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
    const { identity } = this
    const result = host.goOn(this, exchange)
    this.#resolve(identity === undefined ? result : result.finally(() => host.release(identity)))
  }

  #tellAnd(result: Result, info: AnswerInfo): void {
    try {
      this.onAnswer?.(info)
      this.#resolve(result)
    } catch (error) {
      this.#reject(error)
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
