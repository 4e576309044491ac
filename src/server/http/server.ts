// The front: every request comes here first, from the fast lane or from node:http. It checks the client and calls the
// handlers of the hot routes (one key, a range) itself, from the raw target. Fastify serves the other routes. It is
// loaded when the node already listens, so keys are served before that. Handlers answer with plain data; this file
// sends it.

import { isIPv6, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { SETTING_RULES } from '../../kv/index.ts'
import { StorageClosedError, StorageFailedError } from '../../storage/index.ts'
import type { Multiplexer } from '../mux/multiplexer.ts'
import { checkOpening, readOpening } from '../mux/upgrade.ts'
import type { HttpCounts, Metrics, Operation } from '../node/metrics.ts'
import type { Logger, NodeApi } from '../node/types.ts'
import {
  type Answer,
  type ApiRequest,
  answering,
  asError,
  type Handler,
  isPoured,
  isStreamed,
  partsOf,
  problemAnswer,
  type Respond,
  timeLeftMs,
} from './answer.ts'
import type { ColdRoutes } from './app.ts'
import { Bodies, type RequestBody, WholeBody } from './body.ts'
import { classify } from './classify.ts'
import { Connections, endGently } from './connections.ts'
import { deleteRange } from './delete-range.ts'
import { Guard, isPreflight, PREFLIGHT_HEADERS, type RequestHead } from './guard.ts'
import { deleteKey, getKey, putKey } from './keys.ts'
import { type HttpLimits, httpLimits } from './limits.ts'
import { endWith, type IncomingRequest, NodeConnections } from './node-connection.ts'
import { answerWithinMs, takeTimeout } from './parameters.ts'
import { ApiError } from './problem.ts'
import { Ranges } from './range.ts'
import { RangeReader } from './range-reading.ts'
import { RawConnections, type RequestExchange } from './raw-connection.ts'
import type { RawRequest } from './raw-parser.ts'
import { byteLength, OutboundBudget } from './response-budget.ts'
import { type ExchangeContext, PlainAnswers, send } from './response-writer.ts'
import { splitTarget, type Target } from './target.ts'
import { WatchBuffers } from './watch-limits.ts'

export interface HttpServerOptions {
  readonly node: NodeApi
  readonly version: string
  readonly allowedHosts: readonly string[]
  readonly corsOrigins: readonly string[]
  readonly metrics: Metrics
  readonly logger: Logger
  readonly limits?: HttpLimits
}

export interface HttpServer {
  /** Port 0 means any free port. Rejects if the address cannot be used. */
  listen(host: string, port: number): Promise<{ readonly url: string }>
  /**
   * `graceful`: accepts no more connections, answers the open requests, then closes. Otherwise it destroys all sockets.
   */
  close(options: { readonly graceful: boolean }): Promise<void>
  /** The node's role, its term or the leader that it knows may have changed. */
  roleChanged(): void
  inspect(): HttpCounts
}

export const createHttpServer = (options: HttpServerOptions): HttpServer => new Front(options)

/**
 * A node that stops ends idle connections after this pause. A client that has just received an answer may send its next
 * request. If the connection ended meanwhile, the client would not know the outcome of a change.
 */
const CLOSE_IDLE_MS = 50

/** How long, at most, a stopping node still accepts connections that were made before. */
const ACCEPT_MS_MAX = 2_000

/** Limit of refused connections that receive an error at the same time. Others are closed without an answer. */
const REFUSED_MAX = 16

class Front implements HttpServer {
  readonly #options: HttpServerOptions
  readonly #limits: HttpLimits
  #coldRoutes: Promise<ColdRoutes> | undefined
  #multiplexer: Multiplexer | undefined
  #multiplexerLoads: Promise<Multiplexer> | undefined
  readonly #guard: Guard
  readonly #bodies: Bodies
  readonly #backlog: OutboundBudget
  readonly #rangeReader: RangeReader
  readonly #watchBuffers: WatchBuffers
  readonly #ranges: Ranges
  /** Handlers of requests whose body is not read. */
  readonly #handlers: Readonly<Record<'delete' | 'get' | 'range', Handler>>
  readonly #connections: Connections
  readonly #httpLane: NodeConnections
  readonly #fastLane: RawConnections
  readonly #plain: PlainAnswers
  readonly #refusedNow = new Set<Socket>()
  #refusedTotal = 0
  #acceptedTotal = 0
  #requests = 0
  #closing = false

  constructor(options: HttpServerOptions) {
    const { node, limits = httpLimits } = options
    this.#options = options
    this.#limits = limits
    this.#guard = new Guard({ ...options, clusterId: node.clusterId })
    this.#bodies = new Bodies(limits)
    this.#backlog = new OutboundBudget(limits.answersBytesMax)
    this.#plain = new PlainAnswers(node, limits, this.#backlog)
    this.#connections = new Connections(limits)
    this.#watchBuffers = new WatchBuffers(limits)
    this.#rangeReader = new RangeReader(node, limits, this.#backlog)
    this.#ranges = new Ranges(this.#rangeReader, limits, (error) => this.#refused(error))
    this.#handlers = {
      delete: (asked, respond) => {
        if (asked.keys?.length === 0) deleteRange(node, this.#rangeReader, asked, respond)
        else deleteKey(node, asked, respond)
      },
      get: (asked, respond) => getKey(node, asked, respond),
      range: (asked, respond) => this.#ranges.get(asked, respond),
    }
    const connections = this.#connections
    this.#httpLane = new NodeConnections({
      limits,
      connections,
      bodies: this.#bodies,
      serve: (arrived) => this.#serve(arrived),
    })
    this.#fastLane = new RawConnections({
      keepAliveMs: limits.keepAliveMs,
      headBytesMax: limits.headBytesMax,
      connections,
      isClosing: () => this.#closing,
      serve: (request, exchange) => this.#servePlain(request, exchange),
      send: (socket, request, answer, extra, taken) =>
        this.#plain.send(socket, request, answer, extra, this.#closing, taken),
      upgrade: (socket, bytes) => this.#upgrade(socket, bytes),
      handOver: (socket, stream) => this.#httpLane.adopt(socket, stream),
    })
    this.#httpLane.server.on('connection', (socket: Socket) => this.#accept(socket))
    options.metrics.watchHttp(() => this.inspect())
  }

  async listen(host: string, port: number): Promise<{ readonly url: string }> {
    const { server } = this.#httpLane
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
    return { url: `http://${isIPv6(host) ? `[${host}]` : host}:${bound}` }
  }

  async close({ graceful }: { readonly graceful: boolean }): Promise<void> {
    const { server } = this.#httpLane
    this.#closing = true
    const cut = (): void => {
      this.#connections.cut()
      for (const socket of this.#refusedNow) socket.destroy()
    }
    if (!graceful) cut()
    this.#connections.closing()
    this.#multiplexer?.closing()
    // A connection whose answer was on its way when closing began becomes idle later. It gets the same pause.
    let before = performance.now()
    const sweep = setInterval(() => {
      // What arrived while the event loop was busy is read first.
      setImmediate(() => {
        this.#httpLane.closeIdle(before)
        this.#fastLane.closeIdle(before)
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
      fastConnections: this.#fastLane.size,
      muxConnections: this.#multiplexer?.size ?? 0,
      requests: this.#requests,
      operations: this.#multiplexer?.operations ?? 0,
      ranges: this.#rangeReader.open,
      watchBytes: this.#watchBuffers.bytes,
      bodyBytes: this.#bodies.bytes,
      answerBytes: this.#backlog.bytes,
      stalledTotal: this.#connections.stalledTotal,
      refusedTotal: this.#refusedTotal,
    }
  }

  /**
   * When a listener closes, the kernel resets connections that were not accepted yet, and their clients may have sent a
   * change. Each turn of the event loop accepts one connection. After a turn without one, none waits.
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
      this.#fastLane.accept(socket)
      return
    }
    this.#refusedTotal++
    if (this.#refusedNow.size >= REFUSED_MAX) {
      socket.destroy()
      return
    }
    this.#refusedNow.add(socket)
    socket.on('error', () => {}).once('close', () => this.#refusedNow.delete(socket))
    endWith(socket, new ApiError('overloaded', 'this node has as many connections as it can hold'))
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
    const { createColdRoutes } = await import('./cold-routes.ts')
    const { node, version, metrics } = this.#options
    return createColdRoutes({
      facts: { node, version, metrics, isClosing: () => this.#closing },
      backlog: this.#backlog,
      ranges: this.#rangeReader,
      watchBuffers: this.#watchBuffers,
      limits: this.#limits,
    })
  }

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
    const { node, version, metrics } = this.#options
    this.#multiplexer = new Multiplexer({
      node,
      version,
      metrics,
      limits: this.#limits,
      backlog: this.#backlog,
      bodies: this.#bodies,
      connections: this.#connections,
      ranges: this.#rangeReader,
      watchBuffers: this.#watchBuffers,
      isClosing: () => this.#closing,
      refused: (error) => this.#refused(error),
    })
    return this.#multiplexer
  }

  #context(): ExchangeContext {
    const { node } = this.#options
    return { node, backlog: this.#backlog, closing: this.#closing }
  }

  /** A request from node:http. */
  #serve(arrived: IncomingRequest): void {
    const { request, response } = arrived
    const target = splitTarget(request.url ?? '')
    const kv = KV_PATH.test(target.path)
    this.#handle(request, target, {
      startedAt: performance.now(),
      isAbandoned: () => response.destroyed,
      answer: (answer, extra) => send(arrived, answer, { kv, extra }, this.#context()),
      body: arrived.body,
      other: (asked, respond) => this.#toFastify(arrived, target, asked, respond),
    })
  }

  /** A request from the fast lane: complete, and for one key. */
  #servePlain(request: RawRequest, exchange: RequestExchange): void {
    this.#handle(request, splitTarget(request.url), {
      ...exchange,
      body: new WholeBody(request.body, this.#bodies),
      other: notPlain,
    })
  }

  /** Takes over a connection if the request at the beginning of these bytes opens a multiplexed one. */
  #upgrade(socket: Socket, bytes: Buffer): boolean {
    const startedAt = performance.now()
    const request = readOpening(bytes)
    if (request === undefined) return false
    const refuse = (error: unknown): void => {
      const answer = problemAnswer(this.#refused(error))
      this.#plain.send(socket, request, answer, [], true, () => {})
      endGently(socket)
      this.#options.metrics.requestEnded('other', answer.status, performance.now() - startedAt)
    }
    const accept = (multiplexer: Multiplexer): void => {
      if (socket.destroyed) return
      multiplexer.accept(socket, request, bytes.subarray(request.bytes))
      socket.resume()
      this.#options.metrics.requestEnded('other', 101, performance.now() - startedAt)
    }
    try {
      checkOpening(request, this.#guard)
      if (this.#closing) throw new ApiError('not_ready', 'this node stops')
    } catch (error) {
      refuse(error)
      return true
    }
    if (this.#multiplexer !== undefined) accept(this.#multiplexer)
    else {
      socket.pause()
      this.#connections.watch(socket, { quietSince: startedAt, waitsFor: () => 'node' })
      this.#loadedMultiplexer().then(accept).catch(refuse)
    }
    return true
  }

  /** The steps for both lanes: check the client, set the deadline, send the answer. */
  #handle(head: RequestHead, target: Target, { startedAt, isAbandoned, answer, body, other }: Taken): void {
    const { method = '', headers } = head
    const { operation, keys, pairs: given } = classify(method, target)
    let extra: readonly string[] = []
    let isOpen = true
    this.#requests++
    const respond: Respond = (result) => {
      const given =
        result instanceof Error
          ? problemAnswer(this.#refused(result))
          : this.#fitting(result, head, operation)
      // An answer that cannot be sent to its end is followed by the reason.
      const isFirst = isOpen
      if (isFirst) this.#requests--
      isOpen = false
      answer(given, extra)
      if (isFirst) this.#options.metrics.requestEnded(operation, given.status, performance.now() - startedAt)
    }
    try {
      this.#guard.checkHost(head, target)
      extra = this.#guard.checkOrigin(head)
      if (isPreflight(head, extra)) {
        respond({ status: 204, headers: PREFLIGHT_HEADERS, body: '', revision: undefined })
        return
      }
      this.#guard.checkCluster(head.headers['kv-cluster'])
      if (operation !== 'other') this.#backlog.check(0)
      const { timeoutMs, others: pairs } = takeTimeout(given)
      const deadline = startedAt + answerWithinMs(timeoutMs)
      const asked = { method, path: target.path, operation, keys, pairs, headers, deadline, isAbandoned }
      if (operation === 'other' || operation === 'batch') other(asked, respond)
      else if (operation === 'put') this.#put(asked, body, respond)
      else {
        body.drop()
        this.#handlers[operation](asked, respond)
      }
    } catch (error) {
      respond(asError(error))
    }
  }

  /** Faults of the request are reported before faults of its body. */
  #put(asked: ApiRequest, body: RequestBody, respond: Respond): void {
    const put = putKey(this.#options.node, this.#backlog, asked)
    const received = answering(respond, (value: Uint8Array | ApiError) => {
      if (value instanceof ApiError) throw value
      put(value, respond)
    })
    body.read({ ...VALUE_LIMITS, timeoutMs: timeLeftMs(asked) }, received)
  }

  #toFastify(
    { request, response, body }: IncomingRequest,
    { path, query }: Target,
    asked: ApiRequest,
    respond: Respond,
  ): void {
    // The authority of an absolute target is left out.
    request.url = query === '' ? path : `${path}?${query}`
    this.#loadedRoutes().then(
      (routes) => routes.serve(request, response, { asked, respond, body }),
      (error) => respond(asError(error)),
    )
  }

  /** The problem for an error. Errors that are not the client's fault are reported. */
  #refused(error: unknown): ApiError {
    if (error instanceof ApiError) return error
    // Only reads meet this error here, not proposals. The node ends with it, and reports the reason.
    if (error instanceof StorageFailedError || error instanceof StorageClosedError)
      return new ApiError('not_ready', error.message)
    const { logger } = this.#options
    const { message, stack } = asError(error)
    logger.error({ stack }, `a request failed: ${message}`)
    return new ApiError('internal', message)
  }

  /** The result of a read may still be refused. The outcome of a change and the state of the node are always told. */
  #fitting(answer: Answer, { method }: RequestHead, operation: Operation): Answer {
    const { body } = answer
    const mayRefuse = method === 'GET' && operation !== 'other'
    if (!mayRefuse || this.#backlog.bytes === 0 || isPoured(body) || isStreamed(body)) return answer
    try {
      this.#backlog.check(byteLength(partsOf(body)))
      return answer
    } catch (error) {
      return problemAnswer(this.#refused(error))
    }
  }
}

/** A request on its lane. */
interface Taken extends RequestExchange {
  readonly body: RequestBody
  /** Serves what is neither one key nor a range. */
  readonly other: Handler
}

function notPlain({ method, path }: ApiRequest): never {
  throw new Error(`the fast lane took ${method} ${path}`)
}

/** Whether a path is under /v1, also if its letters are escaped, because fastify decodes paths. */
const KV_PATH = /^\/(?:v|%76)(?:1|%31)(?:\/|$)/
const VALUE_LIMITS = { bytesMax: SETTING_RULES.valueBytesMax.max, tooLarge: 'value_too_large' } as const
