// One request at one endpoint: its RPCs, its limits of time, and its outcome.

import { whenAborted } from '../client/abort-listeners.ts'
import type { Endpoint } from '../client/endpoints.ts'
import { nodeTimeoutMs, RECHECK_MS } from '../client/retry-policy.ts'
import { afterPendingEvents } from '../client/timer.ts'
import { tlsFailureText } from '../client/tls.ts'
import { SILENCE_MAX_MS } from '../client/transport/http-transport.ts'
import type { SendOptions, SendOutcome } from '../client/transport/transport.ts'
import type { ResponseHeader } from '../etcd/messages/header.ts'
import type { RpcDescription } from '../etcd/rpcs.ts'
import { GrpcError } from '../etcd/status.ts'
import type { NodeAnswerHead } from '../operations/forms/answer-head.ts'
import { DisagreementError } from '../operations/forms/decode.ts'
import type { ReadConsistency } from '../operations/forms/freshness.ts'
import { ApiError, asRevision } from '../operations/forms/index.ts'
import { traceHeaders } from '../tracing/trace-context.ts'
import { ConnectionError, type GrpcClient, type GrpcStream, singleResponse } from './grpc-client.ts'
import { idText } from './operations/cluster.ts'
import type { EtcdCalls, EtcdOperation } from './operations/operation.ts'
import { judge, problemFrom } from './problems.ts'

/** Time for what follows an operation that nobody waits for. */
const CLEAN_UP_MS = 5_000
/** Time for a call before that of a change. When it has passed, the change is sent to another member. */
const PREPARE_MS = 2_000

/**
 * Metadata of calls that a member without a leader refuses at once, before it reads them. It ends their streams: there,
 * a watch would miss all changes, and still be answered. Reads may be served without a leader.
 */
const NEEDS_LEADER = { hasleader: 'true' }

type CallRole = 'counts' | 'prepares'

export class Attempt<R> implements EtcdCalls {
  readonly url: string
  readonly silentMs: number
  readonly background: boolean
  readonly #client: GrpcClient
  readonly #options: SendOptions
  readonly #settled: (outcome: SendOutcome<R>) => void
  readonly #startedAt = performance.now()
  /** Streams that have not ended. */
  readonly #open = new Set<{ cancel(): void }>()
  /** Streams by which the outcome may be unknown once they were sent. */
  readonly #counted: { readonly isSent: boolean }[] = []
  #receivedAt = this.#startedAt
  #isOpen = true
  #stopTimer = () => {}
  #stopConnect = () => {}
  readonly #stopListening: () => void

  constructor(
    client: GrpcClient,
    { url }: Endpoint,
    options: SendOptions,
    settled: (outcome: SendOutcome<R>) => void,
  ) {
    this.#client = client
    this.url = url
    this.#options = options
    this.silentMs = options.streamSilenceMs ?? SILENCE_MAX_MS
    this.background = options.background ?? false
    this.#settled = settled
    this.#stopListening = whenAborted(options.signal, () => this.giveUp('given up'))
    this.#limit()
  }

