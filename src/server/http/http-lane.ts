// Connections that node:http reads: everything that is not plain. It starts whatever has arrived; here requests wait
// for their turn, one after the other on each connection, and what node:http cannot read is answered behind all that it
// could.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { http } from '../../node-http.ts'
import { problemAnswer } from './answer.ts'
import { type Bodies, Body } from './body.ts'
import { type Connections, endGently, type Owner } from './connections.ts'
import { METHODS } from './guard.ts'
import type { HttpLimits } from './limits.ts'
import { Refused } from './problem.ts'

export interface HttpLaneOptions {
  readonly limits: HttpLimits
  readonly connections: Connections
  readonly bodies: Bodies
  /** A request whose turn it is. */
  readonly serve: (arrived: Arrived) => void
}

/** One request on node:http. */
export interface Arrived {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Body
}

/**
 * Requests that wait for their turn on one connection, and bytes of bodies that nobody has asked for; beyond, it is not
 * read.
 */
const AHEAD_REQUESTS_MAX = 16
const AHEAD_BYTES_MAX = 64 * 1024

export class HttpLane {
  readonly server: Server
  readonly #options: HttpLaneOptions
  readonly #takeOver: readonly ((stream: Duplex) => void)[]
  readonly #of = new WeakMap<Duplex, HttpConnection>()
  readonly #closeIdle: () => void
  /** Node:http is looking for idle connections: those that have been so since then are ended. */
  #idleSince: number | undefined

  constructor(options: HttpLaneOptions) {
    const { limits } = options
    this.#options = options
    const receive = (request: IncomingMessage, response: ServerResponse, goOn = () => {}): void =>
      this.#connection(request.socket).receive(request, response, goOn)
    this.server = http.createServer(
      {
        maxHeaderSize: limits.headBytesMax,
        keepAliveTimeout: limits.keepAliveMs,
        // A missing Host header is answered like every other fault.
        requireHostHeader: false,
      },
      (request, response) => receive(request, response),
    )
    // A client that sends no more is still answered what it has asked.
    Object.assign(this.server, { httpAllowHalfOpen: true })
    // The bytes of a head are bounded, not its fields: some versions of Node drop those beyond a number in silence,
    // conditions among them.
    this.server.maxHeadersCount = 0
    this.#closeIdle = this.server.closeIdleConnections.bind(this.server)
    // Its close() calls this, at once.
    this.server.closeIdleConnections = () => {}
    // Connections are the fast lane's until it gives them to node:http.
    this.#takeOver = this.server.listeners('connection') as ((stream: Duplex) => void)[]
    this.server.removeAllListeners('connection')
    // "100 Continue" is said when the body is going to be read.
    this.server.on('checkContinue', (request, response) =>
      receive(request, response, () => response.writeContinue()),
    )
    // An expectation that we do not know is not met, and no reason to refuse.
    this.server.on('checkExpectation', (request, response) => receive(request, response))
    this.server.on('clientError', (error, stream) => {
      // A client that has gone needs no words.
      if (stream.writable) this.#connection(stream).endBroken(asRefused(error, limits))
    })
    this.server.on('connect', (_, stream) => {
      const refused = new Refused('method_not_allowed', 'this is no proxy', { headers: ['Allow', METHODS] })
      this.#connection(stream).endBroken(refused)
    })
  }

