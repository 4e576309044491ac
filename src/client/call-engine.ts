// The one way of a call to the cluster: limiter, endpoint, transport, outcome, and again until the deadline.
//
// Two rules come first. A write that may have been applied is sent again only if it carries a write id, or a revision
// that it raises. An error says "nothing was written" only if every try of the call certainly wrote nothing.
//
// A try ends with an answer, with a failure, or at its time limit (retry-policy.ts). Then the next endpoint gets the
// request. A try is given up only while another endpoint may serve the call. The last one is waited for, since its
// answer may be close. It may also hang, so the other endpoints get the request again beside it, one after the other.
// So a call has at most two tries in flight. The first answer ends it.

import type { Repeat } from '../operations/definition.ts'
import type { NodeAnswerHead } from '../operations/forms/answer-head.ts'
import type { RefusedAnswer } from '../operations/forms/answers.ts'
import type { Idempotency } from '../operations/forms/index.ts'
import { whenAborted } from './abort-listeners.ts'
import { Backoff } from './backoff.ts'
import {
  type CallEnd,
  callError,
  failureText,
  foreignError,
  isOnlyTls,
  namelessError,
  onlyTlsError,
  otherProtocolError,
  problemError,
  type TriedEndpoint,
  type Tries,
  unknownOutcome,
} from './call-error.ts'
import { CallSpan } from './call-span.ts'
import {
  type ClientOperation,
  findItemForm,
  findRepeat,
  isChange,
  needsLeader,
  type OperationRequest,
} from './client-operation.ts'
import type { ClusterView } from './cluster-view.ts'
import { ConcurrencyLimiter } from './concurrency-limiter.ts'
import type { ClientCredentials } from './credentials.ts'
import { unexpected } from './decode.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import { PreconditionFailedError, type QuorateError, UnavailableError } from './errors.ts'
import { type CloseNotifier, closedError, pauseUntilInterrupted } from './interruption.ts'
import {
  INTERNAL_MAX,
  LEFT_MIN_MS,
  leastMs,
  mustWait,
  PASSWORD_MS,
  PASSWORD_SHARE,
  READS_AT_LEADER,
  RETRY_BASE_MS,
  RETRY_MAX_MS,
  RetryBudget,
  SLOW_BYTES_PER_MS,
  TRY_MIN_MS,
  tryLimitMs,
  UNDATED_RETRY_MS,
  WRITE_MIN_MS,
} from './retry-policy.ts'
import { type Stopwatch, startStopwatch } from './suspend-aware-clock.ts'
import type { MuxTransport } from './transport/mux-transport.ts'
import type {
  Answer,
  MaybeApplied,
  NodeAnswer,
  NotSent,
  SendOptions,
  SendOutcome,
  Transport,
} from './transport/transport.ts'
import { isDated, type WriteIdSource } from './write-ids.ts'

export interface ClientCall {
  /** As in `SendOptions`. */
  readonly seal?: SendOptions['seal']
  readonly streamSilenceMs?: number | undefined
  /** A time of `performance.now()`. */
  readonly startedAt: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Instead of the endpoints that the client knows. */
  readonly endpoints?: Endpoints | undefined
  /** The id of a keyed write that may have been sent before. */
  readonly writeId?: Idempotency | undefined
  /** Called for each answer of a node of the cluster that has served the request. */
  readonly onAnswer?: ((head: NodeAnswerHead) => void) | undefined
  /** The call waits for no other call. */
  readonly isUrgent?: boolean | undefined
  /** It has no credentials: it requests them. */
  readonly isLogin?: boolean | undefined
  /** Its requests and pauses keep no process alive. */
  readonly background?: boolean | undefined
  /** undefined: nobody records. */
  readonly span?: CallSpan | undefined
}

interface EngineOptions {
  readonly endpoints: Endpoints
  readonly http: Transport
  /** undefined: the client uses none. */
  readonly mux: MuxTransport | undefined
  readonly cluster: ClusterView
  readonly credentials: ClientCredentials
  readonly writeIds: WriteIdSource
  readonly closing: CloseNotifier
  readonly callsMax: number
  readonly unreachableAfterMs: number | undefined
}

