// All multiplexed connections of a node.

import type { IncomingMessage } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import { TXN_OPERATIONS_MAX } from '../../kv/txn.ts'
import { BATCH_COMMANDS_MAX } from '../../operations/batch.ts'
import { ApiError } from '../../operations/forms/index.ts'
import { OPERATIONS, type Operation } from '../../operations/index.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import {
  CLOSING_NOTICE,
  type ConnectionWelcome,
  encodeLeaderNotice,
  encodeWelcome,
  type KnownLeader,
  SUBPROTOCOL,
} from '../../operations/mux/connection.ts'
import { checkElements } from '../../operations/mux/fields.ts'
import type { Item, ItemLimits } from '../../operations/mux/form.ts'
import type { Api } from '../api/api.ts'
import type { Principal } from '../api/call.ts'
import { execute } from '../api/execute.ts'
import type { ClientConnection } from '../clients/client-connection.ts'
import type { StallLimits } from '../clients/limits.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import { type ConnectionOptions, MuxConnection } from './connection.ts'
import type { MuxLimits } from './limits.ts'
import { type MuxCall, MuxPage } from './mux-call.ts'
import { endWithAnswer } from './results.ts'

interface MultiplexerOptions {
  readonly api: Api
  readonly limits: MuxLimits & StallLimits
  readonly metrics: Metrics
  readonly isClosing: () => boolean
}

/** The request that has opened a connection. */
type OpeningRequest = Pick<IncomingMessage, 'headers'> & { readonly method: string; readonly url: string }

export class Multiplexer {
  readonly #options: MultiplexerOptions
  readonly #server: WebSocketServer
  readonly #each: ConnectionOptions
  readonly #connections = new Set<MuxConnection>()
  /** Operations without an answer. */
  #operations = 0
  /** Operations that were answered since the last flush. */
  #ended: MuxCall[] = []
  /** Connections with something to send at the next flush. */
  #ready: MuxConnection[] = []
  #flushesSoon = false
  /** The leader of the last notice. */
  #knownLeader: KnownLeader

