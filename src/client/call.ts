// One call of the API, tried until it is answered or its deadline is near.
//
// One endpoint after another is asked. One that keeps silent is not given up, but soon the next is asked as well, and
// the first answer counts: so a node that hangs costs its clients a part of a second, not their time-out. Of a bare
// change nothing may have left: it goes elsewhere only from an endpoint that does not accept the connection.
//
// The rule that everything here serves: a write that may have been applied is never sent again unless it carries an
// idempotency key, and an error never says "nothing was written" unless every try of the call is known to have written
// nothing.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { withQuery } from './address.ts'
import { Backoff } from './backoff.ts'
import { isOfNode, type Problem, problemFrom } from './decode.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import { PreconditionFailedError, type QuorateError } from './errors.ts'
import type { Exchange, Exchanged, Headers, Outgoing, Transport } from './exchange.ts'
import { after, afterLastLook } from './timer.ts'
import { type CallEnd, errorOf, foreignError, namelessError, problemError, type Tries } from './verdict.ts'

/**
 * `read`: may be repeated. `keyed`: a write that carries its idempotency key. `bare`: a change that must not be sent
 * twice.
 */
export type CallKind = 'read' | 'keyed' | 'bare'

export interface Call extends Outgoing {
  readonly kind: CallKind
  /** By `performance.now()`. */
  readonly startedAt: number
  readonly timeoutMs: number
  readonly unreachableAfterMs: number
  /** An endpoint has accepted a connection for it already. */
  readonly isReached?: boolean
  readonly signal: AbortSignal | undefined
  /** Hand over a 200 when it begins. */
  readonly stream: boolean
  /** The headers of a keyed write under another idempotency key, in use from now on. */
  readonly renewed?: () => Outgoing['headers']
  /** Looked at after each answer: true when the call has what it wants, whatever the answer says. */
  readonly isEnough?: () => boolean
}

export type Answer = Exclude<Exchanged, { kind: 'failed' }> & { readonly endpoint: Endpoint }

export interface CallContext {
  readonly endpoints: Endpoints
  readonly transport: Pick<Transport, 'exchange'>
  /** Every answer with its headers, refusals too. The id of its cluster, if that is another one than the client's. */
  readonly onAnswer: (answer: Answer) => string | undefined
  /** An endpoint did not answer. */
  readonly onFailure: () => void
  /** Whether another endpoint may be asked as well because one keeps silent. */
  readonly mayHedge: () => boolean
  /** Registers a way to end the call early (the client is closed); returns how to take it back. */
  readonly onClose: (end: () => void) => () => void
}

const RETRY_BASE_MS = 15
const RETRY_MAX_MS = 1_000
/** A node that has sent nothing for a tenth of the time, within these bounds, is no longer waited for alone. */
const PATIENCE_SHARE = 0.1
const PATIENCE_MIN_MS = 250
const PATIENCE_MAX_MS = 1_000
/**
 * What a large body takes over 3 Mbit/s is waited for as well, up to half of the time that is left: several copies of
 * it would take several times as long.
 */
const SLOW_BYTES_PER_MS = 400
/** Whether another one may be asked is looked at again after this. */
const HEDGE_AGAIN_MS = 50
/** The node is told to answer a little before we stop waiting, so that its reason arrives in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MAX_MS = 100
/** Longest `timeout` that a node accepts (docs/reference/http.md). */
const TIMEOUT_MAX_MS = 60_000
/** Less than this is no try, unless it is the first: a call may be shorter. */
const LEFT_MIN_MS = 5
/**
 * A write that was refused is not tried again with less, nor is one begun that has waited for its turn: a try that
 * finds no time for its answer would make the outcome unknown.
 */
const WRITE_MIN_MS = 100
/** Status of what another node may serve. */
const MISDIRECTED = 421
/** A node that answers `internal` this often in one call will do so again. */
const INTERNAL_MAX = 3

/**
 * A call that has waited for its turn does not begin with less. Less than a quarter more than what calls need now is
 * not enough: where more is asked for than can be done, all would begin when their time is nearly up, and none would
 * end in time.
 */
export function leastMs({ kind, timeoutMs }: Pick<Call, 'kind' | 'timeoutMs'>, usualMs: number): number {
  const tryMs = Math.min(kind === 'read' ? LEFT_MIN_MS : WRITE_MIN_MS, timeoutMs / 2)
  return Math.max(tryMs, Math.min(1.25 * usualMs, timeoutMs * 0.75))
}