export class CallEngine {
  readonly options: EngineOptions
  readonly limiter: ConcurrencyLimiter
  readonly retryBudget: RetryBudget
  /** Number of calls past the limiter. */
  inFlight = 0

  constructor(options: EngineOptions) {
    this.options = options
    this.limiter = new ConcurrencyLimiter(options.callsMax)
    this.retryBudget = new RetryBudget(options.callsMax)
  }

  /** Waits for the limiter, and performs the call. */
  run<Q extends OperationRequest, R>(
    operation: ClientOperation<Q, R>,
    request: NoInfer<Q>,
    call: ClientCall,
  ): Promise<NodeAnswer<R>> {
    const span = CallSpan.begin(operation, request)
    return span === undefined
      ? this.#run(operation, request, call)
      : span.during(this.#run(operation, request, { ...call, span }))
  }

  async #run<Q extends OperationRequest, R>(
    operation: ClientOperation<Q, R>,
    request: Q,
    call: ClientCall,
  ): Promise<NodeAnswer<R>> {
    if (call.isUrgent === true) return this.perform(operation, request, call, 0)
    const waitedMs = await this.acquire(call, this.findRepeat(operation, request))
    try {
      return await this.perform(operation, request, call, waitedMs)
    } finally {
      this.limiter.releaseAfter(performance.now() - call.startedAt - waitedMs)
    }
  }

  /** Performs a call that has passed the limiter. */
  perform<Q extends OperationRequest, R>(
    operation: ClientOperation<Q, R>,
    request: NoInfer<Q>,
    call: ClientCall,
    waitedMs: number,
  ): Promise<NodeAnswer<R>> {
    if (this.options.closing.isClosed) throw closedError()
    return new RetryingCall(this, operation, request, call, waitedMs).run()
  }

  /** How the request may be sent again through the transport of this client. */
  findRepeat<Q extends OperationRequest>(operation: ClientOperation<Q, unknown>, request: Q): Repeat {
    const repeat = findRepeat(operation, request)
    return this.options.http.cannotNameChanges === true && repeat !== 'freely' ? 'never' : repeat
  }

  /** Acquires a permit for a call before any byte of it has left. Returns how long it has waited. */
  acquire(call: ClientCall, repeat: Repeat): number | Promise<number> {
    if (this.options.closing.isClosed) throw closedError()
    this.options.mux?.noteCall(this.limiter.acquired)
    return this.limiter.tryAcquire() ? 0 : this.#wait(call, repeat)
  }

  async #wait({ startedAt, timeoutMs, signal }: ClientCall, repeat: Repeat): Promise<number> {
    const isAcquired = await this.limiter.wait(timeoutMs, signal)
    const waitedMs = performance.now() - startedAt
    const leftMs = timeoutMs - waitedMs
    const neededMs = leastMs(repeat === 'freely', timeoutMs, this.limiter.usualMs)
    if (isAcquired && leftMs >= neededMs) return waitedMs
    if (isAcquired) this.limiter.release()
    const reason = this.options.closing.reason(signal)
    if (reason !== undefined) throw reason
    const why = `since ${this.options.callsMax} calls of this client (callsMax) were in flight`
    const message =
      isAcquired && leftMs > 0
        ? `not sent: it could begin after ${seconds(waitedMs)}, ${why}. ${seconds(leftMs)} were left, and now a call begins only with ${seconds(neededMs)}`
        : `not sent: it could not begin in time (${seconds(timeoutMs)}), ${why}`
    throw new UnavailableError(message, { code: 'timeout', written: 'no' })
  }
}

const seconds = (ms: number) => `${Number((ms / 1_000).toFixed(3))} s`

/** State of an endpoint that a call has tried. */
interface Visit extends TriedEndpoint {
  /** It was tried since the last pause. */
  isTried: boolean
  /** It did not answer within the time limit of a try. */
  isSilent: boolean
  failure: string | undefined
  foreign: QuorateError | undefined
  /** When the last try was sent, and when the next one may be after a Retry-After, by `performance.now()`. */
  sentAtMs: number
  notBeforeMs: number
  /** The credentials of the last try. */
  authorization: string | undefined
}

