// Connections of clients that only read and write single keys, without node:http, whose objects, streams and timers
// cost more than all other work of the front for a small write. The lane reads plain requests (`plain-request.ts`), one
// after the other, and writes each answer at once. At the first request that is not plain, or whose rest takes too long
// to arrive, the connection moves to node:http and stays there, with every byte that was not answered. So unusual
// requests, slow clients and large bodies are handled in one place, which is not this file.

import type { Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'
import type { Answer } from './answer.ts'
import { type Connections, endGently, type Owner } from './connections.ts'
import { RawParser, type RawRequest } from './raw-parser.ts'

/** How long the lane waits for the rest of a request. Many clients send head and body separately. */
export const REST_MS_MAX = 10
/**
 * Limit of bytes that a client has sent ahead of its answers. Beyond it, the connection is not read until the client
 * has taken answers.
 */
const AHEAD_BYTES_MAX = 64 * 1024
/**
 * As in node:http, a connection is kept a little longer than the client is told, so that its last request is not lost.
 */
const KEEP_ALIVE_MARGIN_MS = 1_000
/** How often the lane looks for idle connections. */
const SWEEP_MS_MAX = 5_000

export interface RawConnectionsOptions {
  readonly keepAliveMs: number
  readonly headBytesMax: number
  readonly connections: Connections
  /** Each connection ends with its next answer, which has `Connection: close`. */
  readonly isClosing: () => boolean
  readonly serve: (request: RawRequest, exchange: RequestExchange) => void
  /**
   * Writes an answer. Returns whether the kernel has taken all of it. If not, `taken` is called once, later: when the
   * kernel has taken it, or the connection is gone.
   */
  readonly send: (
    socket: Socket,
    request: RawRequest,
    answer: Answer,
    extra: readonly string[],
    taken: () => void,
  ) => boolean
  /**
   * Takes over a connection whose next request, at the beginning of these bytes, opens a multiplexed connection.
   * Returns whether it does.
   */
  readonly upgrade: (socket: Socket, bytes: Buffer) => boolean
  /** Takes over a connection. Unanswered bytes are read from `stream`, which is the socket or replaces it. */
  readonly handOver: (socket: Socket, stream: Duplex) => void
}

/** A request that is not answered yet. */
export interface RequestExchange {
  /** When its first byte arrived, on the clock of `performance.now()`. */
  readonly startedAt: number
  readonly isAbandoned: () => boolean
  /** Called once, now or later. `extra`: headers for this client. */
  readonly answer: (answer: Answer, extra: readonly string[]) => void
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

  accept(socket: Socket): void {
    const connection = new RawConnection(socket, this.#options, {
      waits: () => this.#awaitRest(connection),
      left: () => this.#left(connection),
    })
    this.#options.connections.watch(socket, connection)
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
      // What arrived while the event loop was busy is read first.
      setImmediate(() => {
        this.#restTimer = undefined
        this.#handOverLate()
      })
    }, REST_MS_MAX)
  }

  #handOverLate(): void {
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

  #left(connection: RawConnection): void {
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

interface ConnectionOwner {
  /** The rest of a request has not arrived yet. */
  readonly waits: () => void
  /** Closed or handed over. */
  readonly left: () => void
}

class RawConnection implements Owner {
  quietSince = performance.now()
  /** When the lane began to wait for the rest of a request. */
  restAwaitedSince: number | undefined
  readonly #socket: Socket
  readonly #options: RawConnectionsOptions
  readonly #owner: ConnectionOwner
  readonly #requests: RawParser
  /** Bytes that have arrived and are not part of a request that was read. */
  #arrived: Buffer = NOTHING
  /** When the first of these bytes arrived; undefined if that was during a request. */
  #arrivedAt: number | undefined
  #underWay = false
  /** An answer is written, and the client has not taken all of it. */
  #untaken = false
  /** The last answer has `Connection: close`. */
  #isLast = false
  /** The client has closed its side. Its requests are still answered. */
  #ended = false
  /** The loop that reads requests is running. */
  #reading = false
  readonly #isAbandoned: () => boolean
  readonly #onTaken: () => void

