// The HTTP of a node. The server receives the requests of all connections, from either reader. It checks the client,
// and decodes the requests of the hot routes (one key, a range) from the raw target. Fastify decodes the other routes.
// It is loaded when the node already listens, so keys are served before that.

import { ApiError, VALUE_BYTES_MAX } from '../../operations/forms/index.ts'
import { get } from '../../operations/get.ts'
import { errorResponse } from '../../operations/http/form.ts'
import type { Operation } from '../../operations/index.ts'
import { put } from '../../operations/put.ts'
import type { Api } from '../api/api.ts'
import { parseClaimedUser } from '../api/authenticator.ts'
import { byteLength, PIECE_BYTES, tooManyAnswers } from '../api/budget.ts'
import { execute } from '../api/execute.ts'
import { newerWithinMs } from '../api/permit.ts'
import { timeLeftMs } from '../api/read-options.ts'
import type { ClientIdentity } from '../connections/client-identity.ts'
import type { ConnectionTable } from '../connections/connection-table.ts'
import { type Guard, isPreflight, PREFLIGHT_HEADERS } from '../connections/guard.ts'
import {
  bodyParts,
  encodeBody,
  type HttpRequest,
  type HttpResponse,
  isEncoded,
  isPoured,
  isStreamed,
} from '../connections/messages.ts'
import { refusalPage, wantsPage } from '../connections/refusal-page.ts'
import { isConsolePath, isGatewayPath } from '../connections/target.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { ColdRoutes } from './app.ts'
import { decodeDelete, decodeRange, encode } from './http-codec.ts'
import { endRequestSpan, startRequestSpan } from './request-span.ts'

/** Another API over HTTP, with paths and errors of its own. Its clients are checked as all others. */
export interface Gateway {
  /** Begins a request: its errors are those of the gateway. */
  begin(request: HttpRequest): void
  /** The client as it is identified. */
  findClient(request: HttpRequest): Parameters<ClientIdentity['identify']>[0]
  /** Serves a request whose client is known. Calls one of the functions once. */
  serve(request: HttpRequest, respond: (response: HttpResponse) => void, fail: (error: unknown) => void): void
  /** The node stops. */
  closing(): void
}