/** Tries of a call beside the one at its last endpoint, which is silent. */
interface SideTries<R> {
  readonly last: Endpoint
  /** The last endpoint's try is still in flight. */
  isBeside: boolean
  /** How the call ended beside the last endpoint. */
  end: End<R> | undefined
  /** Gives up the side try in flight. */
  readonly giveUp: AbortController
  count: number
}

type End<R> = CallEnd<NodeAnswer<R>>

/** Nobody takes this answer, because another one was faster. */
function closeStream<R>(end: End<R> | undefined): void {
  if (end?.kind === 'answered' && end.answer.kind === 'streaming') end.answer.stream.destroy()
}

/** The state of one call. Most have one try: what further tries need is made for them. */
class RetryingCall<Q extends OperationRequest, R> {
  readonly #engine: CallEngine
  readonly #operation: ClientOperation<Q, R>
  /** After the first try of a change, it names the change. */
  #request: Q
  readonly #call: ClientCall
  readonly #repeat: Repeat
  readonly #endpoints: Endpoints
  readonly #deadline: number
  /**
   * End of the call while no endpoint has accepted a connection, once each has been tried. The last try may wait for
   * the lookup of its name.
   */
  readonly #unreachableAt: number
  /** Each endpoint gets this share of the time to connect, also if earlier ones have taken longer. */
  readonly #connectShareMs: number
  #backoff: Backoff | undefined
  readonly #visits: Visit[] = []
  readonly #tries: Tries = {
    unknown: undefined,
    refusal: undefined,
    lastFailure: undefined,
    reached: false,
    silentUrl: undefined,
  }
  #writeId: Idempotency | undefined
  /** When the first try that may have been applied was sent, for a write id that names no revision. */
  #undatedSentAt: Stopwatch | undefined
  /** Tries that were given up within the retry budget. */
  #copies = 0
  #attempts = 0
  #internals = 0
  #sideTries: SideTries<R> | undefined
  #sideTriesEnd: Promise<End<R>> | undefined
  #isOver = false
  /** A try was refused as `unauthenticated`, and is made again with newer credentials. */
  #hasRenewed = false

  constructor(
    engine: CallEngine,
    operation: ClientOperation<Q, R>,
    request: Q,
    call: ClientCall,
    waitedMs: number,
  ) {
    this.#engine = engine
    this.#operation = operation
    this.#request = request
    this.#call = call
    this.#repeat = engine.findRepeat(operation, request)
    this.#endpoints = call.endpoints ?? engine.options.endpoints
    this.#deadline = call.startedAt + call.timeoutMs
    const { unreachableAfterMs = call.timeoutMs } = engine.options
    this.#unreachableAt = call.startedAt + waitedMs + unreachableAfterMs
    this.#connectShareMs = unreachableAfterMs / this.#endpoints.all.length
  }

  async run(): Promise<NodeAnswer<R>> {
    this.#engine.inFlight += 1
    try {
      for (;;) {
        let end = this.#interrupted ?? this.#lateEnd
        if (end === undefined && this.#isLacking) end = await this.#obtainCredentials()
        if (end === undefined) {
          const endpoint = this.#pick()
          if (endpoint === undefined) end = await this.#pauseAfterRound()
          else {
            end = this.#ended(endpoint, await this.#send(endpoint))
            if (this.#sideTries !== undefined) end = await this.#endAfter(end, this.#sideTries)
          }
        }
        if (end?.kind === 'answered') return end.answer
        if (end !== undefined) throw callError(end, this.#tries, this.#call, this.#visits, this.#neverTried)
      }
    } finally {
      this.#engine.inFlight -= 1
      this.#isOver = true
      this.#sideTries?.giveUp.abort()
      this.#release()
    }
  }

  /** The last endpoint is silent: the others get the request again while it may still answer. */
  #beginSideTries(last: Endpoint): void {
    const sideTries: SideTries<R> = {
      last,
      isBeside: true,
      end: undefined,
      giveUp: new AbortController(),
      count: 0,
    }
    this.#sideTries = sideTries
    const stopListening = whenAborted(this.#call.signal, () => sideTries.giveUp.abort())
    const ended = this.#trySide(sideTries)
    this.#sideTriesEnd = ended.catch((error: unknown) => ({ kind: 'threw', error }))
    void this.#sideTriesEnd.then((end) => {
      stopListening()
      if (this.#isOver) closeStream(end)
      // The last endpoint still has the rest of the time.
      if (end.kind !== 'out-of-time') sideTries.end = end
    })
  }

  async #trySide(sideTries: SideTries<R>): Promise<End<R>> {
    const isNext = (endpoint: Endpoint) =>
      !(sideTries.isBeside && endpoint === sideTries.last) && this.#isUntried(endpoint)
    for (;;) {
      let end = this.#isOver ? OUT_OF_TIME : (this.#interrupted ?? this.#lateEnd)
      if (end === undefined && this.#isLacking) end = await this.#obtainCredentials()
      if (end === undefined) {
        const endpoint = this.#endpoints.pick(isNext, performance.now())
        if (endpoint === undefined) end = await this.#pauseAfterRound()
        else {
          sideTries.count += 1
          end = this.#ended(endpoint, await this.#send(endpoint, sideTries))
        }
      }
      if (end !== undefined) return end
    }
  }

  /** The end of the call after the try at its last endpoint. */
  async #endAfter(end: End<R> | undefined, sideTries: SideTries<R>): Promise<End<R> | undefined> {
    sideTries.isBeside = false
    if (end?.kind !== 'answered') return sideTries.end ?? end ?? (await this.#sideTriesEnd)
    closeStream(sideTries.end)
    return end
  }

  #release(): void {
    const { options, retryBudget } = this.#engine
    retryBudget.callEnded(this.#copies)
    if (this.#writeId !== undefined && this.#call.writeId === undefined)
      options.writeIds.release(this.#writeId)
  }

  /** The end of a call that has no time for another try. */
  get #lateEnd(): End<R> | undefined {
    if (this.#attempts === 0) return undefined
    return this.#leftMs < this.#tryMinMs ? OUT_OF_TIME : this.#findRetryEnd()
  }

  get #isLacking(): boolean {
    return this.#call.isLogin !== true && this.#engine.options.credentials.isLacking()
  }

  get #foreign(): ReadonlyMap<Endpoint, QuorateError> {
    return new Map(
      this.#visits.flatMap(({ endpoint, foreign }) => (foreign === undefined ? [] : [[endpoint, foreign]])),
    )
  }

  #find(endpoint: Endpoint): Visit | undefined {
    for (const visit of this.#visits) if (visit.endpoint === endpoint) return visit
    return undefined
  }

  #visit(endpoint: Endpoint): Visit {
    let visit = this.#find(endpoint)
    if (visit === undefined) {
      visit = {
        endpoint,
        isTried: true,
        isSilent: false,
        failure: undefined,
        foreign: undefined,
        sentAtMs: 0,
        notBeforeMs: 0,
        authorization: undefined,
      }
      this.#visits.push(visit)
    }
    return visit
  }

  get #interrupted(): End<R> | undefined {
    const reason = this.#engine.options.closing.reason(this.#call.signal)
    if (reason === undefined) return undefined
    return reason.code === 'closed' ? { kind: 'closed' } : { kind: 'aborted', reason: reason.cause }
  }

  /** The end of a write that the cluster could take for a new one if it got another copy (UNDATED_RETRY_MS). */
  #findRetryEnd(): End<R> | undefined {
    const { unknown } = this.#tries
    if (unknown === undefined || this.#undatedSentAt === undefined) return undefined
    if (this.#undatedSentAt.elapsedMs() < UNDATED_RETRY_MS) return undefined
    const message = `sent, but no node said what became of it, and the first write of a client is sent again only for ${seconds(UNDATED_RETRY_MS)} (${unknown.message})`
    return { kind: 'refused', error: unknownOutcome(message, unknown) }
  }

  get #leftMs(): number {
    const mayConnect = this.#tries.reached || this.#neverTried.length > 0
    const end = mayConnect ? this.#deadline : Math.min(this.#deadline, this.#unreachableAt)
    return end - performance.now()
  }

  get #neverTried(): readonly Endpoint[] {
    return this.#endpoints.all.filter((endpoint) => this.#find(endpoint) === undefined)
  }

  /** Time for a connection: while no endpoint has accepted one, the time is divided, so that all are tried. */
  #connectMs(untried: number): number {
    const nowMs = performance.now()
    const count = untried + 1
    const leftMs = this.#tries.reached
      ? this.#deadline - nowMs
      : Math.min(this.#deadline - nowMs, Math.max(this.#unreachableAt - nowMs, count * this.#connectShareMs))
    return Math.max(1, leftMs / count)
  }

  get #tryMinMs(): number {
    return this.#repeat !== 'freely' && this.#tries.refusal !== undefined ? WRITE_MIN_MS : LEFT_MIN_MS
  }

  async #obtainCredentials(): Promise<End<R> | undefined> {
    const { credentials, closing } = this.#engine.options
    // The login itself knows when no endpoint can be reached.
    const leftMs = this.#deadline - performance.now()
    const error = await credentials.obtain(leftMs, closing.interruption(this.#call.signal))
    const interrupted = this.#interrupted
    if (interrupted !== undefined) return interrupted
    if (error !== undefined) return { kind: 'refused', error }
    this.#tries.reached = true
    return undefined
  }

  /** The next endpoint; undefined: all were tried since the last pause. */
  #pick(): Endpoint | undefined {
    const { options, inFlight } = this.#engine
    const { mux } = options
    const operation = this.#operation
    const nowMs = performance.now()
    const isFirst = this.#attempts === 0 && this.#call.endpoints === undefined
    if (mux !== undefined && isFirst && findItemForm(operation, this.#request) !== undefined) {
      const isPreferred = isChange(operation) || inFlight <= READS_AT_LEADER
      const endpoint = mux.pick(this.#endpoints, nowMs, isPreferred && needsLeader(operation, this.#request))
      if (endpoint !== undefined) return endpoint
    }
    return this.#endpoints.pick((each) => this.#isUntried(each), nowMs)
  }

  #isUntried(endpoint: Endpoint): boolean {
    const visit = this.#find(endpoint)
    return visit === undefined || (!visit.isTried && visit.foreign === undefined)
  }

  /** One try. */
  #send(endpoint: Endpoint, sideTries?: SideTries<R>): Promise<SendOutcome<R>> {
    const { http, mux, credentials } = this.#engine.options
    const { endpoints, isLogin = false, span, timeoutMs } = this.#call
    if (this.#repeat === 'by-id') this.#nameRequest()
    const [operation, request] = [this.#operation, this.#request]
    const isMuxed =
      endpoints === undefined && mux?.accepts(endpoint, operation, request, this.#attempts > 0) === true
    if (!isLogin) credentials.renewInTime(timeoutMs)
    const visit = this.#visit(endpoint)
    if (isMuxed) visit.authorization = mux.authorizationAt(endpoint)
    else visit.authorization = isLogin ? undefined : credentials.authorization
    visit.isTried = true
    this.#attempts += 1
    const nowMs = performance.now()
    visit.sentAtMs = nowMs
    endpoint.requestSent(this, nowMs)
    span?.trying(endpoint)
    const options = this.#sendOptions(visit, nowMs, sideTries)
    return (isMuxed ? mux : http).send(endpoint, operation, request, options)
  }

  #nameRequest(): void {
    this.#writeId ??= this.#call.writeId ?? this.#engine.options.writeIds.next()
    if (!isDated(this.#writeId) && this.#tries.unknown === undefined) this.#undatedSentAt = startStopwatch()
    if (this.#request.idempotency === this.#writeId) return
    this.#request = { ...this.#request, idempotency: this.#writeId }
  }

  #sendOptions(
    { endpoint, authorization }: Visit,
    sentAtMs: number,
    sideTries: SideTries<R> | undefined,
  ): SendOptions {
    const { timeoutMs, span: trace, signal } = this.#call
    const { seal, streamSilenceMs, background } = this.#call
    const timeLeftMs = Math.max(1, this.#deadline - sentAtMs)
    // How many endpoints remain for this round.
    let untried = 0
    for (const each of this.#endpoints.all) if (this.#isUntried(each)) untried += 1
    let connectMs = this.#connectMs(untried)
    let silenceMs: number | undefined
    const limitMs = tryLimitMs(timeoutMs)
    const hasAlternative = sideTries !== undefined || this.#hasAlternative(endpoint)
    if (hasAlternative) connectMs = Math.min(connectMs, limitMs)
    // A change that must not be sent twice waits for its answer to the end.
    if (this.#repeat !== 'never' && this.#endpoints.all.length > 1) {
      const silentMs =
        this.#operation.hashesPassword?.(this.#request) === true
          ? Math.max(limitMs, Math.min(PASSWORD_MS, timeoutMs * PASSWORD_SHARE))
          : limitMs
      const bytes = this.#operation.mux?.credit(this.#request) ?? 0
      const sendingMs = Math.min(bytes / SLOW_BYTES_PER_MS, timeLeftMs / 2)
      silenceMs = Math.max(silentMs * 2 ** (sideTries?.count ?? 0), sendingMs)
    }
    const mayGiveUp =
      silenceMs === undefined ? undefined : () => this.#mayGiveUp(endpoint, sentAtMs, sideTries)
    return {
      timeoutMs: timeLeftMs,
      connectMs,
      handshakeMs: hasAlternative ? limitMs : undefined,
      waitsForLookup: untried === 0,
      silenceMs,
      mayGiveUp,
      seal,
      streamSilenceMs,
      clusterId: this.#engine.options.cluster.id,
      authorization,
      trace,
      signal: sideTries?.giveUp.signal ?? signal,
      background,
    }
  }

  /** Whether another endpoint may serve the call: one that was not silent, and that does not ask for a longer pause. */
  #hasAlternative(endpoint: Endpoint): boolean {
    if (this.#find(endpoint)?.isSilent === true) return false
    for (const each of this.#endpoints.all) {
      if (each === endpoint) continue
      const visit = this.#find(each)
      if (visit === undefined) return true
      if (!visit.isSilent && visit.foreign === undefined && visit.notBeforeMs < this.#deadline) return true
    }
    return false
  }

  /** Whether a silent try ends. If not, others may begin beside it. */
  #mayGiveUp(endpoint: Endpoint, sentAtMs: number, sideTries: SideTries<R> | undefined): boolean {
    if (this.#isOver || this.#sideTries?.end !== undefined) return true
    if (sideTries !== undefined)
      return this.#hasOther(endpoint, sideTries) && this.#acquireCopy(endpoint, sentAtMs)
    if (this.#sideTries !== undefined) return false
    // A connection was accepted, so the whole time of the call is left.
    const isLate = mustWait(this.#call.timeoutMs, this.#deadline - performance.now())
    if (this.#hasAlternative(endpoint) && (!isLate || this.#call.isUrgent === true))
      return this.#acquireCopy(endpoint, sentAtMs)
    if (this.#call.isLogin === true || !this.#acquireCopy(endpoint, sentAtMs)) return false
    this.#beginSideTries(endpoint)
    return false
  }

  /** Whether the request may be sent once more although it was not answered. */
  #acquireCopy(endpoint: Endpoint, sentAtMs: number): boolean {
    if (this.#call.isUrgent === true) return true
    const { limiter, retryBudget } = this.#engine
    // While no other endpoint answers either, the whole cluster may be slow: then few calls try other endpoints.
    const isOtherAlive = this.#endpoints.all.some(
      (each) => each !== endpoint && each.hasAnsweredSince(sentAtMs),
    )
    if (retryBudget.tryAcquire(isOtherAlive ? limiter.acquired : 0)) {
      this.#copies += 1
      return true
    }
    // Other calls should not begin with a silent endpoint.
    endpoint.failed(performance.now())
    return false
  }

  /** Whether a side try may move from this endpoint to another one. */
  #hasOther(endpoint: Endpoint, { last, isBeside }: SideTries<R>): boolean {
    return this.#endpoints.all.some(
      (each) => each !== endpoint && !(isBeside && each === last) && this.#find(each)?.foreign === undefined,
    )
  }

  #ended(endpoint: Endpoint, outcome: SendOutcome<R>): End<R> | undefined {
    this.#call.span?.tried(outcome)
    try {
      if (outcome.kind === 'not-sent' || outcome.kind === 'maybe-applied')
        return this.#failed(endpoint, outcome)
      const end = this.#answered(endpoint, outcome)
      if (end?.kind !== 'answered' && outcome.kind === 'streaming') outcome.stream.destroy()
      return end
    } catch (error) {
      // A callback of the application threw this.
      return { kind: 'threw', error }
    } finally {
      endpoint.requestEnded(this)
    }
  }

  #failed(endpoint: Endpoint, outcome: NotSent | MaybeApplied): End<R> | undefined {
    if (outcome.kind === 'not-sent' && outcome.greeting !== undefined)
      return this.#excludeEndpoint(endpoint, otherProtocolError(endpoint, outcome.greeting, outcome.cause))
    const reason = failureText(outcome)
    const isSent = outcome.kind === 'maybe-applied'
    const failure = new Error(isSent ? `${endpoint.url}: ${reason}` : reason, { cause: outcome.cause })
    if (isSent || outcome.reached) {
      this.#tries.reached = true
      if (outcome.timedOut) this.#tries.silentUrl = endpoint.url
    }
    if (isSent && this.#repeat !== 'freely') this.#tries.unknown ??= failure
    const nowMs = performance.now()
    const interrupted = this.#interrupted
    if (interrupted !== undefined) {
      if (interrupted.kind === 'aborted') endpoint.requestGivenUp(nowMs, TRY_MIN_MS)
      return interrupted
    }
    this.#tries.lastFailure = failure
    endpoint.failed(nowMs)
    this.#engine.options.cluster.hastenDiscovery()
    const visit = this.#visit(endpoint)
    visit.failure = reason
    if (outcome.timedOut) visit.isSilent = true
    if (isSent && outcome.timedOut) this.#engine.options.http.endIdle?.(endpoint, visit.sentAtMs)
    return isSent && this.#repeat === 'never' ? (this.#lateEnd ?? NO_MORE_TRIES) : undefined
  }

  #answered(endpoint: Endpoint, answer: Answer<R>): End<R> | undefined {
    const { head } = answer
    const { endpoints, onAnswer } = this.#call
    const otherCluster = this.#engine.options.cluster.noteAnswer(head, endpoint, endpoints === undefined)
    if (otherCluster !== undefined)
      return this.#excludeEndpoint(endpoint, foreignError(answer, endpoint, otherCluster, this.#repeat))
    if (answer.kind === 'refused') {
      this.#tries.reached = true
      return this.#refused(answer, endpoint)
    }
    if (head.clusterId === undefined)
      return this.#excludeEndpoint(endpoint, namelessError(endpoint, this.#repeat))
    onAnswer?.(head)
    this.#tries.reached = true
    endpoint.worked()
    if (answer.kind !== 'unreadable') return { kind: 'answered', answer: { ...answer, endpoint } }
    const written = this.#repeat === 'freely' ? 'no' : 'unknown'
    return { kind: 'threw', error: unexpected(answer.cause, endpoint.url, written) }
  }

  /**
   * The endpoint is not a node of this cluster. The others are tried, unless a change may have been made in the other
   * cluster, or might be made twice.
   */
  #excludeEndpoint(endpoint: Endpoint, error: QuorateError): End<R> | undefined {
    endpoint.failed(performance.now())
    this.#visit(endpoint).foreign = error
    if (error.written !== 'unknown') return undefined
    this.#tries.unknown = error
    const isOver = error.code === 'wrong_cluster' || this.#repeat === 'never'
    return isOver ? { kind: 'refused', error } : undefined
  }

  #refused({ problem, head }: RefusedAnswer, endpoint: Endpoint): End<R> | undefined {
    const error = problemError(problem, head.node, endpoint, this.#repeat)
    if (problem.code === 'unexpected_answer' && !problem.passing)
      return this.#excludeEndpoint(endpoint, error)
    if (problem.passing) endpoint.failed(performance.now())
    else endpoint.worked()
    if (error instanceof PreconditionFailedError) return { kind: 'refused', error }
    // A node of another cluster, or a host name that this node does not serve.
    if (problem.status === MISDIRECTED) return this.#excludeEndpoint(endpoint, error)
    if (isOnlyTls(problem, endpoint)) return this.#excludeEndpoint(endpoint, onlyTlsError(endpoint))
    if (error.code === 'idempotency_expired') return this.#renewWriteId(error)
    if (error.code === 'unauthenticated') return this.#renewCredentials(error, endpoint)
    if (error.written === 'unknown') this.#tries.unknown = error
    else if (problem.passing) this.#tries.refusal = error
    const again = problem.passing || (problem.code === 'internal' && ++this.#internals < INTERNAL_MAX)
    const twice = this.#tries.unknown !== undefined && this.#repeat === 'never'
    if (!again || twice) return { kind: 'refused', error }
    this.#visit(endpoint).notBeforeMs = performance.now() + (problem.retryAfterMs ?? 0)
    return undefined
  }

  /** The token has ended, or rights are checked since a moment ago. Once, the call is made again after a login. */
  #renewCredentials(error: QuorateError, endpoint: Endpoint): End<R> | undefined {
    const { mux, credentials } = this.#engine.options
    const { isLogin = false } = this.#call
    const visit = this.#visit(endpoint)
    if (isLogin || !credentials.refused(visit.authorization)) return { kind: 'refused', error }
    mux?.leave(endpoint, visit.authorization)
    if (this.#hasRenewed) return { kind: 'refused', error }
    this.#hasRenewed = true
    this.#tries.refusal = error
    visit.isTried = false
    return undefined
  }

  /**
   * The cluster has forgotten outcomes as old as the token, so nobody can find out whether an earlier try was applied.
   * If certainly no try was, the write begins again with a new token.
   */
  #renewWriteId(expired: QuorateError): End<R> | undefined {
    const { writeIds } = this.#engine.options
    if (this.#tries.unknown !== undefined || this.#repeat !== 'by-id')
      return { kind: 'refused', error: expired }
    if (this.#writeId !== undefined) writeIds.forgotten(this.#writeId)
    this.#writeId = writeIds.token()
    this.#tries.refusal = expired
    return undefined
  }

  /** All endpoints were tried. Pauses before they are tried again, except those that asked for a longer pause. */
  async #pauseAfterRound(): Promise<End<R> | undefined> {
    const foreign = this.#foreign
    const others = this.#endpoints.all.filter((endpoint) => !foreign.has(endpoint))
    for (const error of foreign.values()) if (others.length === 0) return { kind: 'refused', error }
    const nowMs = performance.now()
    const leftMs = this.#leftMs
    // Near the end pauses are short, so that the remaining time is used.
    this.#backoff ??= new Backoff(RETRY_BASE_MS, RETRY_MAX_MS)
    const pauseMs = Math.min(this.#backoff.next(), Math.max(RETRY_BASE_MS, leftMs / 2))
    const allowedMs = Math.min(...others.map((endpoint) => this.#find(endpoint)?.notBeforeMs ?? nowMs))
    const untilMs = Math.max(nowMs + pauseMs, allowedMs)
    if (allowedMs > nowMs + leftMs) return NO_MORE_TRIES
    if (untilMs + this.#tryMinMs > nowMs + leftMs) return OUT_OF_TIME
    const { signal, background: unref = false } = this.#call
    await pauseUntilInterrupted(untilMs - nowMs, this.#engine.options.closing.interruption(signal), { unref })
    for (const visit of this.#visits) if (visit.notBeforeMs <= untilMs) visit.isTried = false
    return undefined
  }
}

/** The status for a request that another node may serve. */
const MISDIRECTED = 421
const OUT_OF_TIME = { kind: 'out-of-time' } as const
const NO_MORE_TRIES = { kind: 'no-more-tries' } as const
