// The reader of all other connections, which uses node:http. Node:http emits every request that has arrived. Here the
// requests of one connection are served one after the other. The error for bytes that node:http cannot read follows the
// answers to all requests before them.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../operations/forms/index.ts'
import { errorResponse, HttpError, type WholeResponse } from '../../operations/http/form.ts'
import { http } from '../../system/node-http.ts'
import { FREE_BYTES, tooManyBodies } from '../api/budget.ts'
import type { ApiLimits } from '../api/limits.ts'
import { type ClientConnection, type ConnectionOwner, endGently } from '../clients/client-connection.ts'
import { METHODS } from '../clients/guard.ts'
import type { ConnectionLimits } from '../clients/limits.ts'
import { type IncomingRequest, NodeBody } from './body.ts'
import { HttpRequest, isStreamed } from './messages.ts'
import type { ResponseWriter } from './response-writer.ts'

interface NodeConnectionsOptions {
  readonly limits: ConnectionLimits & Pick<ApiLimits, 'unauthenticatedBodyMs'>
  /** Serves a request when the requests before it on its connection are answered. */
  readonly serve: (request: HttpRequest) => void
  readonly writer: ResponseWriter
}

/**
 * Limits of requests that wait on one connection, and of bytes of bodies that are not requested yet. Beyond them, the
 * connection is not read.
 */
const AHEAD_REQUESTS_MAX = 16
const AHEAD_BYTES_MAX = 64 * 1024

/** Interval of the search for heads that are late. */
const CHECK_MS_MAX = 1_000

export class NodeConnections {
  readonly server: Server
  readonly #options: NodeConnectionsOptions
  readonly #takeOver: readonly ((stream: Duplex) => void)[]
  readonly #of = new WeakMap<Duplex, NodeConnection>()
  readonly #closeIdle: () => void
  /** Set while node:http searches for idle connections: those that have been idle since then are ended. */
  #idleSince: number | undefined

  constructor(options: NodeConnectionsOptions) {
    const { limits } = options
    this.#options = options
    const receive = (request: IncomingMessage, response: ServerResponse, sendContinue = () => {}): void => {
      this.#connection(request.socket).receive(request, response, sendContinue)
    }
    this.server = http.createServer(
      {
        maxHeaderSize: limits.headBytesMax,
        keepAliveTimeout: limits.keepAliveMs,
        headersTimeout: limits.headMs,
        // Bodies have limits of their own. The requests of a stream may arrive for as long as it lives.
        requestTimeout: 0,
        connectionsCheckingInterval: Math.min(CHECK_MS_MAX, limits.headMs / 2),
        // The guard reports a missing Host header, like other faults.
        requireHostHeader: false,
      },
      (request, response) => receive(request, response),
    )
    // A client that has closed its side still receives its answers.
    Object.assign(this.server, { httpAllowHalfOpen: true })
    // The bytes of a head are limited, not the number of its fields: some versions of Node drop fields beyond that
    // number without an error, and a condition may be one of them.
    this.server.maxHeadersCount = 0
    this.#closeIdle = this.server.closeIdleConnections.bind(this.server)
    // Its close() calls this at once.
    this.server.closeIdleConnections = () => {}
    // The raw reader owns a connection until it passes it to node:http.
    this.#takeOver = this.server.listeners('connection') as ((stream: Duplex) => void)[]
    this.server.removeAllListeners('connection')
    // "100 Continue" is sent when the body is about to be read.
    this.server.on('checkContinue', (request, response) =>
      receive(request, response, () => response.writeContinue()),
    )
    // An unknown expectation is ignored; it is no reason to refuse.
    this.server.on('checkExpectation', (request, response) => receive(request, response))
    this.server.on('clientError', (error, stream) => {
      // A client that is gone needs no answer.
      if (stream.writable) this.#connection(stream).endBroken(errorOfParser(error, limits))
    })
    this.server.on('connect', (_, stream) => {
      const error = new HttpError('method_not_allowed', 'this is no proxy', ['Allow', METHODS])
      this.#connection(stream).endBroken(error)
    })
  }