  async run<Q>(operation: EtcdOperation<Q, R>, request: Q): Promise<void> {
    // A connection that is being made counts from now on.
    this.#limitConnect()
    try {
      const done = await operation(request, this)
      if ('stream' in done) {
        const head = encodeHead(done.header)
        if (this.#isOpen) this.#settle({ kind: 'streaming', head, stream: done.stream })
        else done.stream.destroy()
      } else {
        const head = encodeHead(done.header, done.served)
        this.#settle({ kind: 'served', result: done.result, head })
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  giveUp(why: string, timedOut = false): void {
    this.#lose(new Error(why), timedOut)
    for (const stream of this.#open) stream.cancel()
  }

  readonly read = <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>): Promise<A> =>
    this.#unary(rpc, request, 'counts')

  readonly change = <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>): Promise<A> =>
    this.#unary(rpc, request, 'counts', NEEDS_LEADER)

  readonly prepare = <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>): Promise<A> =>
    this.#unary(rpc, request, 'prepares', NEEDS_LEADER)

  readonly cleanUp = <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>): void => {
    const options = { timeoutMs: CLEAN_UP_MS, metadata: this.#metadata, background: true }
    this.#client.unary(rpc, request, options).catch(() => {})
  }

  duplex<Q, A>(rpc: RpcDescription<Q, A, 'duplex'>): GrpcStream<Q, A> {
    const { background, client } = { background: this.background, client: this.#client }
    const metadata = { ...this.#metadata, ...NEEDS_LEADER }
    const stream = openOrFail(() => client.duplex(rpc, { metadata, background }))
    this.#open.add(stream)
    this.#counted.push(stream)
    return stream
  }

  async #unary<Q, A>(
    rpc: RpcDescription<Q, A, 'unary'>,
    request: Partial<Q>,
    role: CallRole,
    needs: typeof NEEDS_LEADER | undefined = undefined,
  ): Promise<A> {
    const { timeoutMs } = this.#options
    const metadata = { ...this.#metadata, ...needs }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - this.#startedAt))
    // The pages of a stream have no limits but this one.
    const options = this.#isOpen
      ? { metadata: { ...metadata, 'grpc-timeout': `${nodeTimeoutMs(leftMs)}m` } }
      : { metadata, timeoutMs }
    const { background } = this
    const stream = openOrFail(() => this.#client.serverStream(rpc, request, { ...options, background }))
    const stopTimer = role === 'counts' ? undefined : this.#limitPreparation()
    if (role === 'counts') this.#counted.push(stream)
    this.#open.add(stream)
    try {
      const response = await singleResponse(stream)
      this.#receivedAt = performance.now()
      return response
    } finally {
      stopTimer?.()
      this.#open.delete(stream)
    }
  }

  get #metadata(): Readonly<Record<string, string>> {
    const { authorization, trace } = this.#options
    const { traceparent, tracestate = '' } = trace === undefined ? {} : traceHeaders(trace.context)
    return {
      ...(authorization === undefined ? undefined : { token: authorization.replace(/^Bearer /, '') }),
      ...(traceparent === undefined ? undefined : { traceparent }),
      ...(tracestate === '' ? undefined : { tracestate }),
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Limits

  /** Checks the limits at the next moment at which one can be exceeded. */
  #limit(againMs = 0): void {
    const { timeoutMs, silenceMs = timeoutMs } = this.#options
    const nowMs = performance.now()
    const silentAt = Math.max(this.#receivedAt + silenceMs, nowMs + againMs)
    const leftMs = Math.min(this.#startedAt + timeoutMs, silentAt) - nowMs
    this.#stopTimer = afterPendingEvents(leftMs, this.#checkLimits, { unref: this.background })
  }

  readonly #checkLimits = (): void => {
    const { timeoutMs, silenceMs = timeoutMs, mayGiveUp } = this.#options
    const nowMs = performance.now()
    if (nowMs - this.#startedAt >= timeoutMs) this.#timeOut(timeoutMs)
    else if (nowMs - this.#receivedAt < silenceMs) this.#limit()
    else if (mayGiveUp?.() === false) this.#limit(RECHECK_MS)
    else this.#timeOut(silenceMs)
  }

  #limitPreparation(): () => void {
    return afterPendingEvents(PREPARE_MS, () => this.#timeOut(PREPARE_MS), { unref: this.background })
  }

  #limitConnect(): void {
    const { connectMs, handshakeMs } = this.#options
    if (this.#client.isReady || connectMs === undefined) return
    this.#stopConnect = afterPendingEvents(
      connectMs,
      () => {
        if (!this.#client.isAccepted) this.#timeOut(connectMs)
        else if (!this.#client.isReady && handshakeMs !== undefined) this.#limitHandshake(handshakeMs)
      },
      { unref: this.background },
    )
  }

  #limitHandshake(handshakeMs: number): void {
    const isLate = () => !this.#client.isReady && this.#timeOut(handshakeMs)
    this.#stopConnect = afterPendingEvents(handshakeMs, isLate, { unref: this.background })
  }

  /** The connection may be dead: if it is, calls that come later need another one. */
  #timeOut(ms: number): void {
    this.giveUp(`no answer within ${Math.round(ms)} ms`, true)
    this.#client.probe()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Outcome

  #fail(error: unknown): void {
    if (error instanceof ConnectionError) this.#lose(error.cause, false)
    else if (error instanceof ApiError) this.#refuse(error)
    else if (error instanceof GrpcError) this.#refuse(problemFrom(error))
    else if (error instanceof DisagreementError)
      this.#settle({ kind: 'unreadable', cause: error, head: NO_HEAD })
    else this.#lose(error instanceof Error ? error : new Error(String(error)), false)
  }

  #refuse(error: ApiError): void {
    const problem = judge(error, this.#counted.length > 0)
    this.#settle({ kind: 'refused', problem, head: NO_HEAD })
  }

  #lose(cause: Error, timedOut: boolean): void {
    if (this.#counted.some(({ isSent }) => isSent)) this.#settle({ kind: 'maybe-applied', cause, timedOut })
    else {
      const reached = this.#client.isAccepted && tlsFailureText(cause) === undefined
      this.#settle({ kind: 'not-sent', cause, reached, timedOut })
    }
  }

  #settle(outcome: SendOutcome<R>): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#stopTimer()
    this.#stopConnect()
    this.#stopListening()
    this.#settled(outcome)
  }
}

const NO_HEAD: NodeAnswerHead = { clusterId: undefined, node: undefined }

const encodeHead = (header: ResponseHeader | undefined, served?: ReadConsistency): NodeAnswerHead => ({
  clusterId: header && idText(header.clusterId),
  node: header && idText(header.memberId),
  revision: header && asRevision(header.revision),
  served,
})

/** Nothing of the call was sent. */
function openOrFail<S>(open: () => S): S {
  try {
    return open()
  } catch (error) {
    throw new ConnectionError(error instanceof Error ? error : new Error(String(error)), false)
  }
}
