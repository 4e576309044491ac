// The front: every request comes here first, from the fast lane or from node:http. It checks who asks, takes the hot routes (one key, a
// range) to their handlers itself, from the raw target, and leaves the rest to fastify, which is loaded when it is first needed: a node
// serves keys before that. Handlers answer with plain data; this file puts it on the wire.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { SETTING_RULES } from '../../kv/index.ts'
import type { Metrics, Operation } from '../metrics.ts'
import type { Logger, NodeApi } from '../types.ts'
import {
  type ApiRequest,
  answering,
  type Handler,
  problemAnswer,
  type Respond,
  timeLeftMs,
} from './answer.ts'
import type { Routed } from './app.ts'
import { Bodies } from './body.ts'
import { type ExchangeContext, PlainAnswers, send } from './exchange.ts'
import { type Exchange, FastLane } from './fast-lane.ts'
import { Guard, isPreflight, PREFLIGHT_HEADERS, type RequestHead } from './guard.ts'
import { deleteKey, getKey, namesKey, putKey } from './keys.ts'
import { type HttpLimits, httpLimits } from './limits.ts'
import { timeoutOf } from './parameters.ts'
import type { PlainRequest } from './plain-request.ts'
import { problemDocument, Refused } from './problem.ts'
import { Ranges } from './range.ts'
import { splitTarget, type Target } from './target.ts'

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
  /** Port 0: any free one. Rejects when the address cannot be had. */
  listen(host: string, port: number): Promise<{ readonly url: string }>
  /** `graceful`: takes no more connections, answers what is under way, then closes; otherwise sockets are cut. */
  close(options: { readonly graceful: boolean }): Promise<void>
}

export const createHttpServer = (options: HttpServerOptions): HttpServer => new Front(options)

