// One call of the API. It is tried until it is answered or its deadline is near.
//
// The call asks one endpoint after another. If an endpoint stays silent, it is not given up, but soon the next one is
// asked as well, and the first answer counts. So a node that hangs costs its clients a fraction of a second, not their
// whole time-out. A bare change is sent to another endpoint only if no byte of it has left, that is, if the first
// endpoint did not accept the connection.
//
// All of this serves one rule: a write that may have been applied is never sent again unless it carries an idempotency
// key, and an error never says "nothing was written" unless every try of the call certainly wrote nothing.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { whenAborted } from './abort-listeners.ts'
import { withQuery } from './address.ts'
import { Backoff } from './backoff.ts'
import {
  type CallEnd,
  type CallKind,
  errorOf,
  foreignError,
  namelessError,
  problemError,
  type Tries,
} from './call-error.ts'
import { isOfNode, type Problem, problemFrom } from './decode.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import { PreconditionFailedError, type QuorateError } from './errors.ts'
import { after, afterPendingEvents } from './timer.ts'
import type {
  Answer,
  Exchange,
  Exchanged,
  Headers,
  HttpRequest,
  Transport,
} from './transport/http-transport.ts'
import type { WriteId } from './write-id.ts'

export interface Call extends HttpRequest {
  readonly kind: CallKind
  /** A time of `performance.now()`. */
  readonly startedAt: number
  readonly timeoutMs: number
  readonly unreachableAfterMs: number
  /** An endpoint has already accepted a connection for this call. */
  readonly isReached?: boolean
  readonly signal: AbortSignal | undefined
  /** Return an answer of 200 when it begins, before its body is read. */
  readonly stream: boolean
  /** Makes a new identity of a keyed write, which is used from then on. */
  readonly renewed?: () => WriteId
  /** A try that was made before, and that may have ended. */
  readonly firstTry?: { readonly endpoint: Endpoint; readonly exchange: Exchange }
  /** Called after each answer: true when the call has what it wants, even if the answer is an error. */
  readonly isEnough?: () => boolean
}

export interface CallContext {
  readonly endpoints: Endpoints
  readonly transport: Pick<Transport, 'exchange'>
  /**
   * Called for every answer with its headers, refusals too. Returns the id of the answer's cluster if it is not the
   * client's.
   */
  readonly onAnswer: (answer: Answer) => string | undefined
  /** Called when an endpoint did not answer. */
  readonly onFailure: () => void
  /** Whether another endpoint may be asked as well, because one stays silent. */
  readonly mayHedge: () => boolean
  /** Registers a function that ends the call early (the client is closed). Returns a function that removes it again. */
  readonly onClose: (end: () => void) => () => void
}

const RETRY_BASE_MS = 15
const RETRY_MAX_MS = 1_000
/** After this share of the time without any byte from a node, another node may be asked too, within these bounds. */
const PATIENCE_SHARE = 0.1
const PATIENCE_MIN_MS = 250
const PATIENCE_MAX_MS = 1_000
/**
 * A large body gets extra time, as long as it takes at 3 Mbit/s, up to half of the remaining time: several copies of it
 * would take several times as long.
 */
export const SLOW_BYTES_PER_MS = 400
/** After this time the call checks again whether another endpoint may be asked. */
const HEDGE_AGAIN_MS = 50
/** The node is told a time-out that is a little shorter than ours, so that its reason arrives in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MAX_MS = 100
/** Longest `timeout` that a node accepts (docs/reference/http.md). */
const TIMEOUT_MAX_MS = 60_000
/** With less time left there is no further try. The first try is always made: a call may have a shorter time-out. */
const LEFT_MIN_MS = 5
/**
 * With less time left, a write that was refused is not tried again, and a write that has waited for its turn is not
 * begun. A try without time for its answer would make the outcome unknown.
 */
const WRITE_MIN_MS = 100
/** The status for a request that another node may serve. */
const MISDIRECTED = 421
/** After this many `internal` answers within one call, more are expected, and the call ends. */
const INTERNAL_MAX = 3

/**
 * A call that has waited for its turn begins only with this much time left. It needs a quarter more than calls usually
 * take now: under overload all calls would otherwise begin when their time is nearly over, and none would end in time.
 */
