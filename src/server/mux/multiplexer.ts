// All multiplexed connections of a node.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { BATCH_COMMANDS_MAX, RENEW_LEASES_MAX } from '../../kv/index.ts'
import { TXN_OPERATIONS_MAX } from '../../kv/txn.ts'
import type { Bodies } from '../http/body.ts'
import type { Connections } from '../http/connections.ts'
import type { HttpLimits } from '../http/limits.ts'
import { ApiError } from '../http/problem.ts'
import type { RawRequest } from '../http/raw-parser.ts'
import type { WatchBuffers } from '../http/watch-limits.ts'
import type { Metrics } from '../node/metrics.ts'
import type { NodeApi } from '../node/types.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import type { Operation } from './operation.ts'
import { Operations, type OperationsOptions } from './operations.ts'
import { PROTOCOL_VERSION, SUBPROTOCOL } from './protocol.ts'

export interface MultiplexerOptions extends OperationsOptions {
  readonly version: string
  readonly bodies: Bodies
  readonly connections: Connections
  readonly watchBuffers: WatchBuffers
  readonly metrics: Metrics
  readonly isClosing: () => boolean
}

export class Multiplexer {
  readonly #options: MultiplexerOptions
  readonly #server: WebSocketServer
  readonly #each: ConnectionOptions
  readonly #connections = new Set<Connection>()
  /** Operations without an answer. */
  #operations = 0
  /** Operations that were answered in this turn of the event loop. */
  #ended: Operation[] = []
  /** Connections with something to send at its end. */
  #ready: Connection[] = []
  #flushesSoon = false
  #timer: NodeJS.Timeout | undefined
  /** The leader that the clients know. */
  #told: Leader

  constructor(options: MultiplexerOptions) {
    const { limits, backlog, bodies, watchBuffers, isClosing, refused } = options
    this.#options = options
    this.#told = leaderOf(options.node)
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.muxMessageBytesMax,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS_MAX,
      ...closingWithin(limits.closeStallMsMax),
      handleProtocols: () => SUBPROTOCOL,
    })
    const operations = new Operations(options)
    this.#each = {
      limits,
      backlog,
      bodies,
      watchBuffers,
      run: (operation, item) => {
        this.#operations++
        if (isClosing()) operation.refuse(new ApiError('not_ready', 'this node stops'), 'no')
        else operations.run(operation, item)
      },
      ended: (operation) => {
        this.#operations--
        this.#ended.push(operation)
        this.#flushSoon()
      },
      flushSoon: (connection) => {
        this.#ready.push(connection)
        this.#flushSoon()
      },
      failed: (error) => void refused(error),
    }
  }

  get size(): number {
    return this.#connections.size
  }

  /** How many operations have no answer yet. */
  get operations(): number {
    return this.#operations
  }

  /** Takes over the connection of a client whose request was checked. `rest`: bytes that came after it. */
  accept(socket: Socket, request: RawRequest, rest: Buffer): void {
    // Of a request only these parts are read, which both forms have.
    this.#server.handleUpgrade(request as unknown as IncomingMessage, socket, rest, (ws) =>
      this.#opened(ws, socket),
    )
  }

  /** The node's role, its term or the leader that it knows may have changed. */
  roleChanged(): void {
    // In the middle of a step of the core.
    setImmediate(() => this.#tellLeader())
  }

  #tellLeader(): void {
    const { term, name } = leaderOf(this.#options.node)
    const isNews = name !== this.#told.name || (name !== null && term !== this.#told.term)
    this.#told = { term, name }
    if (isNews) for (const connection of this.#connections) connection.notice('leader', term, name)
  }

  /** The node stops. What is under way is answered; what arrives from now on is refused. */
  closing(): void {
    for (const connection of this.#connections) connection.notice('closing')
  }

  /** The node stops: ends the connections with nothing under way. */
  closeIdle(): void {
    for (const connection of this.#connections) connection.leave()
  }

  #opened(ws: WebSocket, socket: Socket): void {
    const { node, version, limits, connections } = this.#options
    this.#tellLeader()
    const connection = new Connection(ws, socket, this.#each)
    this.#connections.add(connection)
    socket.on('close', () => this.#left(connection))
    connections.watch(socket, connection)
    connection.notice('welcome', welcome(node, version, limits))
    const everyMs = Math.min(LOOK_MS_MAX, limits.muxPingMs / 4)
    this.#timer ??= setInterval(() => {
      for (const connection of this.#connections) connection.look(everyMs)
    }, everyMs).unref()
  }

  #left(connection: Connection): void {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #flushSoon(): void {
    if (this.#flushesSoon) return
    this.#flushesSoon = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushesSoon = false
    const { metrics } = this.#options
    const [ended, ready] = [this.#ended, this.#ready]
    this.#ended = []
    this.#ready = []
    if (ended.length > 0) {
      const now = performance.now()
      for (const { name, status = 0, arrivedAt } of ended)
        if (status > 0) metrics.requestEnded(name, status, now - arrivedAt)
    }
    for (const connection of ready) connection.flush()
  }
}

/** How often the clients are looked at. */
const LOOK_MS_MAX = 5_000
/** Limits of the pieces in which one message may arrive: each piece is an object. */
const FRAGMENTS_MAX = 1_024
const CHUNKS_MAX = 16 * 1_024

interface Leader {
  readonly term: number
  readonly name: string | null
}

const leaderOf = ({ term, leaderName }: NodeApi): Leader => ({ term, name: leaderName ?? null })

/** How long a client that was told of the end may take to answer. The types of `ws` lack this option. */
const closingWithin = (closeTimeout: number): object => ({ closeTimeout })

const welcome = (node: NodeApi, server: string, limits: HttpLimits) => ({
  version: PROTOCOL_VERSION,
  cluster: node.clusterId,
  node: node.name,
  server,
  term: node.term,
  leader: leaderOf(node).name,
  revision: node.revision,
  operations_max: limits.muxOperationsMax,
  bytes_max: limits.muxBytesMax,
  message_bytes_max: limits.muxMessageBytesMax,
  changes_max: BATCH_COMMANDS_MAX,
  watches_max: limits.muxWatchesMax,
  txn_operations_max: TXN_OPERATIONS_MAX,
  keep_alive_max: RENEW_LEASES_MAX,
})
