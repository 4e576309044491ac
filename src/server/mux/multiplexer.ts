// All multiplexed connections of a node.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Connections } from '../http/connections.ts'
import type { HttpLimits } from '../http/limits.ts'
import type { PlainRequest } from '../http/plain-request.ts'
import type { Metrics } from '../metrics.ts'
import type { NodeApi } from '../types.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import type { Operation } from './operation.ts'
import { Operations, type OperationsOptions } from './operations.ts'
import { PROTOCOL_VERSION, SUBPROTOCOL } from './protocol.ts'

export interface MultiplexerOptions extends OperationsOptions {
  readonly version: string
  readonly connections: Connections
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

  constructor(options: MultiplexerOptions) {
    const { limits, backlog, isClosing, refused } = options
    this.#options = options
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.muxMessageBytesMax,
      handleProtocols: () => SUBPROTOCOL,
    })
    const operations = new Operations(options)
    this.#each = {
      limits,
      backlog,
      isClosing,
      run: (operation, item) => {
        this.#operations++
        operations.run(operation, item)
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
  accept(socket: Socket, request: PlainRequest, rest: Buffer): void {
    // Of a request only these parts are read, which both forms have.
    this.#server.handleUpgrade(request as unknown as IncomingMessage, socket, rest, (ws) =>
      this.#opened(ws, socket),
    )
  }

  #opened(ws: WebSocket, socket: Socket): void {
    const { node, version, limits, connections, isClosing } = this.#options
    const connection = new Connection(ws, socket, this.#each)
    this.#connections.add(connection)
    ws.on('close', () => this.#connections.delete(connection))
    connections.watch(socket, connection)
    connection.notice('welcome', welcome(node, version, limits))
    if (isClosing()) connection.notice('closing')
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

const welcome = (node: NodeApi, server: string, limits: HttpLimits) => ({
  version: PROTOCOL_VERSION,
  cluster: node.clusterId,
  node: node.name,
  server,
  term: node.term,
  leader: node.leaderName ?? null,
  revision: node.revision,
  operations_max: limits.muxOperationsMax,
  bytes_max: limits.muxBytesMax,
  message_bytes_max: limits.muxMessageBytesMax,
})
