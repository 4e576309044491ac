// Sends requests over node:http. It keeps connections alive, and it shows one thing that fetch hides: whether a byte of
// the request may have left. Bytes leave when the request has a connected socket: at once on a kept connection, and not
// before 'connect' on a new one. Without a connected socket no node has seen the request.

import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import type { SpanContext } from '@opentelemetry/api'
import { isCertificateAlert } from '../../certificates/handshake-faults.ts'
import { decodeAnswer, decodeHead, type HttpAnswer } from '../../operations/http/answers.ts'
import { type OutgoingRequest, withQuery } from '../../operations/http/requests.ts'
import { lookup } from '../../system/lookup.ts'
import { http } from '../../system/node-http.ts'
import { traceHeaders } from '../../tracing/trace-context.ts'
import { whenAborted } from '../abort-listeners.ts'
import { type ClientOperation, isStreamed, type OperationRequest } from '../client-operation.ts'
import type { Endpoint } from '../endpoints.ts'
import { nodeTimeoutMs, RECHECK_MS } from '../retry-policy.ts'
import { afterPendingEvents } from '../timer.ts'
import { type SecureOptions, secureOptions, TlsSource, tlsFailureText } from '../tls.ts'
import type { ClientTls } from '../types.ts'
import type {
  MaybeApplied,
  NotSent,
  SendOptions,
  SendOutcome,
  StreamingAnswer,
  Transport,
} from './transport.ts'

/**
 * A node answers within a minute. If nothing arrives for longer, the other end of the connection is gone, and no event
 * will report that.
 */
export const SILENCE_MAX_MS = 70_000

/** The outcome of one request. */
export type HttpOutcome = HttpAnswer | StreamingAnswer | NotSent | MaybeApplied

interface HttpTransportOptions {
  readonly silenceMaxMs?: number
  readonly tls?: TlsSource | undefined
}

