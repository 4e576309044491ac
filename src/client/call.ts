// One call of the API, tried until it is answered or its deadline is near.
//
// The rule that everything here serves: a write that may have been applied is never sent again unless it carries an idempotency key, and
// an error never says "nothing was written" unless every try of the call is known to have written nothing.

import { withQuery } from './address.ts'
import { Backoff } from './backoff.ts'
import { isObject, metaFromJson, type Problem, problemFrom } from './decode.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import {
  AbortedError,
  OutcomeUnknownError,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
  UnreachableError,
} from './errors.ts'
import type { Exchanged, Outgoing, Transport } from './exchange.ts'

/** `read`: may be repeated. `keyed`: a write that carries its idempotency key. `bare`: a change that must not be sent twice. */
export type CallKind = 'read' | 'keyed' | 'bare'

export interface Call extends Outgoing {
  readonly kind: CallKind
  readonly timeoutMs: number
  readonly unreachableAfterMs: number
  readonly signal: AbortSignal | undefined
  /** Hand over a 200 when it begins. */
  readonly stream: boolean
}

export type Answer = Exclude<Exchanged, { kind: 'failed' }> & { readonly endpoint: Endpoint }

export interface CallContext {
  readonly endpoints: Endpoints
  readonly transport: Transport
  /** Every answer with its headers, refusals too. */
  readonly onAnswer: (answer: Answer) => void
  /** An endpoint did not answer. */
  readonly onFailure: () => void
  /** Registers a way to end the call early (the client is closed); returns how to take it back. */
  readonly onClose: (end: () => void) => () => void
}

const RETRY_BASE_MS = 15
const RETRY_MAX_MS = 1_000
/** While other endpoints are left, one of them gets at most a third of the time, but not less than this. */
const TRY_MIN_MS = 1_000
const TRY_SHARE = 1 / 3
/** The node is told to answer a little before we stop waiting, so that its reason arrives in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MAX_MS = 100
/** Longest `timeout` that a node accepts (interfaces §2). */
const TIMEOUT_MAX_MS = 60_000
/** Less than this is no try. */
const LEFT_MIN_MS = 5
/** A node that answers `internal` this often in one call will do so again. */
const INTERNAL_MAX = 3

export async function perform(call: Call, context: CallContext): Promise<Answer> {
  const progress = new Progress(call, context)
  try {
    for (;;) {
      const endpoint = await progress.nextEndpoint()
      const answer = await progress.ask(endpoint)
      if (answer !== undefined) return answer
    }
  } finally {
    progress.finished()
  }
}

/** What is known of a call so far. */
class Progress {
  readonly #call: Call
  readonly #context: CallContext
  readonly #startedAt = performance.now()
  readonly #deadline: number
  readonly #backoff = new Backoff(RETRY_BASE_MS, RETRY_MAX_MS)
  readonly #tried = new Set<Endpoint>()
  readonly #takeBack: () => void
  /** Why the call is to end early. */
  #ended: 'aborted' | 'closed' | undefined
  #endTry: ((reason: Error) => void) | undefined
  #endPause: (() => void) | undefined

  /** A try may have been applied, or may still be. */
  #unknown = false
  /** Any endpoint accepted a connection. */
  #reached = false
  /** The last answer that said: not done. */
  #refusal: QuorateError | undefined
  #lastCause: unknown
  #retryAfterMs = 0
  #internals = 0

  constructor(call: Call, context: CallContext) {
    this.#call = call
    this.#context = context
    this.#deadline = this.#startedAt + call.timeoutMs
    const onAbort = () => this.#end('aborted')
    call.signal?.addEventListener('abort', onAbort, { once: true })
    const takeBackClose = context.onClose(() => this.#end('closed'))
    this.#takeBack = () => {
      call.signal?.removeEventListener('abort', onAbort)
      takeBackClose()
    }
    if (call.signal?.aborted === true) this.#ended = 'aborted'
  }

  finished(): void {
    this.#takeBack()
  }

