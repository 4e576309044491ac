// The reader of connections with plain requests, nearly all for single keys (`raw-parser.ts`), without node:http. It
// reads one request after the other, and writes each response at once. At the first request that is not plain, or that
// arrives too slowly, the connection moves to node:http with every byte that was not answered, and stays there. So
// unusual requests, slow clients and large bodies are handled in one place, which is not this file.

import type { Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'
import { errorResponse } from '../../operations/http/form.ts'
import { tooManyBodies } from '../api/budget.ts'
import { type ClientConnection, type ConnectionOwner, endGently } from '../clients/client-connection.ts'
import { WholeBody } from './body.ts'
import { findPreface } from './http2-preface.ts'
import { HttpRequest, type HttpResponse, type ResponseSink } from './messages.ts'
import { endWith } from './node-connection.ts'
import { EMPTY_LINE, RawParser, type RawRequest } from './raw-parser.ts'
import type { ResponseWriter } from './response-writer.ts'

/** How long this reader waits for the rest of a request. Many clients send head and body separately. */
export const REST_MS_MAX = 10
/**
 * Limit of bytes that a client has sent ahead of its answers. Beyond it, the connection is not read until the client
 * has taken answers.
 */
const AHEAD_BYTES_MAX = 64 * 1024
/**
 * A connection is kept a little longer than the time in `Keep-Alive`, as in node:http, so that its last request is not
 * lost.
 */
const KEEP_ALIVE_MARGIN_MS = 1_000
/** Interval of the search for idle connections. */
const SWEEP_MS_MAX = 5_000

interface RawConnectionsOptions {
  readonly keepAliveMs: number
  readonly headBytesMax: number
  /** Whether each connection ends with its next response, which has `Connection: close`. */
  readonly isClosing: () => boolean
  readonly serve: (request: HttpRequest) => void
  readonly writer: ResponseWriter
  /**
   * Takes over a connection if the request at the beginning of these bytes opens a multiplexed connection. Returns
   * whether it does.
   */
  readonly upgrade: (client: ClientConnection, bytes: Buffer) => boolean
  /** Takes over a connection. Unanswered bytes are read from `stream`, which is the socket or replaces it. */
  readonly handOver: (client: ClientConnection, stream: Duplex) => void
  /**
   * Takes over a paused connection whose unread bytes begin with the preface of HTTP/2; undefined: node:http refuses
   * it.
   */
  readonly handOverHttp2: ((client: ClientConnection) => void) | undefined
}

export class RawConnections {
  readonly #options: RawConnectionsOptions
  readonly #connections = new Set<RawConnection>()
  /** Connections that wait for the rest of a request. */
  readonly #waiting = new Set<RawConnection>()
  #restTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined

  constructor(options: RawConnectionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#connections.size
  }

  accept(client: ClientConnection): void {
    const connection = new RawConnection(client, this.#options, {
      waits: () => this.#awaitRest(connection),
      left: () => this.#removeConnection(connection),
    })
    client.serveBy(connection)
    this.#connections.add(connection)
    this.#sweepTimer ??= setInterval(
      () => this.#sweep(),
      Math.min(SWEEP_MS_MAX, this.#options.keepAliveMs),
    ).unref()
  }

  /** Ends the connections without a request since that time, on the clock of `performance.now()`. */
  closeIdle(since: number): void {
    for (const connection of this.#connections)
      if (connection.isIdle() && connection.quietSince < since) connection.end()
  }

  /** One timer for all connections. */
  #awaitRest(connection: RawConnection): void {
    this.#waiting.add(connection)
    this.#restTimer ??= setTimeout(() => {
      // Bytes that arrived while the event loop was busy are read first.
      setImmediate(() => {
        this.#restTimer = undefined
        this.#handOverOverdue()
      })
    }, REST_MS_MAX)
  }

  #handOverOverdue(): void {
    const until = performance.now() - REST_MS_MAX
    for (const connection of this.#waiting) {
      const since = connection.restAwaitedSince
      if (since !== undefined && since > until) continue
      this.#waiting.delete(connection)
      if (since !== undefined) connection.handOver()
    }
    const [next] = this.#waiting
    if (next !== undefined) this.#awaitRest(next)
  }

  #removeConnection(connection: RawConnection): void {
    this.#connections.delete(connection)
    this.#waiting.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#sweepTimer)
    clearTimeout(this.#restTimer)
    this.#sweepTimer = undefined
    this.#restTimer = undefined
  }

  #sweep(): void {
    this.closeIdle(performance.now() - this.#options.keepAliveMs - KEEP_ALIVE_MARGIN_MS)
  }
}

