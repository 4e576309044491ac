// The HTTP listener of a node. Every request passes through it, from either reader. The listener checks the client,
// and decodes the requests of the hot routes (one key, a range) from the raw target. Fastify decodes the other routes.
// It is loaded when the node already listens, so keys are served before that.

import type { IncomingHttpHeaders } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { errorResponse } from '../../operations/forms/http.ts'
import { ApiError, VALUE_BYTES_MAX } from '../../operations/forms/index.ts'
import { get } from '../../operations/get.ts'
import type { Operation } from '../../operations/index.ts'
import { put } from '../../operations/put.ts'
import { Api } from '../api/api.ts'
import type { Audit } from '../api/audit.ts'
import { type Credentials, userNamedIn } from '../api/authenticator.ts'
import { byteLength, PIECE_BYTES, tooManyAnswers } from '../api/budget.ts'
import { asError } from '../api/errors.ts'
import { execute } from '../api/execute.ts'
import type { Call, Principal } from '../api/operation.ts'
import { JoiningNode, NEWER_MS_MAX, newerWithinMs, unauthenticated, whenNewest } from '../api/permit.ts'
import { timeLeftMs } from '../api/read-options.ts'
import type { Multiplexer } from '../mux/multiplexer.ts'
import type { HttpCounts, Metrics } from '../node/metrics.ts'
import type { Logger, NodeApi } from '../node/types.ts'
import { Handshakes, type ListenerTls } from '../tls/handshakes.ts'
import { isNodeCertificate, nodeCertificateOf, objectionToPeer, userOfCertificate } from '../tls/identity.ts'
import type { ColdRoutes } from './app.ts'
import { addressOf, Connections, endGently } from './connections.ts'
import {
  checkLoopbackOnly,
  Guard,
  isPreflight,
  isServed,
  PREFLIGHT_HEADERS,
  type ServedClients,
} from './guard.ts'
import { decodeDelete, decodeRange, type EncodeContext, encode } from './http-codec.ts'
import type { HttpLimits } from './limits.ts'
import {
  encodeBody,
  type HttpRequest,
  type HttpResponse,
  isEncoded,
  isPoured,
  isStreamed,
  partsOf,
} from './messages.ts'
import { endWith, NodeConnections } from './node-connection.ts'
import { RawConnections } from './raw-connection.ts'
import { endRequestSpan, startRequestSpan } from './request-span.ts'
import { ResponseWriter } from './response-writer.ts'
import { checkOpening, readOpening } from './upgrade.ts'

export interface HttpServerOptions {
  readonly node: NodeApi
  readonly version: string
  readonly allowedHosts: readonly string[]
  readonly corsOrigins: readonly string[]
  readonly metrics: Metrics
  readonly logger: Logger
  readonly audit?: Audit | undefined
  readonly limits: HttpLimits
  /** With it, the listener speaks only TLS. */
  readonly tls?: ListenerTls | undefined
  readonly served: ServedClients
}

export interface HttpServer {
  /** Port 0 means any free port. Rejects if the address cannot be used. */
  listen(host: string, port: number): Promise<{ readonly url: string }>
  /**
   * `graceful`: accepts no more connections, answers the open requests, then closes. Otherwise it destroys all sockets.
   */
  close(options: { readonly graceful: boolean }): Promise<void>
  /** Called when the node's role, its term or the leader that it knows may have changed. */
  roleChanged(): void
  inspect(): HttpCounts
}

export const createHttpServer = (options: HttpServerOptions): HttpServer => new Listener(options)

/**
 * A node that stops ends idle connections after this pause. A client that has just received an answer may send its next
 * request. If the connection ended at the same time, the client would not know the outcome of a change.
 */
const CLOSE_IDLE_MS = 50

/** How long, at most, a stopping node still accepts connections that were made before. */
const ACCEPT_MS_MAX = 2_000

/** Limit of refused connections that receive an error at the same time. Others are closed without an answer. */
const REFUSED_MAX = 16