/** Answers leave a little before the timeout, so that they arrive within it. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MS_MAX = 20

class Front implements HttpServer {
  readonly #options: HttpServerOptions
  readonly #limits: HttpLimits
  readonly #server: Server
  #app: Promise<FastifyInstance> | undefined
  readonly #guard: Guard
  readonly #bodies: Bodies
  readonly #hot: Readonly<Record<'put' | 'del' | 'get' | 'range', HotRoute>>
  /** Requests handed to fastify. */
  readonly #routed = new WeakMap<IncomingMessage, Routed>()
  /** The response to the newest request on each socket. */
  readonly #current = new WeakMap<Duplex, ServerResponse>()
  readonly #lane: FastLane
  readonly #plain: PlainAnswers
  #closing = false

  constructor(options: HttpServerOptions) {
    const { node, limits = httpLimits } = options
    this.#options = options
    this.#limits = limits
    this.#guard = new Guard({ ...options, clusterId: node.clusterId })
    this.#bodies = new Bodies(limits)
    this.#plain = new PlainAnswers(node, limits)
    const ranges = new Ranges(node, limits, (error) => this.#refused(error))
    this.#hot = {
      put: { takesBody: true, handle: (asked, respond) => putKey(node, asked, respond) },
      del: { takesBody: false, handle: (asked, respond) => deleteKey(node, asked, respond) },
      get: { takesBody: false, handle: (asked, respond) => getKey(node, asked, respond) },
      range: { takesBody: false, handle: (asked, respond) => ranges.get(asked, respond) },
    }
    this.#server = createServer(
      {
        maxHeaderSize: limits.headBytesMax,
        keepAliveTimeout: limits.keepAliveMs,
        // A missing Host header is answered like every other fault.
        requireHostHeader: false,
      },
      (request, response) => this.#receive(request, response),
    )
    // A client that sends no more is still answered what it has asked.
    Object.assign(this.#server, { httpAllowHalfOpen: true })
    // Connections are the fast lane's until it gives them to node:http.
    const takeOver = this.#server.listeners('connection')
    this.#server.removeAllListeners('connection')
    this.#lane = new FastLane({
      keepAliveMs: limits.keepAliveMs,
      isClosing: () => this.#closing,
      serve: (request, exchange) => this.#serve(request, exchange),
      send: (socket, request, answer, extra) =>
        this.#plain.send(socket, request, answer, extra, this.#closing),
      handOver: (socket) => {
        for (const listener of takeOver) listener.call(this.#server, socket)
      },
      truncated: (socket) => this.#answerNonsense(new Error('it ends before it is complete'), socket),
    })
    this.#server.on('connection', (socket: Socket) => this.#lane.accept(socket))
    // An expectation that we do not know is not met, and no reason to refuse.
    this.#server.on('checkExpectation', (request, response) => this.#receive(request, response))
    this.#server.on('clientError', (error, socket) => this.#answerNonsense(error, socket))
  }

  async listen(host: string, port: number): Promise<{ readonly url: string }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    const address = this.#server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    return { url: `http://${isIPv6(host) ? `[${host}]` : host}:${bound}` }
  }

  async close({ graceful }: { readonly graceful: boolean }): Promise<void> {
    this.#closing = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    const cut = (): void => {
      this.#server.closeAllConnections()
      this.#lane.cut()
    }
    if (!graceful) cut()
    // A connection whose answer was already on its way when closing began falls idle later.
    const sweep = setInterval(() => {
      this.#server.closeIdleConnections()
      this.#lane.closeIdle()
    }, 10)
    const late = setTimeout(cut, this.#limits.closeMsMax)
    await closed
    clearInterval(sweep)
    clearTimeout(late)
    await (await this.#app)?.close()
  }

  /** The routes outside the hot path. */
  #rest(): Promise<FastifyInstance> {
    this.#app ??= import('./rest.ts').then(({ createRest }) => {
      const { node, version, metrics } = this.#options
      return createRest({
        facts: { node, version, metrics, isClosing: () => this.#closing },
        bodies: this.#bodies,
        limits: this.#limits,
        routed: (request) => this.#routedOf(request),
      })
    })
    return this.#app
  }

  #context(): ExchangeContext {
    return { node: this.#options.node, limits: this.#limits, closing: this.#closing }
  }

  /** From node:http, as it arrives: one after the other, so that what is asked behind a change sees it (RFC 9112 §9.3.2). */
  #receive(request: IncomingMessage, response: ServerResponse): void {
    const before = this.#current.get(request.socket)
    this.#current.set(request.socket, response)
    if (before === undefined || before.closed) this.#begin(request, response)
    else before.once('close', () => this.#begin(request, response))
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    if (response.destroyed) return
    const target = splitTarget(request.url ?? '')
    const kv = target.path.startsWith('/v1/') || target.path === '/v1'
    this.#take(request, target, {
      startedAt: performance.now(),
      isAbandoned: () => response.destroyed,
      answer: (answer, extra) => send(request, response, answer, { kv, extra }, this.#context()),
      dispatch: (asked, respond) => this.#dispatch(request, response, asked, respond),
    })
  }

  /** From the fast lane: whole, and of one key. */
  #serve(request: PlainRequest, exchange: Exchange): void {
    const target = splitTarget(request.url)
    this.#take(request, target, {
      ...exchange,
      dispatch: (asked, respond) => {
        const { body } = request
        const hot = this.#hotRoute(request.method, target)
        if (hot === undefined) throw new Error(`the fast lane took ${request.method} ${target.path}`)
        const counts = hot.takesBody && body.length > 0
        const refused = counts ? this.#bodies.refusal(body.length, VALUE_LIMITS) : undefined
        if (refused !== undefined) throw refused
        hot.handle({ ...asked, body }, respond)
      },
    })
  }

  /** What is the same on both lanes: who may ask, how long there is, and what becomes of the answer. */
  #take(head: RequestHead, target: Target, { startedAt, isAbandoned, answer, dispatch }: Taken): void {
    const { method = '', headers } = head
    const { path, query } = target
    const operation = operationOf(method, target)
    let extra: readonly string[] = []
    const respond: Respond = (result) => {
      const given = result instanceof Error ? problemAnswer(this.#refused(result)) : result
      answer(given, extra)
      this.#options.metrics.requestEnded(operation, given.status, performance.now() - startedAt)
    }
    try {
      this.#guard.checkHost(head, target)
      extra = this.#guard.checkOrigin(head)
      if (isPreflight(head, extra)) {
        respond({ status: 204, headers: PREFLIGHT_HEADERS, body: '', revision: undefined })
        return
      }
      this.#guard.checkCluster(head)
      const timeoutMs = timeoutOf(query)
      const deadline = startedAt + timeoutMs - Math.min(TRANSIT_MS_MAX, timeoutMs * TRANSIT_SHARE)
      dispatch({ method, path, query, headers, body: NO_BYTES, deadline, isAbandoned }, respond)
    } catch (error) {
      respond(asError(error))
    }
  }

  #dispatch(request: IncomingMessage, response: ServerResponse, asked: ApiRequest, respond: Respond): void {
    const { path, query } = asked
    const hot = this.#hotRoute(asked.method, asked)
    if (hot === undefined) {
      this.#routed.set(request, { asked, respond })
      request.url = query === '' ? path : `${path}?${query}`
      this.#rest().then(
        (app) => app.routing(request, response),
        (error) => respond(asError(error)),
      )
    } else if (hot.takesBody) {
      const limits = { ...VALUE_LIMITS, timeoutMs: timeLeftMs(asked) }
      const received = answering(respond, (body: Uint8Array | Refused) => {
        if (body instanceof Refused) throw body
        hot.handle({ ...asked, body }, respond)
      })
      this.#bodies.read(request, limits, received)
    } else hot.handle(asked, respond)
  }

  /** One key, or a range; undefined: not a hot route. */
  #hotRoute(method: string, { path, query }: Pick<Target, 'path' | 'query'>): HotRoute | undefined {
    const { put, del, get, range } = this.#hot
    const oneKey = path.startsWith('/v1/kv/') || (path === '/v1/kv' && namesKey(query))
    if (!oneKey && path !== '/v1/kv') return undefined
    switch (method) {
      case 'GET':
      case 'HEAD':
        return oneKey ? get : range
      case 'PUT':
        return put
      case 'DELETE':
        return del
      default:
        return undefined
    }
  }

  #routedOf(request: IncomingMessage): Routed {
    const routed = this.#routed.get(request)
    if (routed === undefined) throw new Error('a request reached fastify without coming through the front')
    return routed
  }

  /** What an error is for the client. Those that are not its own fault are reported. */
  #refused(error: unknown): Refused {
    if (error instanceof Refused) return error
    const { logger } = this.#options
    const { message, stack } = asError(error)
    logger.error({ stack }, `a request failed: ${message}`)
    return new Refused('internal', message)
  }

  /** What is not HTTP, too long a head, or a head that never ends. */
  #answerNonsense(error: Error & { readonly code?: string }, socket: Duplex): void {
    const current = this.#current.get(socket)
    if (!socket.writable || (current !== undefined && !current.writableFinished)) {
      socket.destroy()
      return
    }
    const { status, ...document } = problemDocument(new Refused('bad_request', nonsense(error, this.#limits)))
    const body = JSON.stringify({ ...document, status })
    const head = [
      `HTTP/1.1 ${status} Bad Request`,
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
    // Closed at once, the rest of what is still coming would cost the sender the answer.
    const cut = setTimeout(() => socket.destroy(), NONSENSE_LINGER_MS)
    socket.once('close', () => clearTimeout(cut))
  }
}

/** One request on its lane. */
interface Taken extends Exchange {
  readonly dispatch: (asked: ApiRequest, respond: Respond) => void
}

interface HotRoute {
  readonly takesBody: boolean
  readonly handle: Handler
}

const NO_BYTES = new Uint8Array()
const VALUE_LIMITS = { bytesMax: SETTING_RULES.valueBytesMax.max, tooLarge: 'value_too_large' } as const
const NONSENSE_LINGER_MS = 500

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

function operationOf(method: string | undefined, { path, query }: Target): Operation {
  if (path !== '/v1/kv' && !path.startsWith('/v1/kv/')) return 'other'
  if (method === 'PUT') return 'put'
  if (method === 'DELETE') return 'delete'
  return path === '/v1/kv' && !namesKey(query) ? 'range' : 'get'
}

function nonsense(
  { code, message }: Error & { readonly code?: string },
  { headBytesMax }: HttpLimits,
): string {
  if (code === 'HPE_HEADER_OVERFLOW') return `the head of a request may have ${headBytesMax} bytes`
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'the request did not arrive in time'
  return `not an HTTP request: ${message}`
}