  /** Takes over a connection of the raw reader. `stream` is the socket, or replaces it. */
  adopt(client: ClientConnection, stream: Duplex): void {
    const connection = new NodeConnection(client, stream, this.#options)
    this.#of.set(stream, connection)
    stream.on('error', () => {})
    // Node:http calls this to close a connection after its last answer.
    Object.assign(stream, { destroySoon: () => connection.end() })
    const destroy = stream.destroy.bind(stream)
    stream.destroy = (error) => {
      if (this.#idleSince === undefined) return destroy(error)
      if (connection.quietSince < this.#idleSince) connection.end()
      return stream
    }
    client.serveBy(connection)
    for (const listener of this.#takeOver) listener.call(this.server, stream)
    connection.countIncomplete()
  }

  /**
   * Ends the connections without a request since that time, on the clock of `performance.now()`. Node:http knows which
   * these are. But it would destroy them, and with them answers that are on their way to the clients.
   */
  closeIdle(since: number): void {
    this.#idleSince = since
    this.#closeIdle()
    this.#idleSince = undefined
  }

  #connection(stream: Duplex): NodeConnection {
    const connection = this.#of.get(stream)
    if (connection === undefined) throw new Error('node:http has a connection that it was not given')
    return connection
  }
}

class NodeConnection implements ConnectionOwner {
  quietSince = performance.now()
  readonly #client: ClientConnection
  readonly #socket: Socket
  readonly #stream: Duplex
  readonly #options: NodeConnectionsOptions
  /** The request that is being served. */
  #current: IncomingRequest | undefined
  readonly #waiting: IncomingRequest[] = []
  #pacing = false
  /** The client is too far ahead, so the connection is not read. */
  #isAhead = false
  /** Bytes that had arrived when the last answer was written. A connection begins with unanswered bytes. */
  #quietBytes = -1
  /** Nothing more can be read. */
  #broken = false
  /** The client has sent more ahead of an answer than there is room for. */
  #isOverloaded = false
  /** The current answer is a watch: what is sent behind it would wait in vain. */
  #isEndless = false
  /** Sent after all answers. */
  #lastError: ApiError | undefined
  /** Bytes of heads, and of bodies that have arrived. */
  #headBytes = 0
  #bodyBytes = 0
  /** Bytes of the last chunks that are neither, such as half a head. */
  #incompleteBytes = 0

  constructor(client: ClientConnection, stream: Duplex, options: NodeConnectionsOptions) {
    this.#client = client
    this.#socket = client.socket
    this.#stream = stream
    this.#options = options
    stream.once('close', () => this.#forget())
  }

  /**
   * Counts what node:http keeps unseen: heads and trailers whose rest is missing. Without a listener for `data`,
   * node:http would read from the handle, where nobody sees it.
   */
  countIncomplete(): void {
    let before = 0
    // After the parser, which has read what is complete in this chunk.
    this.#stream.on('data', ({ length }: Buffer) => {
      // The parser keeps nothing after an error.
      if (this.#broken) return
      const parsed = this.#parsedBytes
      const rest = Math.max(0, length - (parsed - before))
      this.#incompleteBytes = parsed > before ? rest : this.#incompleteBytes + rest
      before = parsed
      if (!this.#holdIncomplete()) this.#refuseMore()
    })
  }

  /** Bytes of which node:http has made requests. It emits those of a body later. */
  get #parsedBytes(): number {
    let bytes = this.#headBytes + this.#bodyBytes + (this.#current?.request.readableLength ?? 0)
    for (const { request } of this.#waiting) bytes += request.readableLength
    return bytes
  }

  #holdIncomplete(): boolean {
    const bytes = this.#incompleteBytes
    return this.#client.holdHead(bytes, memoryOfHead(bytes))
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    if (this.#current === undefined)
      return this.#broken || this.#socket.bytesRead !== this.#quietBytes ? 'client' : 'nothing'
    return this.#current.request.complete && this.#stream.writableLength === 0 ? 'node' : 'client'
  }

  end(error?: ApiError): void {
    endWith(this.#stream, error)
  }

  /** A request after a change must see the change (RFC 9112 §9.3.2). */
  receive(request: IncomingMessage, response: ServerResponse, sendContinue: () => void): void {
    const body = new NodeBody({
      request,
      connection: this.#client,
      drain: this.#options.limits,
      sendContinue,
      arrived: (bytes) => {
        this.#bodyBytes += bytes
      },
      held: this.#paceSoon,
    })
    // This server speaks no other protocol. But the parser treats bytes that arrive together with the end of an upgrade
    // request as another protocol and drops them; what it reads next may begin inside a value. So the answer ends the
    // connection, and no client waits for an answer to dropped bytes.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
    const length = countHeadBytes(request)
    this.#headBytes += length
    this.#incompleteBytes = 0
    this.#holdIncomplete()
    const memory = memoryOfHead(length)
    const isRefused = !this.#client.tryHold(memory)
    const headBytes = isRefused ? 0 : memory
    const isBehind = this.#current !== undefined
    if (isBehind && this.#isEndless) this.#stream.destroy()
    else if (isBehind && (isRefused || this.#isOverloaded)) {
      body.drop()
      this.#client.release(headBytes)
      this.#refuseMore()
      return
    }
    this.#waiting.push({ request, response, body, isRefused, headBytes })
    if (!isBehind) this.#next()
    else if (!this.#stream.writable) this.#forget()
    else if (this.#waiting.length >= AHEAD_REQUESTS_MAX) this.#paceSoon()
  }

  /** There is no room for what follows the accepted requests. It is dropped, and their answers are the last ones. */
  #refuseMore(): void {
    this.#isOverloaded = true
    this.endBroken(tooManyBodies())
    this.#paceSoon()
  }

  /** Deferred, because node:http resumes reading after each request and each chunk. */
  readonly #paceSoon = (): void => {
    if (!this.#pacing) setImmediate(this.#pace)
    this.#pacing = true
  }

  readonly #pace = (): void => {
    this.#pacing = false
    const wasAhead = this.#isAhead
    let heldBytes = this.#current?.body.heldBytes ?? 0
    for (const { body } of this.#waiting) heldBytes += body.heldBytes
    const ends = this.#isOverloaded && this.#stream.writable
    this.#isAhead = ends || this.#waiting.length >= AHEAD_REQUESTS_MAX || heldBytes > AHEAD_BYTES_MAX
    if (this.#isAhead) this.#stream.pause()
    else if (wasAhead) this.#stream.resume()
  }

  /** The connection is gone. Requests without an answer will not get one. */
  #forget(): void {
    for (const { body } of this.#waiting.splice(0)) body.drop()
    if (this.#isAhead) this.#paceSoon()
  }

  /** Nothing more can be read. The error follows the answers to all requests before. */
  endBroken(error: ApiError): void {
    // The parser reports an error again for each later piece.
    if (this.#broken) return
    this.#broken = true
    this.#client.holdHead(0)
    const newest = this.#waiting.at(-1) ?? this.#current
    if (newest !== undefined && !newest.request.complete) {
      newest.body.break(error)
      return
    }
    this.#lastError = error
    if (newest === undefined) this.end(error)
  }

  /** Called before node:http closes the connection of a client that has closed its side. */
  readonly #onFinish = (): void => {
    if (this.#lastError !== undefined && this.#waiting.length === 0) this.end(this.#lastError)
    // A stream has ended before its requests, and nothing limits what its client still sends.
    else if (this.#current?.request.complete === false) this.end()
  }

  #next(): void {
    this.#client.release(this.#current?.headBytes ?? 0)
    this.#isEndless = false
    this.#current = this.#waiting.shift()
    if (this.#current === undefined) {
      this.quietSince = performance.now()
      this.#quietBytes = this.#socket.bytesRead
      if (this.#broken) this.end(this.#lastError)
      return
    }
    // After an answer that ends the connection, no request is served (RFC 9112 §9.6).
    if (!this.#stream.writable) {
      this.#current.body.drop()
      this.#forget()
      return
    }
    if (this.#isAhead) this.#paceSoon()
    this.#current.response.prependOnceListener('finish', this.#onFinish).once('close', () => this.#next())
    this.#serve(this.#current)
  }

  #serve(incoming: IncomingRequest): void {
    const { request, response, body, isRefused } = incoming
    const { method = '', url = '', httpVersion, headers } = request
    const hosts = request.headersDistinct.host?.length ?? 0
    const { serve, writer, limits } = this.#options
    const unauthenticatedDrain = {
      drainBytesMax: limits.unauthenticatedDrainBytesMax,
      drainMsMax: limits.unauthenticatedBodyMs,
    }
    let giveBack = (): void => {}
    const served = new HttpRequest(
      { method, url, httpVersion, headers, hosts },
      body,
      this.#client,
      performance.now(),
      {
        isAbandoned: () => response.destroyed,
        send: ({ extra, isUnauthenticated }, answer) => {
          giveBack()
          if (isUnauthenticated) response.shouldKeepAlive = false
          if (!this.#client.isKnown || isUnauthenticated) body.limitDrain(unauthenticatedDrain)
          writer.writeToNode(incoming, answer, extra, isUnauthenticated)
          this.#isEndless = isStreamed(answer.body) && !response.writableEnded
          if (this.#isEndless && this.#waiting.length > 0) this.#stream.destroy()
        },
      },
    )
    response.once('close', () => {
      served.withdraw?.()
      // Its client has gone, and the change is still made.
      if (!served.isAnswered) giveBack = this.#client.outlive(incoming.headBytes + body.readBytes)
    })
    if (!isRefused) {
      serve(served)
      return
    }
    response.shouldKeepAlive = false
    served.sink.send(served, errorResponse(tooManyBodies()))
  }
}

/** Node:http takes up to so many times the length of a large head. */
const HEAD_MEMORY = 10

/** Memory that a head of so many bytes takes, as it counts. A usual head has no need of it. */
const memoryOfHead = (bytes: number): number => (bytes > FREE_BYTES ? HEAD_MEMORY * bytes : bytes)

/** Length of a head without optional spaces. */
function countHeadBytes({ method = '', url = '', rawHeaders }: IncomingMessage): number {
  let bytes = method.length + url.length + '  HTTP/1.1\r\n\r\n'.length
  // Each name and each value, with a colon or the end of a line behind it.
  for (let i = 0; i < rawHeaders.length; i++) bytes += (rawHeaders[i]?.length ?? 0) + 1 + (i % 2)
  return bytes
}

/** Ends a connection, with a response that node:http does not write. */
export const endWith = (
  stream: Duplex,
  error: ApiError | undefined,
  response: WholeResponse | undefined = error && errorResponse(error),
): void => endGently(stream, response && lastAnswer(response))

function lastAnswer({ status, headers, body }: WholeResponse): string {
  const lines = [`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  lines.push(`Content-Length: ${Buffer.byteLength(String(body))}`, 'Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

function errorOfParser(
  { code, message }: Error & { readonly code?: string },
  { headBytesMax }: ConnectionLimits,
): ApiError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ApiError('bad_request', `the head of a request may have ${headBytesMax} bytes`)
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ApiError('bad_request', 'the request did not arrive in time')
  return new ApiError('bad_request', `not an HTTP request: ${message}`)
}