class Listener implements HttpServer {
  readonly #options: HttpServerOptions
  readonly #limits: HttpLimits
  readonly #api: Api
  readonly #encoding: EncodeContext
  readonly #guard: Guard
  readonly #writer: ResponseWriter
  readonly #connections: Connections
  readonly #nodeConnections: NodeConnections
  readonly #rawConnections: RawConnections
  readonly #handshakes: Handshakes | undefined
  #coldRoutes: Promise<ColdRoutes> | undefined
  #multiplexer: Multiplexer | undefined
  #multiplexerLoads: Promise<Multiplexer> | undefined
  /** Connections without room, which receive an error. */
  readonly #refusedNow = new Set<Socket>()
  #refusedTotal = 0
  #acceptedTotal = 0
  #requests = 0
  #closing = false

  constructor(options: HttpServerOptions) {
    const { node, version, logger, audit, limits, tls } = options
    this.#options = options
    this.#limits = limits
    this.#api = new Api({
      node,
      limits,
      audit,
      failed: ({ stack, message }) => logger.error({ stack }, `a request failed: ${message}`),
    })
    this.#encoding = { node, version, errorOf: (error) => this.#api.errorOf(error) }
    this.#guard = new Guard({ ...options, clusterId: node.clusterId, isSecure: tls !== undefined })
    const isClosing = (): boolean => this.#closing
    const { inbound, outbound, outboundOfStrangers } = this.#api
    const inboundOfStrangers = () => this.#api.inboundOfStrangers
    this.#writer = new ResponseWriter({
      ...{ node, outbound, outboundOfStrangers, keepAliveMs: limits.keepAliveMs, isClosing },
    })
    this.#connections = new Connections(limits, () => this.#handshakes)
    const shared = {
      ...{ connections: this.#connections, inbound, inboundOfStrangers, writer: this.#writer },
      serve: (request: HttpRequest) => this.#serve(request),
    }
    this.#nodeConnections = new NodeConnections({ ...shared, limits })
    this.#rawConnections = new RawConnections({
      ...shared,
      ...{ keepAliveMs: limits.keepAliveMs, headBytesMax: limits.headBytesMax, isClosing },
      upgrade: (socket, bytes) => this.#upgrade(socket, bytes),
      handOver: (...connection) => this.#nodeConnections.adopt(...connection),
    })
    this.#nodeConnections.server.on('connection', (socket: Socket) => this.#accept(socket))
    this.#handshakes =
      tls &&
      new Handshakes({
        ...{ ...tls, ...limits, logger, protocol: 'http' },
        secured: (socket) => {
          const user = userOfCertificate(socket)
          const isUser = user !== undefined && !this.#isStranger({ user, epoch: undefined })
          this.#rawConnections.accept(socket, isUser || isNodeCertificate(socket))
        },
        refused: (socket, { kind, why }) => {
          const advice = kind === 'missing' ? SHOW_CERTIFICATE : ''
          const error = new ApiError('unauthenticated', `this node refuses the client: ${why}${advice}`)
          const origin = () => ({ method: 'TLS', address: addressOf(socket) })
          audit?.refused({ origin }, error, { name: userShownBy(socket, tls), certificate: kind })
          this.#refuse(socket, error)
        },
        plain: (socket) =>
          this.#refuse(socket, new ApiError('bad_request', 'this port speaks only TLS: use https://')),
      })
    options.metrics.watchHttp(() => this.inspect())
  }

  async listen(host: string, port: number): Promise<{ readonly url: string }> {
    const { server } = this.#nodeConnections
    const { logger } = this.#options
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // Otherwise workers of node:cluster would share the port, and requests would reach them in turn.
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject)
        // A connection that cannot be accepted, for example for lack of memory, must not end the node.
        server.on('error', (error) => logger.error({ error: error.message }, 'the HTTP listener failed'))
        resolve()
      })
    })
    this.#connections.open()
    // The import blocks the event loop for a long time. Now, before the node can lead, it delays no heartbeat.
    this.#loadedRoutes()
      .then(() => this.#loadedMultiplexer())
      .catch((error: unknown) =>
        logger.warn({ error: asError(error).message }, 'the routes beside the keys could not be loaded yet'),
      )
    const address = server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    const scheme = this.#options.tls === undefined ? 'http' : 'https'
    return { url: `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${bound}` }
  }

  async close({ graceful }: { readonly graceful: boolean }): Promise<void> {
    const { server } = this.#nodeConnections
    this.#closing = true
    const cut = (): void => {
      this.#connections.cut()
      for (const socket of this.#refusedNow) socket.destroy()
    }
    if (!graceful) cut()
    this.#handshakes?.close()
    this.#connections.closing()
    this.#multiplexer?.closing()
    // A connection whose answer was on its way when closing began becomes idle later. It gets the same pause.
    let before = performance.now()
    const sweep = setInterval(() => {
      // Bytes that arrived while the event loop was busy are read first.
      setImmediate(() => {
        this.#nodeConnections.closeIdle(before)
        this.#rawConnections.closeIdle(before)
        this.#multiplexer?.closeIdle()
        before = performance.now()
      })
    }, CLOSE_IDLE_MS)
    const late = setTimeout(cut, this.#limits.closeMsMax)
    if (graceful) await this.#acceptWaiting()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await this.#connections.closed()
    clearInterval(sweep)
    clearTimeout(late)
    const routes = await this.#coldRoutes?.catch(() => undefined)
    await routes?.close()
  }

  roleChanged(): void {
    this.#multiplexer?.roleChanged()
  }

  inspect(): HttpCounts {
    return {
      connections: this.#connections.size,
      fastConnections: this.#rawConnections.size,
      muxConnections: this.#multiplexer?.size ?? 0,
      requests: this.#requests,
      operations: this.#multiplexer?.operations ?? 0,
      ranges: this.#api.ranges.open,
      watchBytes: this.#api.watchBuffers.bytes,
      bodyBytes: this.#api.inbound.bytes,
      strangerBytes: this.#api.strangerBytes,
      answerBytes: this.#api.outbound.bytes,
      strangers: this.#connections.strangers,
      strangerHeadBytes: this.#connections.strangerHeadBytes,
      strangersClosedTotal: this.#connections.strangersClosedTotal,
      handshakes: this.#handshakes?.size ?? 0,
      stalledTotal: this.#connections.stalledTotal,
      refusedTotal: this.#refusedTotal,
      handshakesFailedTotal: this.#handshakes?.failedTotal ?? 0,
    }
  }

  /**
   * When a listener closes, the kernel resets connections that were not accepted yet, and their clients may have sent a
   * change. Each iteration of the event loop accepts one connection. After one without, none waits.
   */
  async #acceptWaiting(): Promise<void> {
    const until = performance.now() + ACCEPT_MS_MAX
    let before: number
    await nextTurn()
    do {
      before = this.#acceptedTotal
      await nextTurn()
    } while (this.#acceptedTotal > before && performance.now() < until)
  }

  #accept(socket: Socket): void {
    this.#acceptedTotal++
    if (this.#connections.makeRoom()) {
      if (this.#handshakes === undefined) this.#rawConnections.accept(socket)
      else this.#handshakes.begin(socket)
      return
    }
    this.#refusedTotal++
    // An error before the handshake would be no TLS.
    if (this.#handshakes !== undefined) socket.destroy()
    else this.#refuse(socket, new ApiError('overloaded', 'this node has as many connections as it can hold'))
  }

  #refuse(socket: Socket, error: ApiError): void {
    if (this.#refusedNow.size >= REFUSED_MAX) {
      socket.destroy()
      return
    }
    this.#refusedNow.add(socket)
    socket.on('error', () => {}).once('close', () => this.#refusedNow.delete(socket))
    endWith(socket, error)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Requests

  /** Checks the client, sets the deadline, decodes and executes the request, and sends the response. */
  #serve(request: HttpRequest): void {
    const { target, headers } = request
    const { node, served, tls } = this.#options
    const isChecked = node.auth.enabled
    this.#requests++
    request.span = startRequestSpan(request, node.name)
    try {
      this.#guard.checkHost(request, target)
      request.served = served
      request.isUnidentified = !isChecked
      if (!isChecked) request.checkServed()
      request.extra = this.#guard.checkOrigin(request, target.path)
      if (request.method === 'OPTIONS' && isPreflight(request, request.extra)) {
        request.isOfStranger = isChecked && !this.#connections.isKnown(request.socket)
        this.#respond(request, { status: 204, headers: PREFLIGHT_HEADERS, body: '', revision: undefined })
        return
      }
      this.#guard.checkCluster(headers['kv-cluster'])
      if (target.operation !== 'other') this.#api.outbound.check(0)
      request.readTimeout()
      if (isChecked || tls !== undefined) this.#serveUser(request)
      else this.#serveIdentified(request, undefined)
    } catch (error) {
      this.#auditRefusal(request, headers, error)
      const isUnserved = error instanceof ApiError && error.code === 'loopback_only'
      request.isOfStranger = isUnserved || (isChecked && !this.#connections.isKnown(request.socket))
      this.#fail(request, error)
    }
  }

  /** Writes a line for a client that is not served at all. */
  #auditRefusal(client: Pick<Call, 'origin'>, { authorization }: IncomingHttpHeaders, error: unknown): void {
    if (error instanceof ApiError && UNSERVED.has(error.code))
      this.#api.audit?.refused(client, error, { name: userNamedIn(authorization) })
  }

  /** Rights are checked, or may be switched on by the user of a certificate. */
  #serveUser(request: HttpRequest): void {
    this.#api.authenticator.identify(
      this.#credentialsOf(request.headers, request.socket),
      newerWithinMs(request),
      (error, principal) => {
        request.principal = principal
        if (error !== undefined || OPEN_TO_STRANGERS.has(request.target.path))
          this.#serveIdentified(request, error)
        else
          this.#whenKnown(principal, newerWithinMs(request), (unknown) =>
            this.#serveIdentified(request, unknown),
          )
      },
    )
  }

  /** A node refuses no certificate before it knows that its user was not made a moment ago. */
  #whenKnown(
    principal: Principal | undefined,
    newerMs: number,
    then: (error: ApiError | undefined) => void,
  ): void {
    if (principal === undefined || !this.#isStranger(principal)) then(undefined)
    else whenNewest(this.#options.node, newerMs, then)
  }

  #serveIdentified(request: HttpRequest, error: ApiError | undefined): void {
    try {
      request.isOfStranger =
        error !== undefined || this.#isStranger(request.principal) || this.#onlyProbes(request.socket)
      if (!request.isOfStranger) request.sink.identified()
      if (error !== undefined) {
        this.#api.audit?.refused(request, error, { name: userNamedIn(request.headers.authorization) })
        throw error
      }
      if (request.isOfStranger) this.#serveStranger(request)
      else this.#serveAnyone(request)
    } catch (thrown) {
      this.#fail(request, thrown)
    }
  }

  #credentialsOf(headers: IncomingHttpHeaders, socket: Socket): Credentials {
    const { node, served } = this.#options
    return credentialsOf(headers, socket, !node.auth.enabled && !isServed(served, socket))
  }

  /** Whether rights are checked, and this is no user. A certificate may name anybody. */
  #isStranger(principal: Principal | undefined): boolean {
    const { enabled, state } = this.#options.node.auth
    if (!enabled || principal instanceof JoiningNode) return false
    return principal === undefined || state.rightsOf(principal.user) === undefined
  }

  /** Whether rights are not checked, and from this machine only probes of the health are served. */
  #onlyProbes(socket: Socket): boolean {
    const { node, served } = this.#options
    return !node.auth.enabled && !isServed(served, socket) && !isNodeCertificate(socket)
  }

  /** Only what is open to all is read to its end. All other requests are refused before their body arrives. */
  #serveStranger(request: HttpRequest): void {
    const { operation, path } = request.target
    const { audit } = this.#api
    const error = unauthenticated()
    if (operation === 'put') {
      // It is never executed, whoever is a user by now: its value was not read.
      audit?.watch(put.http.decode(request), request, () => {})(error)
      throw error
    }
    const hasNoBody = operation !== 'other' && operation !== 'batch'
    if (!hasNoBody && !OPEN_TO_STRANGERS.has(path)) {
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
      // Faults of the request are reported before faults of its body.
      const withoutValue = put.http.decode(request)
      body.read({ ...VALUE_LIMITS, timeoutMs: timeLeftMs(request) }, (value) => {
        if (value instanceof ApiError) this.#fail(request, value)
        else this.#execute({ ...withoutValue, value }, request)
      })
      return
    }
    body.drop()
    if (target.operation === 'get') this.#execute(get.http.decode(request), request)
    else if (target.operation === 'delete') this.#execute(decodeDelete(request), request)
    else this.#execute(decodeRange(request, this.#limits.pageRowsMax), request)
  }

  #execute(operation: Operation, request: HttpRequest): void {
    execute(this.#api, operation, request, (result) => {
      try {
        const respond = (response: HttpResponse): void => {
          // Its writer counts it from here on.
          request.room?.release()
          if (request.method === 'GET') this.#checkRoom(request, response)
          this.#respond(request, response)
        }
        const response = encode(result, request, this.#encoding)
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
    const fail = (error: unknown): void => this.#fail(request, error)
    this.#loadedRoutes()
      .then((routes) =>
        routes.decode(request, url, (decoded) => {
          if (decoded instanceof Error) fail(decoded)
          else if (!('kind' in decoded) && this.#isRefused(request)) fail(unauthenticated())
          else if (decoded instanceof Promise)
            decoded.then((response) => this.#respond(request, response), fail)
          else if ('kind' in decoded) this.#execute(decoded, request)
          else if (this.#hasRoomFor(request, decoded)) this.#respond(request, decoded)
          else fail(tooManyAnswers())
        }),
      )
      .catch(fail)
  }

  /** A stranger who takes nothing of a large answer leaves less room for others of his kind, not for users. */
  #hasRoomFor({ isOfStranger }: HttpRequest, { body }: HttpResponse): boolean {
    if (!isOfStranger || isPoured(body) || isStreamed(body)) return true
    const bytes = byteLength(partsOf(body))
    // The kernel takes a small one at once: probes are answered.
    return bytes <= PIECE_BYTES || this.#api.outboundOfStrangers.hasRoom(bytes)
  }

  /** A request that is no operation needs a user, but for the routes that say nothing about the store. */
  #isRefused({ principal, target: { path } }: HttpRequest): boolean {
    const { enabled, state } = this.#options.node.auth
    if (!enabled || OPEN_PATHS.has(path)) return false
    return principal === undefined || state.rightsOf(principal.user) === undefined
  }

  /** The result of a read may still be refused. The outcome of a change and the state of the node are always sent. */
  #checkRoom({ target }: HttpRequest, { body }: HttpResponse): void {
    const { outbound } = this.#api
    if (target.operation !== 'other' && outbound.bytes > 0 && !isPoured(body) && !isStreamed(body))
      outbound.check(byteLength(partsOf(body)))
  }

  #fail(request: HttpRequest, error: unknown): void {
    request.room?.release()
    this.#respond(request, errorResponse(this.#api.errorOf(error)))
  }

  #respond(request: HttpRequest, response: HttpResponse): void {
    const { target, startedAt, isAnswered } = request
    if (!isAnswered) this.#requests--
    request.isAnswered = true
    request.sink.send(request, response)
    // A response that cannot be sent to its end is followed by the reason.
    if (isAnswered) return
    this.#options.metrics.requestEnded(target.operation, response.status, performance.now() - startedAt)
    endRequestSpan(request, response.status)
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
    const { version, metrics } = this.#options
    return createColdRoutes({ api: this.#api, version, metrics, isClosing: () => this.#closing })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Multiplexed connections

  /** Loads the code for multiplexed connections. After a failure, the next request tries again. */
  #loadedMultiplexer(): Promise<Multiplexer> {
    this.#multiplexerLoads ??= this.#loadMultiplexer().catch((error: unknown) => {
      this.#multiplexerLoads = undefined
      throw error
    })
    return this.#multiplexerLoads
  }

  async #loadMultiplexer(): Promise<Multiplexer> {
    const { Multiplexer } = await import('../mux/multiplexer.ts')
    const { version, metrics, served } = this.#options
    this.#multiplexer = new Multiplexer({
      ...{ api: this.#api, version, metrics, limits: this.#limits },
      watchConnection: (socket, owner) => this.#connections.watch(socket, owner),
      checkServed: (socket) => checkLoopbackOnly(served, socket, '/v1/connect'),
      isClosing: () => this.#closing,
    })
    return this.#multiplexer
  }

  /** Takes over a connection if the request at the beginning of these bytes opens a multiplexed one. */
  #upgrade(socket: Socket, bytes: Buffer): boolean {
    const startedAt = performance.now()
    const request = readOpening(bytes)
    if (request === undefined) return false
    const { metrics, node, served, tls } = this.#options
    const origin = () => ({ method: 'GET', address: addressOf(socket) })
    const refuse = (error: unknown): void => {
      this.#auditRefusal({ origin }, request.headers, error)
      const response = errorResponse(this.#api.errorOf(error))
      this.#writer.writeToSocket(socket, request.method, response, [], () => {}, true)
      endGently(socket)
      metrics.requestEnded('other', response.status, performance.now() - startedAt)
    }
    let principal: Principal | undefined
    const accept = (multiplexer: Multiplexer): void => {
      if (socket.destroyed) return
      this.#connections.identified(socket)
      multiplexer.accept(socket, request, bytes.subarray(request.bytes), principal)
      socket.resume()
      metrics.requestEnded('other', 101, performance.now() - startedAt)
    }
    try {
      checkOpening(request, this.#guard)
      if (!node.auth.enabled) checkLoopbackOnly(served, socket, '/v1/connect')
      if (this.#closing) throw new ApiError('not_ready', 'this node stops')
    } catch (error) {
      refuse(error)
      return true
    }
    if (this.#multiplexer !== undefined && !node.auth.enabled && tls === undefined) {
      accept(this.#multiplexer)
      return true
    }
    socket.pause()
    this.#connections.watch(socket, { quietSince: startedAt, waitsFor: () => 'node' })
    this.#connections.holdHeads(socket, bytes.length)
    const credentials = this.#credentialsOf(request.headers, socket)
    this.#api.authenticator.identify(credentials, NEWER_MS_MAX, (error, identified) => {
      if (error !== undefined) return refuse(error)
      this.#whenKnown(identified, NEWER_MS_MAX, (unknown) => {
        // A message may be large, and is read before an operation of it is decided.
        if (unknown !== undefined || this.#isStranger(identified)) return refuse(unknown ?? unauthenticated())
        principal = identified
        this.#loadedMultiplexer().then(accept).catch(refuse)
      })
    })
    return true
  }
}