  constructor(options: MultiplexerOptions) {
    const { api, limits } = options
    this.#options = options
    this.#knownLeader = knownLeader(api.node)
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
    this.#each = {
      api,
      limits,
      run: (call, item) => this.#run(call, item),
      ended: (call) => {
        this.#operations--
        this.#ended.push(call)
        this.#flushSoon()
      },
      flushSoon: (connection) => {
        this.#ready.push(connection)
        this.#flushSoon()
      },
    }
  }

  /** Answers the call exactly once, now or later. */
  #run(call: MuxCall, item: Item): void {
    const { api, isClosing } = this.#options
    this.#operations++
    try {
      if (isClosing()) throw new ApiError('not_ready', 'this node stops')
      call.hold(call.definition.mux.heldBytes?.(item) ?? call.bytes)
    } catch (error) {
      call.fail(api.toApiError(error))
      return
    }
    // A batch takes some milliseconds, and a message may have many of them.
    if (call.definition === OPERATIONS.batch) api.outbound.turns.run(() => this.#execute(call, item))
    else this.#execute(call, item)
  }

  #execute(call: MuxCall, item: Item): void {
    // It may have waited for its turn longer than its connection lasted.
    if (call.isAbandoned()) {
      call.end(0, [])
      return
    }
    const { api } = this.#options
    try {
      const operation = decodeOperation(call, item, api.limits)
      execute(api, operation, call, (answer) => {
        // The client does not read a reply.
        if (call.isAbandoned()) return call.end(0, [])
        try {
          endWithAnswer(call, operation, answer)
        } catch (error) {
          call.fail(api.toApiError(error))
        }
      })
    } catch (error) {
      call.fail(api.toApiError(error))
    }
  }

  get size(): number {
    return this.#connections.size
  }

  /** Number of operations without an answer. */
  get operations(): number {
    return this.#operations
  }

  /** Takes over the connection of a client whose request was checked. `rest` are the bytes that followed it. */
  accept(
    client: ClientConnection,
    request: OpeningRequest,
    rest: Buffer,
    principal: Principal | undefined,
  ): void {
    // `ws` reads only these parts of a request.
    this.#server.handleUpgrade(request as unknown as IncomingMessage, client.socket, rest, (ws) =>
      this.#opened(ws, client, principal),
    )
  }

  /** Called when the node's role, its term or the leader that it knows may have changed. */
  roleChanged(): void {
    // The caller is in the middle of a step of the core.
    setImmediate(() => this.#sendLeader())
  }

  #sendLeader(): void {
    const leader = knownLeader(this.#options.api.node)
    const { term, name } = leader
    const isChange =
      name !== this.#knownLeader.name || (name !== undefined && term !== this.#knownLeader.term)
    this.#knownLeader = leader
    const notice = encodeLeaderNotice(leader)
    if (isChange) for (const connection of this.#connections) connection.notice(notice)
  }

  /** The node stops: accepted operations are answered, later ones are refused. */
  closing(): void {
    for (const connection of this.#connections) connection.notice(CLOSING_NOTICE)
  }

  /** The node stops: ends the connections without open operations and watches. */
  closeIdle(): void {
    for (const connection of this.#connections) connection.leave()
  }

  #opened(ws: WebSocket, client: ClientConnection, principal: Principal | undefined): void {
    const { api, limits } = this.#options
    this.#sendLeader()
    const connection = new MuxConnection(ws, client, principal, this.#each)
    this.#connections.add(connection)
    client.socket.on('close', () => this.#connections.delete(connection))
    client.serveBy(connection)
    connection.notice(encodeWelcome(connectionWelcome(api, limits)))
  }

  #flushSoon(): void {
    if (this.#flushesSoon) return
    this.#flushesSoon = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushesSoon = false
    const { api, metrics } = this.#options
    const [ended, ready] = [this.#ended, this.#ready]
    this.#ended = []
    this.#ready = []
    if (ended.length > 0) {
      const now = performance.now()
      for (const { name, status = 0, arrivedAt } of ended)
        if (status > 0) metrics.requestEnded(name, status, now - arrivedAt)
    }
    // One event may be for all connections.
    for (const connection of ready) api.outbound.turns.run(() => connection.flush())
  }
}

/** Decodes the operation of an item, and its deadline. Throws `ApiError`. */
export function decodeOperation(call: MuxCall, item: Item, limits: ItemLimits): Operation {
  const { elementsMax, decode } = call.definition.mux
  checkElements(item, elementsMax)
  call.setTimeout(item[2])
  const operation = decode(item, limits)
  if (operation.kind === 'range') call.page = new MuxPage(operation.keysOnly === true)
  return operation
}

/** Limits of the pieces in which one message may arrive: each piece is an object. */
const FRAGMENTS_MAX = 1_024
const CHUNKS_MAX = 16 * 1_024

const knownLeader = ({ term, leaderName }: KvNode): KnownLeader => ({ term, name: leaderName })

/** Time for a client to answer the close frame. The types of `ws` lack this option. */
const closingWithin = (closeTimeout: number): object => ({ closeTimeout })

const connectionWelcome = ({ node, version }: Api, limits: MuxLimits): ConnectionWelcome => ({
  cluster: node.clusterId,
  node: node.name,
  server: version,
  leader: knownLeader(node),
  revision: node.revision,
  operationsMax: limits.muxOperationsMax,
  bytesMax: limits.muxBytesMax,
  messageBytesMax: limits.muxMessageBytesMax,
  changesMax: BATCH_COMMANDS_MAX,
  watchesMax: limits.muxWatchesMax,
  txnOperationsMax: TXN_OPERATIONS_MAX,
  keepAliveMax: RENEW_LEASES_MAX,
})