  constructor(socket: Socket, options: RawConnectionsOptions, owner: ConnectionOwner) {
    this.#socket = socket
    this.#options = options
    this.#owner = owner
    this.#requests = new RawParser(options.headBytesMax)
    this.#isAbandoned = () => socket.destroyed
    this.#onTaken = () => {
      this.#untaken = false
      this.#answered()
    }
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', owner.left)
  }

  isIdle(): boolean {
    return !this.#busy && this.#arrived.length === 0
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    return this.#underWay ? 'node' : this.isIdle() ? 'nothing' : 'client'
  }

  end(): void {
    endGently(this.#socket)
  }

  /** The next request is read when the last one is answered and its answer is taken. */
  get #busy(): boolean {
    return this.#underWay || this.#untaken
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#socket.writable) return
    if (this.#arrived.length > 0) this.#arrived = Buffer.concat([this.#arrived, chunk])
    else {
      this.#arrived = chunk
      this.#arrivedAt = this.#busy ? undefined : performance.now()
    }
    if (this.#busy) this.#pace()
    else this.#readOn()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    if (!this.#busy) this.#readOn()
  }

  /**
   * Reads and serves requests until one is not answered at once, the client has not taken its answers, or nothing more
   * can be read.
   */
  #readOn(): void {
    const socket = this.#socket
    this.#reading = true
    while (!this.#busy && this.#arrived.length > 0 && socket.writable) {
      const request = this.#requests.read(this.#arrived)
      if (request === 'uncommon' || (request === 'incomplete' && this.#ended)) {
        this.handOver()
        return
      }
      if (request === 'incomplete') {
        this.restAwaitedSince ??= performance.now()
        this.#owner.waits()
        break
      }
      this.#arrived = request.bytes === this.#arrived.length ? NOTHING : this.#arrived.subarray(request.bytes)
      this.#serve(request)
    }
    this.#reading = false
    if (this.#ended && !this.#busy && this.#arrived.length === 0) socket.end()
    else this.#pace()
  }

  /** A connection whose client is far ahead of its answers is not read. */
  #pace(): void {
    const socket = this.#socket
    const ahead = this.#busy && this.#arrived.length > AHEAD_BYTES_MAX
    if (ahead === socket.isPaused()) return
    if (ahead) socket.pause()
    else socket.resume()
  }

  #serve(request: RawRequest): void {
    const startedAt = this.#arrivedAt ?? performance.now()
    this.#arrivedAt = undefined
    this.restAwaitedSince = undefined
    this.#underWay = true
    let answered = false
    const answer: RequestExchange['answer'] = (given, extra) => {
      const socket = this.#socket
      // The client would take a second answer for the answer to its next request.
      if (answered) return
      answered = true
      this.#underWay = false
      if (!socket.writable) return
      this.#isLast = this.#options.isClosing()
      this.#untaken = !this.#options.send(socket, request, given, extra, this.#onTaken)
      if (!this.#untaken) this.#answered()
    }
    this.#options.serve(request, { startedAt, isAbandoned: this.#isAbandoned, answer })
  }

  /** The answer is taken. */
  #answered(): void {
    this.quietSince = performance.now()
    if (this.#isLast) this.end()
    else if (!this.#reading) this.#readOn()
  }

  /** The connection stays elsewhere; all bytes that are not answered go with it. */
  handOver(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#owner.left)
    this.#owner.left()
    if (this.#options.upgrade(socket, this.#arrived)) return
    if (this.#ended) {
      // A stream that has ended accepts no bytes back, and emits no second `end`.
      const arrived = Readable.from([this.#arrived], { objectMode: false })
      this.#options.handOver(socket, Duplex.from({ readable: arrived, writable: socket }))
      return
    }
    // The bytes are put back while nobody reads, so the next owner receives them before newer bytes.
    socket.pause()
    socket.unshift(this.#arrived)
    this.#options.handOver(socket, socket)
    socket.resume()
  }
}

const NOTHING = Buffer.alloc(0)