export function perform(call: Call, context: CallContext): Promise<Answer> {
  return new Progress(call, context).run()
}

/** What is known of a call so far. */
class Progress {
  readonly #call: Call
  readonly #context: CallContext
  readonly #deadline: number
  readonly #patienceMs: number
  readonly #backoff = new Backoff(RETRY_BASE_MS, RETRY_MAX_MS)
  /** Asked since the last pause. */
  readonly #tried = new Set<Endpoint>()
  /** They belong to another cluster, serve no such host, or are no nodes: not asked again. */
  readonly #foreign = new Map<Endpoint, QuorateError>()
  /** Asked, and still to answer. */
  readonly #underway = new Map<Endpoint, Exchange>()
  readonly #tries: Tries
  #headers: Outgoing['headers']
  /** Somebody has been asked, be it the question before the first change. */
  #hasBegun: boolean
  /** The idempotency key was refused as too old. */
  #expired: QuorateError | undefined
  #internals = 0
  /** When those may be asked again that said so, by `performance.now()`. */
  readonly #notBefore = new Map<Endpoint, number>()
  #end: CallEnd<Answer> | undefined
  #wake = () => {}

  constructor(call: Call, context: CallContext) {
    this.#call = call
    this.#context = context
    this.#headers = call.headers
    this.#deadline = call.startedAt + call.timeoutMs
    this.#patienceMs = Math.min(PATIENCE_MAX_MS, Math.max(PATIENCE_MIN_MS, call.timeoutMs * PATIENCE_SHARE))
    const reached = call.isReached === true
    this.#tries = { unknown: undefined, refusal: undefined, lastFailure: undefined, reached }
    this.#hasBegun = reached
  }

