// The HTTP of a node. The server receives the requests of all connections, from either reader. The gate admits their
// clients. The server decodes the requests of the hot routes (one key, a range) from the raw target. Fastify decodes
// the other routes. It is loaded when the node already listens, so keys are served before that.

import { ApiError, VALUE_BYTES_MAX } from '../../operations/forms/index.ts'
import { get } from '../../operations/get.ts'
import { errorResponse } from '../../operations/http/form.ts'
import type { Operation } from '../../operations/index.ts'
import { put } from '../../operations/put.ts'
import { range } from '../../operations/range.ts'
import { LazyValue } from '../../system/lazy-value.ts'
import type { Api } from '../api/api.ts'
import { byteLength, PIECE_BYTES, tooManyAnswers } from '../api/budget.ts'
import { execute } from '../api/execute.ts'
import { unidentified } from '../api/permit.ts'
import { timeLeftMs } from '../api/read-options.ts'
import type { Gate, Wanted } from '../clients/gate.ts'
import { asksForCors, isPreflight, PREFLIGHT_HEADERS } from '../clients/guard.ts'
import {
  bodyParts,
  encodeBody,
  type HttpRequest,
  type HttpResponse,
  isEncoded,
  isSliced,
  isStreamed,
} from '../connections/messages.ts'
import { refusalPage, wantsPage } from '../connections/refusal-page.ts'
import { isGatewayPath } from '../connections/target.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { ColdRoutes } from './app.ts'
import { decodeDelete, decodeRange, encode } from './http-codec.ts'
import { endRequestSpan, startRequestSpan } from './request-span.ts'

/** Another API over HTTP, with paths and errors of its own. Its clients are checked as all others. */
export interface Gateway {
  /** Begins a request: its errors are those of the gateway. Returns what it wants. */
  begin(request: HttpRequest): Wanted<HttpRequest>
  /** Serves a request whose client is known. Calls one of the functions once. */
  serve(request: HttpRequest, respond: (response: HttpResponse) => void, fail: (error: unknown) => void): void
  /** The node stops. */
  closing(): void
}

interface HttpServerOptions {
  readonly api: Api
  readonly metrics: Metrics
  readonly gate: Gate
  readonly isClosing: () => boolean
  /** Loads etcd's gateway for the first request to it; undefined: there is none. */
  readonly loadGateway: (() => Promise<Gateway>) | undefined
  /** The folder with the files of the console; that of this program unless given. */
  readonly consoleDirectory?: string | undefined
}