  /** From the fast lane. `stream` is the socket, or stands for it. */
  adopt(socket: Socket, stream: Duplex): void {
    const connection = new HttpConnection(socket, stream, this.#options)
    this.#of.set(stream, connection)
    stream.on('error', () => {})
    // How node:http closes a connection behind its last answer.
    Object.assign(stream, { destroySoon: () => connection.end() })
    const destroy = stream.destroy.bind(stream)
    stream.destroy = (error) => {
      if (this.#idleSince === undefined) return destroy(error)
      if (connection.quietSince < this.#idleSince) connection.end()
      return stream
    }
    this.#options.connections.watch(socket, connection)
    for (const listener of this.#takeOver) listener.call(this.server, stream)
  }

  /**
   * Ends the connections on which nothing is under way, nor was since then, on the clock of `performance.now()`.
   * Node:http knows which those are, and would cut them off, whatever is on its way to their clients; so it would those
   * that end.
   */
  closeIdle(since: number): void {
    this.#idleSince = since
    this.#closeIdle()
    this.#idleSince = undefined
  }

  #connection(stream: Duplex): HttpConnection {
    const connection = this.#of.get(stream)
    if (connection === undefined) throw new Error('node:http has a connection that nobody gave it')
    return connection
  }
}

class HttpConnection implements Owner {
  quietSince = performance.now()
  readonly #socket: Socket
  readonly #stream: Duplex
  readonly #options: HttpLaneOptions
  /** Whose turn it is. */
  #current: Arrived | undefined
  readonly #waiting: Arrived[] = []
  #pacing = false
  /** The client is so far ahead that it is not read. */
  #isAhead = false
  /** Bytes that had come when the last answer left. A connection begins with something that is not answered. */
  #quietBytes = -1
  /** Nothing more can be read. */
  #broken = false
  /** Comes behind all answers. */
  #lastWords: Refused | undefined

  constructor(socket: Socket, stream: Duplex, options: HttpLaneOptions) {
    this.#socket = socket
    this.#stream = stream
    this.#options = options
    stream.once('close', () => this.#forget())
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    if (this.#current === undefined)
      return this.#broken || this.#socket.bytesRead !== this.#quietBytes ? 'client' : 'nothing'
    return this.#current.request.complete && this.#stream.writableLength === 0 ? 'node' : 'client'
  }

  end(refused?: Refused): void {
    endWith(this.#stream, refused)
  }

  /** What is asked behind a change sees it (RFC 9112 §9.3.2). */
  receive(request: IncomingMessage, response: ServerResponse, goOn: () => void): void {
    const body = new Body({ request, bodies: this.#options.bodies, goOn, held: this.#paceSoon })
    // No other protocol is spoken here. But the parser takes what came together with the end of such a request for one,
    // and drops it: what it reads then may begin within a value. So that nobody waits for what was dropped, the answer
    // ends the connection.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
    this.#waiting.push({ request, response, body })
    if (this.#current === undefined) this.#next()
    else if (!this.#stream.writable) this.#forget()
    else if (this.#waiting.length >= AHEAD_REQUESTS_MAX) this.#paceSoon()
  }

  /** Later than node:http, which reads on behind each request and each chunk. */
  readonly #paceSoon = (): void => {
    if (!this.#pacing) setImmediate(this.#pace)
    this.#pacing = true
  }

  readonly #pace = (): void => {
    this.#pacing = false
    const wasAhead = this.#isAhead
    let heldBytes = this.#current?.body.heldBytes ?? 0
    for (const { body } of this.#waiting) heldBytes += body.heldBytes
    this.#isAhead = this.#waiting.length >= AHEAD_REQUESTS_MAX || heldBytes > AHEAD_BYTES_MAX
    if (this.#isAhead) this.#stream.pause()
    else if (wasAhead) this.#stream.resume()
  }

  /** What has not been answered will not be. */
  #forget(): void {
    for (const { body } of this.#waiting.splice(0)) body.drop()
    if (this.#isAhead) this.#paceSoon()
  }

  /** Nothing more can be read. Who sent it is told so behind the answers to all that came before. */
  endBroken(refused: Refused): void {
    // The parser complains of each piece behind what it could not read.
    if (this.#broken) return
    this.#broken = true
    const newest = this.#waiting.at(-1) ?? this.#current
    if (newest !== undefined && !newest.request.complete) {
      newest.body.break(refused)
      return
    }
    this.#lastWords = refused
    if (newest === undefined) this.end(refused)
  }

  /** Before node:http closes the connection of a client that sends no more. */
  readonly #onFinish = (): void => {
    if (this.#lastWords !== undefined && this.#waiting.length === 0) this.end(this.#lastWords)
  }

  #next(): void {
    this.#current = this.#waiting.shift()
    if (this.#current === undefined) {
      this.quietSince = performance.now()
      this.#quietBytes = this.#socket.bytesRead
      if (this.#broken) this.end(this.#lastWords)
      return
    }
    // Behind an answer that ends the connection nothing is done any more (RFC 9112 §9.6).
    if (!this.#stream.writable) {
      this.#current.body.drop()
      this.#forget()
      return
    }
    if (this.#isAhead) this.#paceSoon()
    this.#current.response.prependOnceListener('finish', this.#onFinish).once('close', () => this.#next())
    this.#options.serve(this.#current)
  }
}

/** Ends a connection, with an answer that node:http does not write. */
export const endWith = (stream: Duplex, refused: Refused | undefined): void =>
  endGently(stream, refused && lastAnswer(refused))

function lastAnswer(refused: Refused): string {
  const { status, headers, body } = problemAnswer(refused)
  const lines = [`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  lines.push(`Content-Length: ${Buffer.byteLength(String(body))}`, 'Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

function asRefused(
  { code, message }: Error & { readonly code?: string },
  { headBytesMax }: HttpLimits,
): Refused {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new Refused('bad_request', `the head of a request may have ${headBytesMax} bytes`)
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Refused('bad_request', 'the request did not arrive in time')
  return new Refused('bad_request', `not an HTTP request: ${message}`)
}