  async run(): Promise<Answer> {
    const { signal } = this.#call
    const onAbort = () => this.#endWith({ kind: 'aborted', reason: signal?.reason })
    if (signal?.aborted === true) onAbort()
    signal?.addEventListener('abort', onAbort)
    const takeBack = this.#context.onClose(() => this.#endWith({ kind: 'closed' }))
    try {
      await this.#tryUntilTheEnd()
      for (const [endpoint, { cancel }] of this.#underway) {
        if (this.#end?.kind === 'aborted') endpoint.givenUp(performance.now(), PATIENCE_MIN_MS)
        cancel()
      }
      // Whether the others have left decides what may be said of a write.
      while (this.#underway.size > 0 && !this.#outcomeIsKnown()) await this.#news(Number.POSITIVE_INFINITY)
    } finally {
      signal?.removeEventListener('abort', onAbort)
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

  /** Not to be asked now. */
  get #busy(): ReadonlySet<Endpoint> {
    return new Set([...this.#tried, ...this.#underway.keys(), ...this.#foreign.keys()])
  }

  /** Whether the one that keeps silent is waited for no longer alone. Only a second copy of the request has a price. */
  #mayAskAnother(silent: Exchange): boolean {
    if (this.#call.kind === 'bare' || !silent.isConnected()) return true
    const busy = this.#busy
    return this.#context.endpoints.all.every((endpoint) => busy.has(endpoint)) || this.#context.mayHedge()
  }

  /**
   * Sooner than the deadline as long as no endpoint has accepted a connection. What the lookup of a name takes is
   * added.
   */
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
   * Within this an endpoint must accept the connection while others wait to be asked: all are, before nobody is said to
   * be there.
   */
  get #connectMs(): number {
    const others = this.#context.endpoints.all.length - this.#tried.size
    return others > 0 ? this.#leftMs / (others + 1) : Number.POSITIVE_INFINITY
  }

  /**
   * For the endpoint that was asked last, until it has been silent for too long. A bare change that may have left is
   * waited for to the end.
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
      stopTimer = afterLastLook(ms, () => {
        const heardAt = exchange.heardAt()
        // Over a slow connection a large answer takes long: asked for twice it takes twice as long.
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
    bePatient(this.#patienceMs, exchange.heardAt())
    const connectMs = this.#connectMs
    const isSooner = connectMs < this.#patienceMs
    const stopConnecting = isSooner
      ? afterLastLook(connectMs, () => exchange.isConnected() || loseHope())
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
    // Still silent: other calls had better begin elsewhere.
    endpoint.failed(performance.now())
    if (!isBare || exchange.isConnected()) return
    exchange.cancel('no connection')
    while (this.#underway.has(endpoint)) await this.#news(Number.POSITIVE_INFINITY)
  }

  /** Everybody has been asked: a pause before they are asked again, but for those who have not answered yet. */
  async #afterRound(leftMs: number): Promise<void> {
    const others = this.#context.endpoints.all.filter((endpoint) => !this.#foreign.has(endpoint))
    const [foreign] = this.#foreign.values()
    if (others.length === 0 && foreign !== undefined)
      return this.#endWith({ kind: 'refused', error: foreign })
    const waiting = others.filter((endpoint) => !this.#underway.has(endpoint))
    if (waiting.length === 0) return void (await this.#news(leftMs))
    const nowMs = performance.now()
    const endMs = this.#endMs
    // Towards the end pauses are short, so that the time is used.
    const pauseMs = Math.min(this.#backoff.next(), Math.max(RETRY_BASE_MS, (endMs - nowMs) / 2))
    const wantedMs = Math.min(...waiting.map((endpoint) => this.#notBefore.get(endpoint) ?? nowMs))
    const untilMs = Math.max(nowMs + pauseMs, wantedMs)
    if (untilMs + this.#tryMinMs > endMs) return this.#lastNews(leftMs)
    // A try that ends meanwhile cuts no pause short that a node has asked for: how long to wait is decided anew.
    if (!(await this.#news(untilMs - nowMs))) return
    for (const endpoint of this.#tried) {
      if ((this.#notBefore.get(endpoint) ?? 0) <= untilMs) this.#tried.delete(endpoint)
    }
  }

  /** Nobody else is asked. */
  async #lastNews(leftMs: number): Promise<void> {
    if (this.#underway.size > 0) await this.#news(leftMs)
    else this.#endWith(OUT_OF_TIME)
  }

  /**
   * Outcomes as old as the token are forgotten: whether an earlier try was applied can not be told any more. If
   * certainly none was, the write begins anew under another token.
   */
  async #renew(expired: QuorateError): Promise<void> {
    for (const { cancel } of this.#underway.values()) cancel()
    while (this.#underway.size > 0) await this.#news(Number.POSITIVE_INFINITY)
    if (this.#tries.unknown !== undefined || this.#call.renewed === undefined) {
      this.#endWith({ kind: 'refused', error: expired })
      return
    }
    this.#headers = this.#call.renewed()
    this.#tries.refusal = expired
    this.#expired = undefined
  }

  get #tryMinMs(): number {
    return this.#call.kind !== 'read' && this.#tries.refusal !== undefined ? WRITE_MIN_MS : LEFT_MIN_MS
  }

  #ask(endpoint: Endpoint): Exchange {
    const leftMs = this.#deadline - performance.now()
    const transitMs = Math.min(TRANSIT_MAX_MS, leftMs * TRANSIT_SHARE)
    const nodeTimeoutMs = Math.max(1, Math.floor(Math.min(TIMEOUT_MAX_MS, leftMs - transitMs)))
    const path = withQuery(this.#call.path, { timeout: `${nodeTimeoutMs}ms` })
    const outgoing = { ...this.#call, path, headers: this.#headers }
    const options = { timeoutMs: leftMs, stream: this.#call.stream }
    this.#tried.add(endpoint)
    this.#hasBegun = true
    const exchange = this.#context.transport.exchange(endpoint, outgoing, options)
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
    // It was we who gave it up.
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
      // What a callback of the application throws.
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
   * No node of this cluster: the others are asked instead, unless a change may have been made in the other cluster, or
   * would be made twice.
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
    // Another cluster, or a host name that this node is not to serve.
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
   * Whether an answer may still change how the call ends: what came of this very request counts at the last moment too.
   */
  #isOpen(): boolean {
    if (this.#end === undefined || this.#end.kind === 'out-of-time') return true
    return this.#end.kind === 'refused' && !this.#outcomeIsKnown()
  }

  /** Nothing that is still under way can change it. A failed condition is the outcome of the idempotency key itself. */
  #outcomeIsKnown(): boolean {
    if (this.#end?.kind === 'refused') return this.#end.error instanceof PreconditionFailedError
    return this.#end?.kind === 'answered'
  }

  /** Until a try has ended, the call is to end, or some time has passed: whether it has. */
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
 * A process that was busy when its time was up sees first what has come meanwhile, such as a connection that was
 * accepted.
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

/** Node's message for several refused addresses of one name is empty: the code says more. */
function reasonOf({ cause, timedOut }: Extract<Exchanged, { kind: 'failed' }>): string {
  if (timedOut) return 'no answer'
  const code = 'code' in cause ? String(cause.code) : ''
  return REASONS[code] ?? (cause.message === '' ? code : cause.message)
}