  /** Whom to ask now, after a pause when everybody has been asked. */
  async nextEndpoint(): Promise<Endpoint> {
    this.#throwIfEnded()
    const fresh = this.#context.endpoints.pick(this.#tried, performance.now())
    if (fresh !== undefined) return fresh
    const pauseMs = Math.max(this.#backoff.next(), this.#retryAfterMs)
    const untilMs = performance.now() + pauseMs
    if (untilMs + LEFT_MIN_MS > this.#deadline) throw this.#failure()
    if (!this.#reached && untilMs > this.#startedAt + this.#call.unreachableAfterMs) throw this.#failure()
    await this.#pause(pauseMs)
    this.#tried.clear()
    this.#retryAfterMs = 0
    return this.nextEndpoint()
  }

  /** One try. Its answer, when that ends the call; undefined: go on. */
  async ask(endpoint: Endpoint): Promise<Answer | undefined> {
    this.#tried.add(endpoint)
    const leftMs = this.#deadline - performance.now()
    if (leftMs < LEFT_MIN_MS) throw this.#failure()
    const timeoutMs = this.#shareOf(leftMs)
    const transitMs = Math.min(TRANSIT_MAX_MS, timeoutMs * TRANSIT_SHARE)
    const nodeTimeoutMs = Math.max(1, Math.floor(Math.min(TIMEOUT_MAX_MS, timeoutMs - transitMs)))
    const outgoing = { ...this.#call, path: withQuery(this.#call.path, { timeout: `${nodeTimeoutMs}ms` }) }
    endpoint.asked()
    const result = await this.#context.transport.exchange(
      endpoint,
      outgoing,
      { timeoutMs, stream: this.#call.stream },
      (cancel) => {
        this.#endTry = cancel
      },
    )
    this.#endTry = undefined
    return result.kind === 'failed' ? this.#failed(endpoint, result) : this.#answered({ ...result, endpoint })
  }

  #shareOf(leftMs: number): number {
    const alone = this.#context.endpoints.all.length === 1 || this.#call.kind === 'bare'
    if (alone || leftMs < 2 * TRY_MIN_MS) return leftMs
    return Math.max(TRY_MIN_MS, leftMs * TRY_SHARE)
  }

  #failed(endpoint: Endpoint, result: Extract<Exchanged, { kind: 'failed' }>): undefined {
    if (result.connected) this.#reached = true
    if (result.connected && this.#call.kind !== 'read') this.#unknown = true
    const reason = reasonOf(result.cause)
    this.#lastCause = new Error(result.connected ? `${endpoint.url}: ${reason}` : reason, { cause: result.cause })
    if (this.#ended !== undefined) endpoint.leftAlone()
    this.#throwIfEnded()
    endpoint.failed(performance.now())
    this.#context.onFailure()
    if (this.#unknown && this.#call.kind === 'bare') throw this.#failure()
    return undefined
  }

  #answered(answer: Answer): Answer | undefined {
    const { endpoint } = answer
    this.#reached = true
    this.#context.onAnswer(answer)
    if (answer.kind === 'streaming' || answer.status < 400) {
      endpoint.worked()
      return answer
    }
    const problem = problemFrom(answer.status, answer.headers, answer.body)
    if (problem.passing) endpoint.failed(performance.now())
    else endpoint.worked()

    const isRead = this.#call.kind === 'read'
    const error = errorFrom(problem, answer, isRead)
    if (error instanceof PreconditionFailedError) throw error
    if (error.written === 'unknown') this.#unknown = true
    this.#lastCause = error
    const again = problem.passing || (problem.code === 'internal' && ++this.#internals < INTERNAL_MAX)
    if (!again || (this.#unknown && this.#call.kind === 'bare')) throw this.#settled(error)
    if (error.written === 'no') this.#refusal = error
    this.#retryAfterMs = Math.max(this.#retryAfterMs, problem.retryAfterMs ?? 0)
    return undefined
  }

  /** An error that ends the call, seen together with what earlier tries left open. */
  #settled(error: QuorateError): QuorateError {
    if (!this.#unknown || error.written === 'unknown') return error
    return new OutcomeUnknownError(
      `an earlier try was sent and its outcome is unknown; then: ${error.message}`,
      {
        code: 'outcome_unknown',
        written: 'unknown',
        endpoint: error.endpoint,
        node: error.node,
        cause: error,
      },
    )
  }

  /** Out of time. */
  #failure(): QuorateError {
    const seconds = `${Number((this.#call.timeoutMs / 1000).toFixed(3))} s`
    const last = this.#lastCause instanceof Error ? this.#lastCause.message : 'no answer'
    const cause = this.#lastCause
    if (this.#unknown) {
      if (cause instanceof QuorateError && cause.written === 'unknown') return cause
      return new OutcomeUnknownError(`sent, but no node said within ${seconds} what became of it (${last})`, {
        code: 'outcome_unknown',
        written: 'unknown',
        cause,
      })
    }
    if (this.#refusal !== undefined) return this.#refusal
    if (this.#reached) {
      return new UnavailableError(`no answer within ${seconds} (${last})`, {
        code: 'timeout',
        written: 'no',
        cause,
      })
    }
    const asked = this.#context.endpoints.all.map((endpoint) => endpoint.url).join(', ')
    return new UnreachableError(`cannot connect to ${asked}: ${last}`, {
      code: 'unreachable',
      written: 'no',
      cause,
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#endPause = undefined
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#endPause = done
    })
  }

  #end(why: 'aborted' | 'closed'): void {
    this.#ended ??= why
    this.#endTry?.(new Error(why))
    this.#endPause?.()
  }

  #throwIfEnded(): void {
    if (this.#ended === undefined) return
    const what = this.#ended === 'aborted' ? 'the call was aborted' : 'the client is closed'
    throw new AbortedError(this.#unknown ? `${what}; the write may have been applied` : what, {
      code: this.#ended,
      written: this.#unknown ? 'unknown' : 'no',
      cause: this.#ended === 'aborted' ? this.#call.signal?.reason : undefined,
    })
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to that host',
}

/** Node's message for several refused addresses of one name is empty: the code says more. */
function reasonOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  return REASONS[code] ?? (error.message === '' ? code : error.message)
}

function errorFrom(problem: Problem, answer: Answer, isRead: boolean): QuorateError {
  const details = {
    code: isRead && problem.code === 'outcome_unknown' ? 'timeout' : problem.code,
    written: isRead ? ('no' as const) : problem.written,
    status: problem.status,
    endpoint: answer.endpoint.url,
    node: typeof answer.headers['kv-node'] === 'string' ? answer.headers['kv-node'] : undefined,
    retryAfterMs: problem.retryAfterMs,
  }
  if (problem.code === 'precondition_failed') {
    const { current } = problem.json
    const meta = isObject(current) ? metaFromJson(current) : null
    return new PreconditionFailedError(problem.detail, details, meta)
  }
  if (details.code === 'outcome_unknown') return new OutcomeUnknownError(problem.detail, details)
  if (problem.passing) return new UnavailableError(problem.detail, details)
  return new QuorateError(problem.detail, details)
}