interface RawConnectionEvents {
  /** The rest of a request has not arrived yet. */
  readonly waits: () => void
  /** The connection is closed or handed over. */
  readonly left: () => void
}

class RawConnection implements ConnectionOwner {
  quietSince = performance.now()
  /** The time since when the rest of a request is missing. */
  restAwaitedSince: number | undefined
  readonly #client: ClientConnection
  readonly #socket: Socket
  readonly #options: RawConnectionsOptions
  readonly #events: RawConnectionEvents
  readonly #requests: RawParser
  /** Bytes that have arrived and are not part of a request that was read. */
  #received: Buffer = NOTHING
  /** When the first of these bytes arrived; undefined if that was during a request. */
  #arrivedAt: number | undefined
  #current: HttpRequest | undefined
  /** Length of its head and its body. */
  #currentBytes = 0
  /** Bytes of these that count. */
  #heldBytes = 0
  /** Its client has gone, and the node still counts the current request. */
  #giveBack: (() => void) | undefined
  /** It has sent more than there is room for: what follows the current request is dropped. */
  #isOverloaded = false
  /** A response is written, and the client has not taken all of it. */
  #isUntaken = false
  /** The response being sent has `Connection: close`. */
  #isLast = false
  /** The client has closed its side. Its requests are still answered. */
  #ended = false
  /** The loop that reads requests is running. */
  #reading = false
  /** The connection, as its requests see it. Made for the first one. */
  #sink: ResponseSink | undefined
  readonly #onDrain: () => void