export class HttpTransport implements Transport {
  // LIFO by default: the connection that was used last is the least likely to be closed now by the other end.
  readonly #agent = new http.Agent({ keepAlive: true })
  /** Connections with one set of certificates. */
  #secure: { readonly tls: ClientTls; readonly agent: HttpsAgent } | undefined
  readonly #tls: TlsSource
  readonly #inFlight = new Set<Exchange>()
  /** When the last answer on an idle connection was complete. */
  readonly #answeredAt = new WeakMap<Socket, number>()
  readonly #noteAnswer = (socket: Socket): void => {
    this.#answeredAt.set(socket, performance.now())
  }
  readonly #silenceMaxMs: number

  constructor({ silenceMaxMs = SILENCE_MAX_MS, tls = new TlsSource() }: HttpTransportOptions = {}) {
    this.#silenceMaxMs = silenceMaxMs
    this.#tls = tls
    this.#agent.on('free', this.#noteAnswer)
  }

  async send<Q extends OperationRequest, R>(
    endpoint: Endpoint,
    operation: ClientOperation<Q, R>,
    request: Q,
    options: SendOptions,
  ): Promise<SendOutcome<R>> {
    options.seal?.()
    const outgoing = operation.http.encode(request)
    const fields = clientFields(options)
    const outcome = await this.#exchange(endpoint, outgoing, options, isStreamed(operation, request), fields)
    return outcome.kind === 'answered' ? decodeAnswer(operation, request, outcome) : outcome
  }

  /** Sends the request as it is. With `stream`, an answer of 200 is returned when it begins. */
  exchange(
    endpoint: Endpoint,
    outgoing: OutgoingRequest,
    options: SendOptions,
    stream = false,
  ): Promise<HttpOutcome> {
    return this.#exchange(endpoint, outgoing, options, stream, NO_FIELDS)
  }

  #exchange(
    endpoint: Endpoint,
    outgoing: OutgoingRequest,
    options: SendOptions,
    stream: boolean,
    fields: ClientFields,
  ): Promise<HttpOutcome> {
    const { host, port } = endpoint
    const where: Where = {
      host,
      port,
      timeout: this.#silenceMaxMs,
      ...(endpoint.isSecure ? { ...this.#secureOptions(host), isSecure: true } : { agent: this.#agent }),
    }
    return new Promise((resolve) => {
      const exchange = new Exchange(where, outgoing, fields, options, stream, (outcome) => {
        this.#inFlight.delete(exchange)
        resolve(outcome)
      })
      this.#inFlight.add(exchange)
    })
  }

  endIdle({ host, port, isSecure }: Endpoint, since: number): void {
    const agent = isSecure ? this.#secure?.agent : this.#agent
    for (const socket of agent === undefined ? [] : idleSockets(agent, `${host}:${port}:`))
      if ((this.#answeredAt.get(socket) ?? 0) < since) socket.destroy()
  }

  /** Loads TLS, which takes time, for secure endpoints only. */
  #secureOptions(host: string): SecureOptions & { readonly agent: HttpsAgent } {
    const tls = this.#tls.current
    if (this.#secure?.tls !== tls) {
      if (this.#secure !== undefined) retire(this.#secure.agent)
      const { Agent } = process.getBuiltinModule('node:https')
      const agent = new Agent({ keepAlive: true })
      agent.on('free', this.#noteAnswer)
      this.#secure = { tls, agent }
    }
    return { ...secureOptions(tls, host), agent: this.#secure.agent }
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  close(): void {
    for (const exchange of this.#inFlight) exchange.giveUp('the client was closed')
    this.#agent.destroy()
    this.#secure?.agent.destroy()
  }
}

/** Fields that a client adds to the request of an operation. */
interface ClientFields {
  readonly query: { readonly timeout?: string }
  readonly headers: Readonly<Record<string, string>>
}

const NO_FIELDS: ClientFields = { query: {}, headers: {} }

function clientFields({ timeoutMs, clusterId, authorization, trace }: SendOptions): ClientFields {
  return {
    query: { timeout: `${nodeTimeoutMs(timeoutMs)}ms` },
    headers: {
      ...(clusterId === undefined ? undefined : { 'Kv-Cluster': clusterId }),
      ...(authorization === undefined ? undefined : { Authorization: authorization }),
      ...(trace && headersOfTrace(trace.context)),
    },
  }
}

function headersOfTrace(context: SpanContext): Record<string, string> {
  const { traceparent, tracestate } = traceHeaders(context)
  return tracestate === '' ? { traceparent } : { traceparent, tracestate }
}

const GREETING_CHARS = 40

/** Returns the beginning of bytes that the parser of HTTP has refused, if they do not even begin as HTTP. */
function readGreeting(cause: Error): string | undefined {
  const bytes = 'rawPacket' in cause ? cause.rawPacket : undefined
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return undefined
  const text = bytes.toString('latin1', 0, GREETING_CHARS)
  if (text.startsWith('HTTP/'.slice(0, text.length))) return undefined
  return text.replace(/[\r\n].*$/s, '').replace(/[^ -~]/g, '.')
}

/** Connections with earlier certificates end when they are idle. */
function retire(agent: HttpsAgent): void {
  agent.maxFreeSockets = 0
  for (const socket of idleSockets(agent, '')) socket.destroy()
}

/** Idle connections whose name, in the agent, begins so. */
const idleSockets = ({ freeSockets }: HttpAgent | HttpsAgent, name: string): readonly Socket[] =>
  Object.entries(freeSockets).flatMap(([each, sockets = []]) => (each.startsWith(name) ? sockets : []))

interface Where extends SecureOptions {
  readonly agent: HttpAgent | HttpsAgent
  readonly host: string
  readonly port: number
  readonly timeout: number
  readonly isSecure?: boolean
}

/** One request, until its outcome is known. */
class Exchange {
  readonly #options: SendOptions
  readonly #stream: boolean
  readonly #settled: (outcome: HttpOutcome) => void
  readonly #startedAt = performance.now()
  readonly #req: ClientRequest
  readonly #isSecure: boolean
  /** A connection was accepted. */
  #isAccepted = false
  /** Bytes may have left. */
  #isSent = false
  /** It is the first request of its connection, and nothing has arrived since the handshake. */
  #isUnheard = false
  #isTimedOut = false
  #isOpen = true
  #isLookingUp = false
  #hasAnswer = false
  /** Time of the last byte received, or of the request. */
  #receivedAt = this.#startedAt
  #stopTimer = () => {}
  #stopConnect = () => {}
  #stopListening = () => {}

  constructor(
    where: Where,
    { method, path, headers, body }: OutgoingRequest,
    fields: ClientFields,
    options: SendOptions,
    stream: boolean,
    settled: (outcome: HttpOutcome) => void,
  ) {
    this.#options = options
    this.#stream = stream
    this.#settled = settled
    this.#isSecure = where.isSecure === true
    const { request } = this.#isSecure ? process.getBuiltinModule('node:https') : http
    const req = request({
      ...where,
      lookup: this.#lookup,
      method,
      path: withQuery(path, fields.query),
      headers: { ...headers, ...fields.headers },
    })
    this.#req = req
    this.#limit()
    this.#stopListening = whenAborted(options.signal, () => this.giveUp('given up'))
    req.on('socket', this.#onSocket)
    req.on('error', this.#fail)
    req.on('timeout', () => this.#timeOut(where.timeout))
    // Not every end is an error: after an answer that changes the protocol (status 101) the connection just closes.
    req.on('close', this.#onClose)
    req.on('response', this.#onResponse)
    // In one piece, so that Node sends it with its length.
    req.end(body)
  }

  giveUp(why: string): void {
    this.#req.destroy(new Error(why))
  }

  readonly #lookup: LookupFunction = (name, how, done) => {
    const { waitsForLookup = false } = this.#options
    this.#isLookingUp = waitsForLookup
    lookup(name, how, (...found) => {
      this.#isLookingUp = false
      if (waitsForLookup && this.#isOpen) this.#limitConnect()
      done(...found)
    })
  }

  readonly #onSocket = (socket: Socket): void => {
    if (this.#options.background === true) socket.unref()
    if (!socket.connecting) {
      this.#isSent = true
      return
    }
    this.#isUnheard = true
    socket.once('data', () => {
      this.#isUnheard = false
    })
    socket.once('connect', () => {
      this.#stopConnect()
      this.#isAccepted = true
      if (this.#isSecure && this.#options.handshakeMs !== undefined)
        this.#limitConnect(this.#options.handshakeMs)
    })
    // Before the end of the handshake no byte of the request leaves.
    socket.once(this.#isSecure ? 'secureConnect' : 'connect', () => this.#onReady())
    this.#limitConnect()
  }

  #onReady(): void {
    this.#stopConnect()
    // If the process was busy and the time is over, the request is not sent.
    const { timeoutMs } = this.#options
    if (performance.now() - this.#startedAt >= timeoutMs) this.#timeOut(timeoutMs)
    else this.#isSent = true
  }

  readonly #onResponse = (response: IncomingMessage): void => {
    this.#hasAnswer = true
    this.#req.off('close', this.#onClose)
    if (this.#stream && response.statusCode === 200) {
      this.#req.setTimeout(0)
      this.#settle({ kind: 'streaming', head: decodeHead(response.headers), stream: response })
      return
    }
    this.#receivedAt = performance.now()
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      this.#receivedAt = performance.now()
    })
    response.on('error', this.#fail)
    response.on('close', this.#onClose)
    response.on('end', () =>
      this.#settle({
        kind: 'answered',
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks),
      }),
    )
  }

  #limitConnect(limitMs = this.#options.connectMs): void {
    const { background = false } = this.#options
    if (limitMs === undefined || this.#isLookingUp) return
    this.#stopConnect = afterPendingEvents(limitMs, () => this.#timeOut(limitMs), { unref: background })
  }

  /** Checks the limits at the next moment at which one can be exceeded. */
  #limit(againMs = 0): void {
    const { timeoutMs, silenceMs = timeoutMs, background = false } = this.#options
    const nowMs = performance.now()
    const silentAt = Math.max(this.#receivedAt + silenceMs, nowMs + againMs)
    const leftMs = Math.min(this.#startedAt + timeoutMs, silentAt) - nowMs
    this.#stopTimer = afterPendingEvents(leftMs, this.#checkLimits, { unref: background })
  }

  readonly #checkLimits = (): void => {
    const { timeoutMs, silenceMs = timeoutMs, mayGiveUp } = this.#options
    const nowMs = performance.now()
    if (nowMs - this.#startedAt >= timeoutMs) this.#timeOut(timeoutMs)
    else if (nowMs - this.#receivedAt < silenceMs) this.#limit()
    else if (mayGiveUp?.() === false) this.#limit(RECHECK_MS)
    else this.#timeOut(silenceMs)
  }

  #timeOut(ms: number): void {
    this.#isTimedOut = true
    this.giveUp(`no answer within ${Math.round(ms)} ms`)
  }

  readonly #onClose = (): void => this.#fail(new Error('the connection was cut'))

  readonly #fail = (cause: Error): void => {
    const timedOut = this.#isTimedOut
    // With TLS 1.3, the other side refuses a certificate after this side's part of the handshake, so the request may
    // have left. An alert about it, before anything else, says that the other side has not accepted the handshake.
    const isRefused = this.#isSecure && this.#isUnheard && isCertificateAlert(cause)
    // On a new connection: later, these bytes may follow the answers of a node.
    const greeting = this.#req.reusedSocket || this.#hasAnswer ? undefined : readGreeting(cause)
    if (greeting !== undefined) this.#settle({ kind: 'not-sent', cause, reached: true, timedOut, greeting })
    else if (this.#isSent && !isRefused) this.#settle({ kind: 'maybe-applied', cause, timedOut })
    else {
      // A failed handshake will fail again: for the caller, the node cannot be reached.
      const reached = this.#isAccepted && !(this.#isSecure && tlsFailureText(cause) !== undefined)
      this.#settle({ kind: 'not-sent', cause, reached, timedOut })
    }
  }

  #settle(outcome: HttpOutcome): void {
    this.#isOpen = false
    this.#stopTimer()
    this.#stopConnect()
    this.#stopListening()
    this.#settled(outcome)
  }
}