export function leastMs({ kind, timeoutMs }: Pick<Call, 'kind' | 'timeoutMs'>, usualMs: number): number {
  const tryMs = Math.min(kind === 'read' ? LEFT_MIN_MS : WRITE_MIN_MS, timeoutMs / 2)
  return Math.max(tryMs, Math.min(1.25 * usualMs, timeoutMs * 0.75))
}

/** How long a call waits for a silent node before it asks another one. */
export const patienceMs = (timeoutMs: number): number =>
  Math.min(PATIENCE_MAX_MS, Math.max(PATIENCE_MIN_MS, timeoutMs * PATIENCE_SHARE))

/** The time-out that a node is told. */
export function nodeTimeoutMs(leftMs: number): number {
  const transitMs = Math.min(TRANSIT_MAX_MS, leftMs * TRANSIT_SHARE)
  return Math.max(1, Math.floor(Math.min(TIMEOUT_MAX_MS, leftMs - transitMs)))
}

export function perform(call: Call, context: CallContext): Promise<Answer> {
  return new CallState(call, context).run()
}

/** The state of a call. */
class CallState {
  readonly #call: Call
  readonly #context: CallContext
  readonly #deadline: number
  readonly #patienceMs: number
  readonly #backoff = new Backoff(RETRY_BASE_MS, RETRY_MAX_MS)
  /** Endpoints asked since the last pause. */
  readonly #tried = new Set<Endpoint>()
  /**
   * Endpoints of another cluster, or that do not serve this host name, or that are not nodes. They are not asked again.
   */
  readonly #foreign = new Map<Endpoint, QuorateError>()
  /** Endpoints that were asked and have not answered yet. */
  readonly #underway = new Map<Endpoint, Exchange>()
  readonly #tries: Tries
  #identity: WriteId | undefined
  /** Whether an endpoint was asked, at least the question before the first change. */
  #hasBegun: boolean
  /** The idempotency key was refused as too old. */
  #expired: QuorateError | undefined
  #internals = 0
  /** When endpoints with a Retry-After may be asked again, by `performance.now()`. */
  readonly #notBefore = new Map<Endpoint, number>()
  #end: CallEnd<Answer> | undefined
  #wake = () => {}

  constructor(call: Call, context: CallContext) {
    this.#call = call
    this.#context = context
    this.#identity = call.identity
    this.#deadline = call.startedAt + call.timeoutMs
    this.#patienceMs = patienceMs(call.timeoutMs)
    const reached = call.isReached === true
    this.#tries = { unknown: undefined, refusal: undefined, lastFailure: undefined, reached }
    this.#hasBegun = reached
  }