  constructor(client: ClientConnection, options: RawConnectionsOptions, events: RawConnectionEvents) {
    const { socket } = client
    this.#client = client
    this.#socket = socket
    this.#options = options
    this.#events = events
    this.#requests = new RawParser(options.headBytesMax)
    this.#onDrain = () => {
      this.#isUntaken = false
      this.#answered()
    }
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose)
  }

  isIdle(): boolean {
    return !this.#busy && this.#received.length === 0
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    return this.#current !== undefined ? 'node' : this.isIdle() ? 'nothing' : 'client'
  }

  end(): void {
    endGently(this.#socket)
  }

  /** The next request is read when the last one is answered and its answer is taken. */
  get #busy(): boolean {
    return this.#current !== undefined || this.#isUntaken
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#socket.writable || this.#isOverloaded) return
    if (this.#received.length > 0) this.#received = Buffer.concat([this.#received, chunk])
    else {
      this.#received = chunk
      this.#arrivedAt = this.#busy ? undefined : performance.now()
    }
    if (this.#busy) this.#setPace()
    else this.#readRequests()
    if (this.#count()) return
    // Node:http reads the head first, and with it the user, who has room.
    if (!this.#client.isKnown && !this.#busy && this.#received.includes(EMPTY_LINE)) this.handOver()
    else this.#refuseMore()
  }

  /** Returns false if there is no room for what the client has sent. */
  #count(): boolean {
    const bytes = this.#received.length + this.#currentBytes
    const isHeld = this.#client.tryHold(bytes - this.#heldBytes)
    if (isHeld) this.#heldBytes = bytes
    return isHeld
  }

  /** Drops an incomplete request. The current one is still answered. */
  #refuseMore(): void {
    this.#isOverloaded = true
    this.#received = NOTHING
    this.#count()
    if (!this.#busy) endWith(this.#socket, tooManyBodies())
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    if (!this.#busy) this.#readRequests()
  }

  readonly #onClose = (): void => {
    this.#events.left()
    this.#received = NOTHING
    this.#current?.withdraw?.()
    // A change is still made.
    if (this.#current !== undefined) this.#giveBack = this.#client.outlive(this.#currentBytes)
  }

  /**
   * Reads and serves requests until one is not answered at once, the client has not taken its answers, or nothing more
   * can be read.
   */
  #readRequests(): void {
    const socket = this.#socket
    this.#reading = true
    while (!this.#busy && this.#received.length > 0 && socket.writable) {
      const request = this.#beginsHttp2() ? 'incomplete' : this.#requests.read(this.#received)
      if (request === 'uncommon' || (request === 'incomplete' && this.#ended)) {
        this.handOver()
        return
      }
      if (request === 'incomplete') {
        this.restAwaitedSince ??= performance.now()
        this.#events.waits()
        break
      }
      this.#received =
        request.bytes === this.#received.length ? NOTHING : this.#received.subarray(request.bytes)
      this.#serve(request)
    }
    this.#reading = false
    if (this.#ended && !this.#busy && this.#received.length === 0) socket.end()
    else this.#setPace()
  }

  /** Whether its first bytes may become the preface of HTTP/2. The client has as much time as for any first request. */
  #beginsHttp2(): boolean {
    return this.#findPreface() === 'part' && !this.#ended
  }

  #findPreface(): 'whole' | 'part' | undefined {
    // A connection that has made a request has a sink.
    if (this.#sink !== undefined || this.#options.handOverHttp2 === undefined) return undefined
    return findPreface(this.#received)
  }

  /** A connection whose client is far ahead of its answers is not read. */
  #setPace(): void {
    const socket = this.#socket
    const ahead = this.#busy && this.#received.length > AHEAD_BYTES_MAX
    if (ahead === socket.isPaused()) return
    if (ahead) socket.pause()
    else socket.resume()
  }

  #serve(request: RawRequest): void {
    const startedAt = this.#arrivedAt ?? performance.now()
    this.#arrivedAt = undefined
    this.restAwaitedSince = undefined
    const { serve } = this.#options
    this.#currentBytes = request.bytes
    const socket = this.#socket
    this.#sink ??= { isAbandoned: () => socket.destroyed, send: this.#send }
    const body = new WholeBody(request.body)
    this.#current = new HttpRequest(request, body, this.#client, startedAt, this.#sink)
    if (this.#count()) serve(this.#current)
    else this.#send(this.#current, errorResponse(tooManyBodies()))
  }

  readonly #send = (request: HttpRequest, response: HttpResponse): void => {
    const socket = this.#socket
    // The client would take a second response for the response to its next request.
    if (request !== this.#current) return
    this.#current = undefined
    this.#currentBytes = 0
    this.#count()
    this.#giveBack?.()
    if (!socket.writable) return
    const { writer, isClosing } = this.#options
    const { method, extra, isUnauthenticated } = request
    this.#isLast = isClosing() || this.#isOverloaded || isUnauthenticated
    this.#isUntaken = !writer.writeToSocket(socket, method, response, extra, this.#onDrain, this.#isLast)
    if (!this.#isUntaken) this.#answered()
  }

  /** The answer is taken. */
  #answered(): void {
    this.quietSince = performance.now()
    if (this.#isLast) this.end()
    else if (this.#isOverloaded) endWith(this.#socket, tooManyBodies())
    else if (!this.#reading) this.#readRequests()
  }

  /** Moves the connection to node:http, with all bytes that are not answered. */
  handOver(): void {
    const socket = this.#socket
    if (socket.destroyed || this.#beginsHttp2()) return
    const handOverHttp2 = this.#findPreface() && this.#options.handOverHttp2
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    this.#events.left()
    const bytes = this.#received
    this.#received = NOTHING
    this.#count()
    if (this.#options.upgrade(this.#client, bytes)) return
    if (handOverHttp2 !== undefined && !this.#ended) {
      socket.pause()
      socket.unshift(bytes)
      handOverHttp2(this.#client)
      return
    }
    if (this.#ended) {
      // A stream that has ended accepts no bytes back, and emits no second `end`.
      const received = Readable.from([bytes], { objectMode: false })
      this.#options.handOver(this.#client, Duplex.from({ readable: received, writable: socket }))
      return
    }
    // The bytes are put back while the socket is paused, so the next owner receives them before newer bytes.
    socket.pause()
    socket.unshift(bytes)
    this.#options.handOver(this.#client, socket)
    socket.resume()
  }
}

const NOTHING = Buffer.alloc(0)
