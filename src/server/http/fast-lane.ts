// Connections of clients that do nothing but read and write single keys, without node:http: its objects, streams and timers cost more than
// everything else the front does for a small write. The lane reads plain requests (`plain-request.ts`), one after the other, and writes each
// answer at once. At the first request that is not plain, or whose rest keeps it waiting, the connection goes to node:http for good, with
// every byte that has not been answered. So there is one judge of odd requests, slow clients and large bodies, and it is not this file.

import type { Socket } from 'node:net'
import type { Answer } from './answer.ts'
import { type PlainRequest, PlainRequests } from './plain-request.ts'

/** How long the lane waits for the rest of a request; many clients send head and body one after the other. */
const REST_MS_MAX = 10
/** What a client has sent behind what is answered; beyond, its connection is not read until it has taken its answers. */
const AHEAD_BYTES_MAX = 64 * 1024
/** As node:http does it: a connection is kept a little longer than the client is told, so that its last request is not cut off. */
const KEEP_ALIVE_MARGIN_MS = 1_000
/** How often idle connections are looked for. */
const SWEEP_MS_MAX = 5_000

export interface FastLaneOptions {
  readonly keepAliveMs: number
  /** Every connection ends with its next answer. */
  readonly isClosing: () => boolean
  readonly serve: (request: PlainRequest, exchange: Exchange) => void
  /** Writes an answer, whole. */
  readonly send: (socket: Socket, request: PlainRequest, answer: Answer, extra: readonly string[]) => void
  /** Takes a connection over; what is unanswered will be read from it again. */
  readonly handOver: (socket: Socket) => void
  /** The client ended what it sends in the middle of a request. */
  readonly truncated: (socket: Socket) => void
}

/** One request under way. */
export interface Exchange {
  /** When it began to arrive, on the clock of `performance.now()`. */
  readonly startedAt: number
  readonly isAbandoned: () => boolean
  /** Once, now or later. `extra`: headers for this client. */
  readonly answer: (answer: Answer, extra: readonly string[]) => void
}

export class FastLane {
  readonly #options: FastLaneOptions
  readonly #connections = new Set<Connection>()
  /** Waiting for the rest of a request. */
  readonly #waiting = new Set<Connection>()
  #restTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined

  constructor(options: FastLaneOptions) {
    this.#options = options
  }

  accept(socket: Socket): void {
    const connection = new Connection(socket, this.#options, {
      waits: () => this.#awaitRest(connection),
      left: () => this.#left(connection),
    })
    this.#connections.add(connection)
    this.#sweepTimer ??= setInterval(
      () => this.#sweep(),
      Math.min(SWEEP_MS_MAX, this.#options.keepAliveMs),
    ).unref()
  }

  /** Ends the connections on which nothing is under way. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.isIdle()) connection.end()
  }

  cut(): void {
    for (const connection of this.#connections) connection.cut()
  }

  /** One timer for all: whoever waits when it fires has waited long enough, or will do no worse on the other lane. */
  #awaitRest(connection: Connection): void {
    this.#waiting.add(connection)
    this.#restTimer ??= setTimeout(() => {
      this.#restTimer = undefined
      const waiting = [...this.#waiting]
      this.#waiting.clear()
      for (const late of waiting) late.handOverIfWaiting()
    }, REST_MS_MAX)
  }

  #left(connection: Connection): void {
    this.#connections.delete(connection)
    this.#waiting.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#sweepTimer)
    clearTimeout(this.#restTimer)
    this.#sweepTimer = undefined
    this.#restTimer = undefined
  }

  #sweep(): void {
    const until = performance.now() - this.#options.keepAliveMs - KEEP_ALIVE_MARGIN_MS
    for (const connection of this.#connections)
      if (connection.isIdle() && connection.quietSince < until) connection.end()
  }
}

interface Owner {
  /** The rest of a request is missing. */
  readonly waits: () => void
  /** Closed or handed over. */
  readonly left: () => void
}