  async run(): Promise<Answer> {
    const { signal } = this.#call
    const onAbort = () => this.#endWith({ kind: 'aborted', reason: signal?.reason })
    if (signal?.aborted === true) onAbort()
    const stopListening = whenAborted(signal, onAbort)
    const takeBack = this.#context.onClose(() => this.#endWith({ kind: 'closed' }))
    try {
      const { firstTry } = this.#call
      if (firstTry !== undefined)
        await this.#waitFor(firstTry.endpoint, this.#began(firstTry.endpoint, firstTry.exchange))
      await this.#tryUntilTheEnd()
      for (const [endpoint, { cancel }] of this.#underway) {
        if (this.#end?.kind === 'aborted') endpoint.givenUp(performance.now(), PATIENCE_MIN_MS)
        cancel()
      }
      // Whether the other tries may have left decides what the error may say about a write.
      while (this.#underway.size > 0 && !this.#outcomeIsKnown()) await this.#news(Number.POSITIVE_INFINITY)
    } finally {
      stopListening()
      takeBack()
    }
    const end = this.#end ?? OUT_OF_TIME
    if (end.kind === 'answered') return end.answer
    throw errorOf(end, this.#tries, this.#call, this.#context.endpoints, this.#foreign)
  }

  async #tryUntilTheEnd(): Promise<void> {
    while (this.#end === undefined) {
      const leftMs = this.#leftMs
      if (leftMs < LEFT_MIN_MS && this.#hasBegun) {
        await lastLook()
        if (this.#leftMs < LEFT_MIN_MS) this.#endWith(OUT_OF_TIME)
        continue
      }
      if (this.#expired !== undefined) {
        await this.#renew(this.#expired)
        continue
      }
      if (leftMs < this.#tryMinMs && this.#hasBegun) {
        await this.#lastNews(leftMs)
        continue
      }
      const endpoint = this.#context.endpoints.pick(this.#busy, performance.now())
      if (endpoint === undefined) {
        await this.#afterRound(leftMs)
        continue
      }
      await this.#waitFor(endpoint, this.#ask(endpoint))
    }
  }

  /** Endpoints that must not be asked now. */
  get #busy(): ReadonlySet<Endpoint> {
    return new Set([...this.#tried, ...this.#underway.keys(), ...this.#foreign.keys()])
  }

  /**
   * Whether another endpoint may be asked while this one is silent. Only a second copy of the request uses the hedging
   * budget.
   */
  #mayAskAnother(silent: Exchange): boolean {
    if (this.#call.kind === 'bare' || !silent.isConnected()) return true
    const busy = this.#busy
    return this.#context.endpoints.all.every((endpoint) => busy.has(endpoint)) || this.#context.mayHedge()
  }

  /** Before the deadline as long as no endpoint has accepted a connection. The time for looking up a name is added. */
  get #endMs(): number {
    const { startedAt, unreachableAfterMs } = this.#call
    const exchanges = [...this.#underway.values()]
    if (this.#tries.reached || exchanges.some((exchange) => exchange.isConnected())) return this.#deadline
    const lookupMs = Math.max(0, ...exchanges.map((exchange) => exchange.lookupMs()))
    return Math.min(this.#deadline, startedAt + lookupMs + unreachableAfterMs)
  }

  get #leftMs(): number {
    return this.#endMs - performance.now()
  }

  /**
   * The time in which an endpoint must accept the connection while others are still to be asked, so that all are asked
   * before the call fails as unreachable.
   */
  get #connectMs(): number {
    const others = this.#context.endpoints.all.length - this.#tried.size
    return others > 0 ? this.#leftMs / (others + 1) : Number.POSITIVE_INFINITY
  }

  /**
   * Waits for the endpoint that was asked last, until it has been silent for too long. For a bare change that may have
   * left, it waits to the end.
   */
  async #waitFor(endpoint: Endpoint, exchange: Exchange): Promise<void> {
    const isBare = this.#call.kind === 'bare'
    const isWaiting = () =>
      this.#end === undefined && this.#expired === undefined && this.#underway.has(endpoint)
    let isPatient = true
    const loseHope = () => {
      isPatient = false
      this.#wake()
    }
    const halfMs = (this.#deadline - performance.now()) / 2
    let sendingMs = Math.min((this.#call.body?.length ?? 0) / SLOW_BYTES_PER_MS, halfMs) - this.#patienceMs
    let stopTimer = () => {}
    const bePatient = (ms: number, since: number) => {
      stopTimer = afterPendingEvents(ms, () => {
        const heardAt = exchange.heardAt()
        // A large answer takes long over a slow connection. A second copy would make it take twice as long.
        if (heardAt > since) bePatient(heardAt + this.#patienceMs - performance.now(), heardAt)
        else if (sendingMs > 0 && exchange.isConnected()) {
          bePatient(sendingMs, heardAt)
          sendingMs = 0
        } else if (this.#mayAskAnother(exchange)) loseHope()
        else {
          endpoint.failed(performance.now())
          bePatient(HEDGE_AGAIN_MS, heardAt)
        }
      })
    }
    const heardAt = exchange.heardAt()
    bePatient(heardAt + this.#patienceMs - performance.now(), heardAt)
    const connectMs = this.#connectMs
    const isSooner = connectMs < this.#patienceMs
    const stopConnecting = isSooner
      ? afterPendingEvents(connectMs, () => exchange.isConnected() || loseHope())
      : () => {}
    while (isWaiting() && (isPatient || (isBare && exchange.isConnected()))) {
      if (this.#leftMs > 0) await this.#news(this.#leftMs)
      else {
        await lastLook()
        if (this.#leftMs <= 0) break
      }
    }
    stopTimer()
    stopConnecting()
    if (!isWaiting()) return
    // It is still silent, so other calls should not begin with it.
    endpoint.failed(performance.now())
    if (!isBare || exchange.isConnected()) return
    exchange.cancel('no connection')
    while (this.#underway.has(endpoint)) await this.#news(Number.POSITIVE_INFINITY)
  }

  /** All endpoints have been asked. Pauses before they are asked again, except those that have not answered yet. */
  async #afterRound(leftMs: number): Promise<void> {
    const others = this.#context.endpoints.all.filter((endpoint) => !this.#foreign.has(endpoint))
    const [foreign] = this.#foreign.values()
    if (others.length === 0 && foreign !== undefined)
      return this.#endWith({ kind: 'refused', error: foreign })
    const waiting = others.filter((endpoint) => !this.#underway.has(endpoint))
    if (waiting.length === 0) return void (await this.#news(leftMs))
    const nowMs = performance.now()
    const endMs = this.#endMs
    // Near the end pauses are short, so that the remaining time is used.
    const pauseMs = Math.min(this.#backoff.next(), Math.max(RETRY_BASE_MS, (endMs - nowMs) / 2))
    const wantedMs = Math.min(...waiting.map((endpoint) => this.#notBefore.get(endpoint) ?? nowMs))
    const untilMs = Math.max(nowMs + pauseMs, wantedMs)
    if (untilMs + this.#tryMinMs > endMs) return this.#lastNews(leftMs)
    // If a try ends during the pause, the pause that a node asked for is not cut short: the loop computes it again.
    if (!(await this.#news(untilMs - nowMs))) return
    for (const endpoint of this.#tried) {
      if ((this.#notBefore.get(endpoint) ?? 0) <= untilMs) this.#tried.delete(endpoint)
    }
  }

  /** Asks no further endpoint; waits for those under way. */
  async #lastNews(leftMs: number): Promise<void> {
    if (this.#underway.size > 0) await this.#news(leftMs)
    else this.#endWith(OUT_OF_TIME)
  }

  /**
   * Outcomes as old as the token are forgotten, so it can no longer be found out whether an earlier try was applied. If
   * certainly no try was, the write begins again with a new token.
   */
  async #renew(expired: QuorateError): Promise<void> {
    for (const { cancel } of this.#underway.values()) cancel()
    while (this.#underway.size > 0) await this.#news(Number.POSITIVE_INFINITY)
    if (this.#tries.unknown !== undefined || this.#call.renewed === undefined) {
      this.#endWith({ kind: 'refused', error: expired })
      return
    }
    this.#identity = this.#call.renewed()
    this.#tries.refusal = expired
    this.#expired = undefined
  }

  get #tryMinMs(): number {
    return this.#call.kind !== 'read' && this.#tries.refusal !== undefined ? WRITE_MIN_MS : LEFT_MIN_MS
  }

  #ask(endpoint: Endpoint): Exchange {
    const leftMs = this.#deadline - performance.now()
    const path = withQuery(this.#call.path, { timeout: `${nodeTimeoutMs(leftMs)}ms` })
    const outgoing = { ...this.#call, path, identity: this.#identity }
    const options = { timeoutMs: leftMs, stream: this.#call.stream }
    return this.#began(endpoint, this.#context.transport.exchange(endpoint, outgoing, options))
  }

  #began(endpoint: Endpoint, exchange: Exchange): Exchange {
    this.#tried.add(endpoint)
    this.#hasBegun = true
    endpoint.asked(this, performance.now())
    this.#underway.set(endpoint, exchange)
    void exchange.result.then((result) => {
      this.#underway.delete(endpoint)
      if (result.kind === 'failed') this.#failed(endpoint, result)
      else this.#tryAnswered({ ...result, endpoint })
      endpoint.ended(this)
      this.#wake()
    })
    return exchange
  }

  #failed(endpoint: Endpoint, result: Extract<Exchanged, { kind: 'failed' }>): void {
    const reason = reasonOf(result)
    const message = result.connected ? `${endpoint.url}: ${reason}` : reason
    const failure = new Error(message, { cause: result.cause })
    if (result.connected || result.accepted === true) this.#tries.reached = true
    if (result.connected && this.#call.kind !== 'read') this.#tries.unknown ??= failure
    // The call itself gave up this try.
    if (this.#end !== undefined || this.#expired !== undefined) return
    this.#tries.lastFailure = failure
    endpoint.failed(performance.now())
    this.#context.onFailure()
    if (this.#tries.unknown !== undefined && this.#call.kind === 'bare') this.#endWith(OUT_OF_TIME)
  }

  #tryAnswered(answer: Answer): void {
    try {
      this.#answered(answer)
    } catch (error) {
      // A callback of the application threw this.
      this.#endWith({ kind: 'threw', error })
    }
    const isTaken = this.#end?.kind === 'answered' && this.#end.answer === answer
    if (!isTaken && answer.kind === 'streaming') answer.stream.destroy()
  }

  #answered(answer: Answer): void {
    const { endpoint } = answer
    if (!this.#isOpen()) {
      if (this.#call.kind !== 'read') this.#tries.unknown ??= new Error(`${endpoint.url}: answered too late`)
      return
    }
    const otherCluster = this.#context.onAnswer(answer)
    // A callback of the application may have ended the call.
    if (!this.#isOpen()) return
    if (otherCluster !== undefined) {
      this.#leaveOut(endpoint, foreignError(answer, otherCluster, this.#call.kind))
      return
    }
    const isServed = answer.kind === 'streaming' || answer.status < 400
    if (isServed && !isOfNode(answer.headers)) {
      this.#leaveOut(endpoint, namelessError(endpoint, this.#call.kind))
      return
    }
    this.#tries.reached = true
    if (isServed || this.#call.isEnough?.() === true) {
      endpoint.worked()
      this.#end = { kind: 'answered', answer }
      return
    }
    this.#refused(answer.headers, problemFrom(answer.status, answer.headers, answer.body), endpoint)
  }

  /**
   * The endpoint is not a node of this cluster. The call asks the others, unless a change may have been made in the
   * other cluster, or might be made twice.
   */
  #leaveOut(endpoint: Endpoint, error: QuorateError): void {
    endpoint.failed(performance.now())
    this.#foreign.set(endpoint, error)
    if (error.written !== 'unknown') return
    this.#tries.unknown = error
    const isOver = error.code === 'wrong_cluster' || this.#call.kind === 'bare'
    if (isOver) this.#endWith({ kind: 'refused', error })
  }

  #refused(headers: Headers, problem: Problem, endpoint: Endpoint): void {
    const error = problemError(problem, headers, endpoint, this.#call.kind)
    if (problem.code === 'unexpected_answer' && !problem.passing) {
      this.#leaveOut(endpoint, error)
      return
    }
    if (problem.passing) endpoint.failed(performance.now())
    else endpoint.worked()
    if (error instanceof PreconditionFailedError) {
      this.#end = { kind: 'refused', error }
      return
    }
    // Another cluster, or a host name that this node does not serve.
    if (problem.status === MISDIRECTED) {
      this.#leaveOut(endpoint, error)
      return
    }
    if (error.code === 'idempotency_expired') {
      this.#expired = error
      return
    }
    if (error.written === 'unknown') this.#tries.unknown = error
    else if (problem.passing) this.#tries.refusal = error
    const again = problem.passing || (problem.code === 'internal' && ++this.#internals < INTERNAL_MAX)
    const twice = this.#tries.unknown !== undefined && this.#call.kind === 'bare'
    if (!again || twice) this.#endWith({ kind: 'refused', error })
    this.#notBefore.set(endpoint, performance.now() + (problem.retryAfterMs ?? 0))
  }

  #endWith(end: CallEnd<Answer>): void {
    this.#end ??= end
    this.#wake()
  }

  /**
   * Whether an answer may still change how the call ends. The outcome of this request counts even at the last moment.
   */
  #isOpen(): boolean {
    if (this.#end === undefined || this.#end.kind === 'out-of-time') return true
    return this.#end.kind === 'refused' && !this.#outcomeIsKnown()
  }

  /** Whether no try under way can change the end. A failed condition is the outcome of the idempotency key itself. */
  #outcomeIsKnown(): boolean {
    if (this.#end?.kind === 'refused') return this.#end.error instanceof PreconditionFailedError
    return this.#end?.kind === 'answered'
  }

  /** Waits until a try has ended, the call ends, or the time has passed. Returns whether the time has passed. */
  #news(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const stopTimer = after(withinMs, () => resolve(true))
      this.#wake = () => {
        stopTimer()
        resolve(false)
      }
    })
  }
}

/**
 * Lets pending events run: a process that was busy when its time ran out must first see what arrived meanwhile, such as
 * an accepted connection.
 */
const lastLook = (): Promise<void> => nextTurn()

const OUT_OF_TIME = { kind: 'out-of-time' } as const

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to that host',
}

/** For several refused addresses of one name, Node's message is empty; its code is more useful. */
function reasonOf({ cause, timedOut }: Extract<Exchanged, { kind: 'failed' }>): string {
  if (timedOut) return 'no answer'
  const code = 'code' in cause ? String(cause.code) : ''
  return REASONS[code] ?? (cause.message === '' ? code : cause.message)
}