export class HttpServer {
  /** Requests without a response. */
  requests = 0
  readonly #options: HttpServerOptions
  readonly #api: Api
  readonly #coldRoutes = new LazyValue(() => this.#loadColdRoutes())
  #routes: ColdRoutes | undefined
  #gateway: Gateway | undefined

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#api = options.api
  }

  /** Loads the routes outside the hot path before a request needs them. */
  async load(): Promise<void> {
    await this.#coldRoutes.get()
  }

  async close(): Promise<void> {
    const routes = await this.#coldRoutes.requested?.catch(() => undefined)
    await routes?.close()
  }

  /** The node stops: responses without an end are ended. */
  closing(): void {
    this.#gateway?.closing()
  }

  /** Asks the gate for the client, decodes and executes the request, and sends the response. */
  serve(request: HttpRequest): void {
    this.requests++
    request.span = startRequestSpan(request, this.#api.node)
    const { operation, path } = request.target
    const { loadGateway } = this.#options
    if (operation !== 'other' && operation !== 'batch') this.#admit(request, HOT[operation])
    else if (loadGateway !== undefined && isGatewayPath(path)) this.#beginAtGateway(request, loadGateway)
    else this.#beginAtRoutes(request)
  }

  #beginAtGateway(request: HttpRequest, loadGateway: () => Promise<Gateway>): void {
    const begin = (gateway: Gateway): void => {
      this.#gateway ??= gateway
      this.#admit(request, this.#gateway.begin(request))
    }
    if (this.#gateway !== undefined) begin(this.#gateway)
    else loadGateway().then(begin, (error: unknown) => this.#fail(request, error))
  }

  #beginAtRoutes(request: HttpRequest): void {
    const begin = (routes: ColdRoutes): void => {
      this.#routes = routes
      this.#admit(request, routes.findWanted(request.method, request.target.path))
    }
    if (asksForCors(request)) this.#admit(request, CORS)
    else if (this.#routes !== undefined) begin(this.#routes)
    else this.#coldRoutes.get().then(begin, (error: unknown) => this.#fail(request, error))
  }

  #admit(request: HttpRequest, wanted: Wanted<HttpRequest>): void {
    request.wanted = wanted
    this.#options.gate.admit(request, wanted, this.#admitted)
  }

  readonly #admitted = (request: HttpRequest, refusal: unknown): void => {
    try {
      if (refusal !== undefined) throw refusal
      if (isPreflight(request, request.extra)) this.#respond(request, PREFLIGHT)
      else this.#serveAdmitted(request)
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #serveAdmitted(request: HttpRequest): void {
    const { body, target } = request
    if (target.operation === 'other' || target.operation === 'batch') {
      this.#serveOther(request)
      return
    }
    if (target.operation === 'put') {
      // Faults of the request are reported before faults of its body, which is the value.
      const operation = put.http.decode(request)
      body.read({ ...VALUE_LIMITS, timeoutMs: timeLeftMs(request) }, (value) => {
        if (value instanceof ApiError) this.#fail(request, value)
        else {
          operation.value = value
          this.#execute(operation, request)
        }
      })
      return
    }
    body.drop()
    if (target.operation === 'get') this.#execute(get.http.decode(request), request)
    else if (target.operation === 'delete') this.#execute(decodeDelete(request), request)
    else this.#execute(decodeRange(request, this.#api.limits.pageRowsMax), request)
  }

  #execute(operation: Operation, request: HttpRequest): void {
    execute(this.#api, operation, request, (answer) => {
      try {
        const respond = (response: HttpResponse): void => {
          // Its writer counts it from here on.
          request.room?.release()
          if (request.method === 'GET' && !(answer instanceof ApiError)) this.#checkRoom(request, response)
          this.#respond(request, response)
        }
        if (request.wanted.open?.isLogin === true && !(answer instanceof ApiError)) request.identified()
        const response =
          answer instanceof ApiError
            ? this.#encodeError(request, answer)
            : encode(answer, operation, request, this.#api)
        if (isEncoded(response)) respond(response)
        else encodeBody(response, request, this.#api.outbound, respond, (error) => this.#fail(request, error))
      } catch (error) {
        this.#fail(request, error)
      }
    })
  }

  #serveOther(request: HttpRequest): void {
    const { path, query } = request.target
    // The authority of an absolute target is left out.
    const url = query === '' ? path : `${path}?${query}`
    const gateway = this.#findGateway(request)
    const fail = (error: unknown): void => this.#fail(request, error)
    const respond = (response: HttpResponse): void => {
      if (this.#hasRoomFor(request, response)) this.#respond(request, response)
      else fail(tooManyAnswers())
    }
    if (gateway !== undefined) {
      gateway.serve(request, respond, fail)
      return
    }
    this.#coldRoutes
      .get()
      .then((routes) =>
        routes.decode(request, url, (decoded) => {
          if (decoded instanceof Error) fail(decoded)
          else if (!('kind' in decoded) && this.#isRefused(request)) fail(unidentified())
          else if (typeof decoded === 'function') decoded(request).then(respond).catch(fail)
          else if ('kind' in decoded) this.#execute(decoded, request)
          else respond(decoded)
        }),
      )
      .catch(fail)
  }

  /**
   * An unauthenticated client that takes nothing of a large answer leaves less room for such clients, not for users.
   */
  #hasRoomFor({ isUnauthenticated }: HttpRequest, { body }: HttpResponse): boolean {
    if (!isUnauthenticated || isSliced(body) || isStreamed(body)) return true
    const bytes = byteLength(bodyParts(body))
    // The kernel takes a small one at once: probes are answered.
    return bytes <= PIECE_BYTES || this.#api.outboundOfUnauthenticated.hasRoom(bytes)
  }

  /**
   * Whether rights are checked since a moment ago. What is no operation is decided at the gate alone, unlike what is
   * executed.
   */
  #isRefused({ principal, wanted }: HttpRequest): boolean {
    return wanted.open === undefined && !this.#options.gate.isUser(principal)
  }

  /** The result of a read may still be refused. The outcome of a change and the state of the node are always sent. */
  #checkRoom({ target }: HttpRequest, { body }: HttpResponse): void {
    const { outbound } = this.#api
    if (target.operation !== 'other' && outbound.bytes > 0 && !isSliced(body) && !isStreamed(body))
      outbound.check(byteLength(bodyParts(body)))
  }

  #fail(request: HttpRequest, error: unknown): void {
    request.room?.release()
    this.#respond(request, request.encodeError?.(error) ?? this.#encodeError(request, error))
  }

  #encodeError({ method, headers }: HttpRequest, error: unknown): HttpResponse {
    const known = this.#api.toApiError(error)
    return (wantsPage(method, headers.accept) ? refusalPage(known) : undefined) ?? errorResponse(known)
  }

  #respond(request: HttpRequest, response: HttpResponse): void {
    const { target, startedAt, isAnswered } = request
    if (!isAnswered) this.requests--
    request.isAnswered = true
    request.sink.send(request, response)
    // A response that cannot be sent to its end is followed by the reason.
    if (isAnswered) return
    const { metricName = target.operation } = request
    this.#options.metrics.requestEnded(metricName, response.status, performance.now() - startedAt)
    endRequestSpan(request, response.status)
  }

  /** undefined: the request is none of the gateway's. */
  #findGateway({ target: { path } }: HttpRequest): Gateway | undefined {
    return isGatewayPath(path) ? this.#gateway : undefined
  }

  async #loadColdRoutes(): Promise<ColdRoutes> {
    const { createColdRoutes } = await import('./routes.ts')
    const { metrics, isClosing, consoleDirectory } = this.#options
    return createColdRoutes({ api: this.#api, metrics, isClosing, consoleDirectory })
  }
}

const rowsMax = Number.MAX_SAFE_INTEGER

/** The operations that the head of a request names. */
const HOT = {
  put: { decode: (request: HttpRequest) => put.http.decode(request) },
  get: { decode: (request: HttpRequest) => get.http.decode(request) },
  delete: { decode: decodeDelete },
  range: { decode: (request: HttpRequest) => range.http.decode(request, rowsMax) },
} satisfies Record<string, Wanted<HttpRequest>>

const CORS: Wanted = { open: { isLogin: true, requestBytesMax: 0 } }

const PREFLIGHT = { status: 204, headers: PREFLIGHT_HEADERS, body: '', revision: undefined } as const

const VALUE_LIMITS = { bytesMax: VALUE_BYTES_MAX, tooLarge: 'value_too_large' } as const