/** The user whom the certificate of a connection names, whether it is a good one or not. */
function userShownBy(socket: TLSSocket, { files }: ListenerTls): string | undefined {
  const certificate = socket.getPeerX509Certificate()
  const found = certificate && files.userIn(certificate)
  return found !== undefined && 'user' in found ? found.user : undefined
}

/** `joinsOnly`: rights are not checked, and from another machine only a node that joins is served. */
function credentialsOf(
  { authorization }: IncomingHttpHeaders,
  socket: Socket,
  joinsOnly: boolean,
): Credentials {
  const certificate = nodeCertificateOf(socket)
  const node = certificate && ((member: NodeMember) => objectionToPeer(certificate, member) === undefined)
  return {
    ...{ authorization, address: socket.remoteAddress ?? '', node },
    certificateUser: node !== undefined && joinsOnly ? undefined : userOfCertificate(socket),
  }
}

type NodeMember = Parameters<typeof objectionToPeer>[1]

const SHOW_CERTIFICATE = '; give one with tls.cert and tls.key, in the command with --cert and --key'

/** Routes that everybody may read. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/', '/livez', '/readyz', '/openapi.json'])

/** Paths without a user. Only a login has a body, which is small. */
const OPEN_TO_STRANGERS: ReadonlySet<string> = new Set([...OPEN_PATHS, '/v1/auth', '/v1/auth/login'])

/** Why a client is not served, whoever it is. */
const UNSERVED: ReadonlySet<string> = new Set([
  ...['loopback_only', 'unauthenticated', 'host_not_allowed', 'origin_not_allowed'],
])

const VALUE_LIMITS = { bytesMax: VALUE_BYTES_MAX, tooLarge: 'value_too_large' } as const