class Connection {
  /** When the last answer left, or the connection was made. */
  quietSince = performance.now()
  readonly #socket: Socket
  readonly #options: FastLaneOptions
  readonly #owner: Owner
  readonly #requests = new PlainRequests()
  /** What has arrived and not been read as a request. */
  #arrived: Buffer = NOTHING
  /** When the first byte of that arrived; undefined: while a request was under way. */
  #arrivedAt: number | undefined
  #underWay = false
  /** The client sends no more. What it has asked is answered all the same. */
  #ended = false
  /** In the loop that reads requests. */
  #reading = false
  readonly #isAbandoned: () => boolean

  constructor(socket: Socket, options: FastLaneOptions, owner: Owner) {
    this.#socket = socket
    this.#options = options
    this.#owner = owner
    this.#isAbandoned = () => socket.destroyed
    socket.on('data', this.#onData).on('end', this.#onEnd).on('drain', this.#onDrain)
    socket.on('error', onError).on('close', owner.left)
  }

  isIdle(): boolean {
    return !this.#underWay && this.#arrived.length === 0 && this.#socket.writableLength === 0
  }

  end(): void {
    this.#socket.destroySoon()
  }

  cut(): void {
    this.#socket.destroy()
  }

  handOverIfWaiting(): void {
    if (!this.#underWay && this.#arrived.length > 0 && !this.#ended && !this.#socket.destroyed)
      this.#handOver()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#arrived.length > 0) this.#arrived = Buffer.concat([this.#arrived, chunk])
    else {
      this.#arrived = chunk
      this.#arrivedAt = this.#underWay ? undefined : performance.now()
    }
    if (this.#underWay) this.#pace()
    else this.#readOn()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    if (!this.#underWay) this.#readOn()
  }

  readonly #onDrain = (): void => {
    if (!this.#underWay) this.#readOn()
  }

  /** Reads and serves requests until one is under way, the client is behind with its reading, or nothing more can be read. */
  #readOn(): void {
    const socket = this.#socket
    this.#reading = true
    while (!this.#underWay && this.#arrived.length > 0 && socket.writable && !socket.writableNeedDrain) {
      const request = this.#requests.read(this.#arrived)
      if (this.#ended && typeof request === 'string') {
        // Too late for node:http, which would wait for an end that has been.
        this.#arrived = NOTHING
        if (request === 'incomplete') this.#options.truncated(socket)
        break
      }
      if (request === 'uncommon') {
        this.#handOver()
        return
      }
      if (request === 'incomplete') {
        this.#owner.waits()
        break
      }
      this.#arrived = request.bytes === this.#arrived.length ? NOTHING : this.#arrived.subarray(request.bytes)
      this.#serve(request)
    }
    this.#reading = false
    if (this.#ended && !this.#underWay && this.#arrived.length === 0) socket.end()
    else this.#pace()
  }

  /** A connection that is far ahead of its answers is not read. */
  #pace(): void {
    const socket = this.#socket
    const waits = this.#underWay || socket.writableNeedDrain
    const ahead = waits && this.#arrived.length > AHEAD_BYTES_MAX
    if (ahead === socket.isPaused()) return
    if (ahead) socket.pause()
    else socket.resume()
  }

  #serve(request: PlainRequest): void {
    const { serve, send, isClosing } = this.#options
    const startedAt = this.#arrivedAt ?? performance.now()
    this.#arrivedAt = undefined
    this.#underWay = true
    let answered = false
    const answer: Exchange['answer'] = (given, extra) => {
      const socket = this.#socket
      // A second answer would be taken for that of the next request.
      if (answered) return
      answered = true
      this.#underWay = false
      if (!socket.writable) return
      send(socket, request, given, extra)
      this.quietSince = performance.now()
      if (isClosing()) socket.destroySoon()
      else if (!this.#reading) this.#readOn()
    }
    serve(request, { startedAt, isAbandoned: this.#isAbandoned, answer })
  }

  #handOver(): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain)
    socket.off('error', onError).off('close', this.#owner.left)
    this.#owner.left()
    // Put back while nobody listens and nothing flows, so that the next owner gets it before anything newer.
    socket.pause()
    socket.unshift(this.#arrived)
    this.#options.handOver(socket)
    socket.resume()
  }
}

const NOTHING = Buffer.alloc(0)

/** The socket is closed by then. */
const onError = (): void => {}