interface HttpServerOptions {
  readonly api: Api
  readonly metrics: Metrics
  readonly guard: Guard
  readonly identity: ClientIdentity
  readonly connections: ConnectionTable
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
  #coldRoutes: Promise<ColdRoutes> | undefined
  #gateway: Gateway | undefined

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#api = options.api
  }

  /** Loads the routes outside the hot path before a request needs them. */
  async load(): Promise<void> {
    await this.#loadedRoutes()
  }

  async close(): Promise<void> {
    const routes = await this.#coldRoutes?.catch(() => undefined)
    await routes?.close()
  }

  /** The node stops: responses without an end are ended. */
  closing(): void {
    this.#gateway?.closing()
  }

  /** Checks the client, sets the deadline, decodes and executes the request, and sends the response. */
  serve(request: HttpRequest): void {
    this.requests++
    const { loadGateway } = this.#options
    if (loadGateway === undefined || !isGatewayPath(request.target.path)) this.#begin(request)
    else if (this.#gateway !== undefined) this.#beginAtGateway(request, this.#gateway)
    else
      loadGateway().then(
        (gateway) => {
          this.#gateway ??= gateway
          this.#beginAtGateway(request, this.#gateway)
        },
        (error: unknown) => this.#fail(request, error),
      )
  }

  #beginAtGateway(request: HttpRequest, gateway: Gateway): void {
    gateway.begin(request)
    this.#begin(request)
  }

  #begin(request: HttpRequest): void {
    const { target, headers } = request
    const { guard, identity, connections } = this.#options
    const { node } = this.#api
    const isChecked = node.auth.enabled
    request.span = startRequestSpan(request, node)
    try {
      guard.checkHost(request, target)
      request.isUnidentified = !isChecked
      if (!isChecked) request.checkServed()
      request.extra = guard.checkOrigin(request, target.path)
      if (request.method === 'OPTIONS' && isPreflight(request, request.extra)) {
        request.isOfStranger = isChecked && !connections.isKnown(request.socket)
        this.#respond(request, { status: 204, headers: PREFLIGHT_HEADERS, body: '', revision: undefined })
        return
      }
      guard.checkCluster(headers['kv-cluster'])
      if (target.operation !== 'other') this.#api.outbound.check(0)
      request.readTimeout()
      if (identity.isNeeded) this.#serveUser(request)
      else this.#serveIdentified(request, undefined)
    } catch (error) {
      identity.auditRefusal(request, headers, error)
      const isUnserved = error instanceof ApiError && error.code === 'loopback_only'
      request.isOfStranger = isUnserved || (isChecked && !connections.isKnown(request.socket))
      this.#fail(request, error)
    }
  }

  #serveUser(request: HttpRequest): void {
    const { identity } = this.#options
    const client = this.#findGateway(request)?.findClient(request) ?? request
    identity.identify(client, newerWithinMs(request), (error, principal) => {
      request.principal = principal
      if (error !== undefined || isOpenToStrangers(request.target.path)) this.#serveIdentified(request, error)
      else
        identity.whenKnown(principal, newerWithinMs(request), (unknown) =>
          this.#serveIdentified(request, unknown),
        )
    })
  }

  #serveIdentified(request: HttpRequest, error: ApiError | undefined): void {
    try {
      const { identity } = this.#options
      request.isOfStranger =
        error !== undefined || identity.isStranger(request.principal) || identity.onlyProbes(request)
      if (!request.isOfStranger) request.sink.identified()
      if (error !== undefined) {
        this.#api.audit?.refused(request, error, { name: parseClaimedUser(request.headers.authorization) })
        throw error
      }
      if (request.isOfStranger) this.#serveStranger(request)
      else this.#serveAnyone(request)
    } catch (thrown) {
      this.#fail(request, thrown)
    }
  }

  /** Only what is open to all is read to its end. All other requests are refused before their body arrives. */
  #serveStranger(request: HttpRequest): void {
    const { operation, path } = request.target
    const { audit } = this.#api
    const error = request.strangerError()
    if (operation === 'put') {
      // It is never executed, whoever is a user by now: its value was not read.
      audit?.watch(put.http.decode(request), request, () => {})(error)
      throw error
    }
    const hasNoBody = operation !== 'other' && operation !== 'batch'
    if (!hasNoBody && !isOpenToStrangers(path)) {
      audit?.refused(request, error)
      throw error
    }
    this.#serveAnyone(request)
  }

  #serveAnyone(request: HttpRequest): void {
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
          if (request.method === 'GET') this.#checkRoom(request, response)
          this.#respond(request, response)
        }
        const response =
          answer instanceof ApiError
            ? this.#encodeError(request, answer)
            : encode(answer, operation, request, this.#api)
        if (isEncoded(response)) respond(response)
        else encodeBody(response, this.#api.outbound, respond, (error) => this.#fail(request, error))
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
    this.#loadedRoutes()
      .then((routes) =>
        routes.decode(request, url, (decoded) => {
          if (decoded instanceof Error) fail(decoded)
          else if (!('kind' in decoded) && this.#isRefused(request)) fail(request.strangerError())
          else if (typeof decoded === 'function') decoded(request).then(respond).catch(fail)
          else if ('kind' in decoded) this.#execute(decoded, request)
          else respond(decoded)
        }),
      )
      .catch(fail)
  }

  /** A stranger who takes nothing of a large answer leaves less room for others of his kind, not for users. */
  #hasRoomFor({ isOfStranger }: HttpRequest, { body }: HttpResponse): boolean {
    if (!isOfStranger || isPoured(body) || isStreamed(body)) return true
    const bytes = byteLength(bodyParts(body))
    // The kernel takes a small one at once: probes are answered.
    return bytes <= PIECE_BYTES || this.#api.outboundOfStrangers.hasRoom(bytes)
  }

  /** A request that is no operation needs a user, but for the routes that say nothing about the store. */
  #isRefused({ principal, target: { path } }: HttpRequest): boolean {
    return !isOpen(path) && !this.#options.identity.isUser(principal)
  }

  /** The result of a read may still be refused. The outcome of a change and the state of the node are always sent. */
  #checkRoom({ target }: HttpRequest, { body }: HttpResponse): void {
    const { outbound } = this.#api
    if (target.operation !== 'other' && outbound.bytes > 0 && !isPoured(body) && !isStreamed(body))
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

  /** Loads the routes outside the hot path. After a failure, the next request tries again. */
  #loadedRoutes(): Promise<ColdRoutes> {
    this.#coldRoutes ??= this.#loadColdRoutes().catch((error: unknown) => {
      this.#coldRoutes = undefined
      throw error
    })
    return this.#coldRoutes
  }

  async #loadColdRoutes(): Promise<ColdRoutes> {
    const { createColdRoutes } = await import('./routes.ts')
    const { metrics, isClosing, consoleDirectory } = this.#options
    return createColdRoutes({ api: this.#api, metrics, isClosing, consoleDirectory })
  }
}

/** Routes that everybody may read. */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  '/',
  '/livez',
  '/readyz',
  '/openapi.json',
  '/version',
  '/health',
])

const isOpen = (path: string): boolean => OPEN_PATHS.has(path) || isConsolePath(path)

/** Paths without a user. Only a login has a body, which is small. */
const LOGIN_PATHS: ReadonlySet<string> = new Set([
  '/v1/auth',
  '/v1/auth/login',
  '/v3/auth/authenticate',
  '/v3beta/auth/authenticate',
])

const isOpenToStrangers = (path: string): boolean => isOpen(path) || LOGIN_PATHS.has(path)

const VALUE_LIMITS = { bytesMax: VALUE_BYTES_MAX, tooLarge: 'value_too_large' } as const
