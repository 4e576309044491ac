// Multiplexed connections, from the request that opens one (RFC 6455 §4) to the socket that `../mux` takes over. That
// code is loaded when the node already listens.

import type { Socket } from 'node:net'
import { ApiError } from '../../operations/forms/index.ts'
import { errorResponse, HttpError } from '../../operations/http/form.ts'
import { readQuery, takeTimeout, text } from '../../operations/http/parameters.ts'
import { SUBPROTOCOL } from '../../operations/mux/connection.ts'
import type { Api } from '../api/api.ts'
import type { Principal } from '../api/call.ts'
import { NEWER_MS_MAX } from '../api/permit.ts'
import { type ClientIdentity, strangerError } from '../connections/client-identity.ts'
import { type ConnectionTable, endGently, socketAddress } from '../connections/connection-table.ts'
import { checkLoopbackOnly, type Guard, isServed } from '../connections/guard.ts'
import { type RawRequest, readUpgrade } from '../connections/raw-parser.ts'
import type { ResponseWriter } from '../connections/response-writer.ts'
import { parseTarget } from '../connections/target.ts'
import type { Multiplexer } from '../mux/multiplexer.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { HttpLimits } from './limits.ts'

interface MuxOpeningOptions {
  readonly api: Api
  readonly metrics: Metrics
  readonly limits: HttpLimits
  readonly guard: Guard
  readonly identity: ClientIdentity
  readonly connections: ConnectionTable
  readonly writer: ResponseWriter
  readonly isClosing: () => boolean
}

export class MuxOpening {
  readonly #options: MuxOpeningOptions
  #multiplexer: Multiplexer | undefined
  #loading: Promise<Multiplexer> | undefined

  constructor(options: MuxOpeningOptions) {
    this.#options = options
  }

  /** Number of open connections. */
  get size(): number {
    return this.#multiplexer?.size ?? 0
  }

  /** Number of operations without an answer. */
  get operations(): number {
    return this.#multiplexer?.operations ?? 0
  }

  roleChanged(): void {
    this.#multiplexer?.roleChanged()
  }

  /** The node stops: accepted operations are answered, later ones are refused. */
  closing(): void {
    this.#multiplexer?.closing()
  }

  /** The node stops: ends the connections without open operations and watches. */
  closeIdle(): void {
    this.#multiplexer?.closeIdle()
  }

  /** Loads the code for multiplexed connections. After a failure, the next request tries again. */
  load(): Promise<Multiplexer> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined
      throw error
    })
    return this.#loading
  }

  async #load(): Promise<Multiplexer> {
    const { Multiplexer } = await import('../mux/multiplexer.ts')
    const { api, metrics, limits, connections, isClosing } = this.#options
    this.#multiplexer = new Multiplexer({
      api,
      metrics,
      limits,
      watchConnection: (socket, owner) => connections.watch(socket, owner),
      isClosing,
    })
    return this.#multiplexer
  }

  /**
   * Takes over a connection if the request at the beginning of these bytes opens a multiplexed one. Returns whether it
   * does.
   */
  upgrade(socket: Socket, bytes: Buffer): boolean {
    const startedAt = performance.now()
    const request = readOpening(bytes)
    if (request === undefined) return false
    const { api, metrics, guard, identity, connections, writer, isClosing } = this.#options
    const { auth } = api.node
    const { headers } = request
    const isClientServed = isServed(identity.served, socket)
    const origin = () => ({ method: 'GET', address: socketAddress(socket) })
    const refuse = (error: unknown): void => {
      identity.auditRefusal({ origin }, headers, error)
      const response = errorResponse(api.toApiError(error))
      writer.writeToSocket(socket, request.method, response, [], () => {}, true)
      endGently(socket)
      metrics.requestEnded('other', response.status, performance.now() - startedAt)
    }
    const accept = (multiplexer: Multiplexer, principal: Principal | undefined): void => {
      if (socket.destroyed) return
      connections.identified(socket)
      const rest = bytes.subarray(request.bytes)
      multiplexer.accept(socket, request, rest, { principal, isServed: isClientServed })
      socket.resume()
      metrics.requestEnded('other', 101, performance.now() - startedAt)
    }
    try {
      checkOpening(request, guard)
      if (!auth.enabled) checkLoopbackOnly(isClientServed, socket, PATH)
      if (isClosing()) throw new ApiError('not_ready', 'this node stops')
    } catch (error) {
      refuse(error)
      return true
    }
    if (this.#multiplexer !== undefined && !identity.isNeeded) {
      accept(this.#multiplexer, undefined)
      return true
    }
    socket.pause()
    connections.watch(socket, { quietSince: startedAt, waitsFor: () => 'node' })
    connections.holdHeads(socket, bytes.length)
    const client = { headers, socket, isServed: isClientServed }
    identity.identify(client, NEWER_MS_MAX, (error, principal) => {
      if (error !== undefined) return refuse(error)
      identity.whenKnown(principal, NEWER_MS_MAX, (unknown) => {
        // A message may be large, and is read before an operation of it is decided.
        if (unknown !== undefined || identity.isStranger(principal))
          return refuse(unknown ?? strangerError(principal, socket))
        this.load()
          .then((multiplexer) => accept(multiplexer, principal))
          .catch(refuse)
      })
    })
    return true
  }
}

const PATH = '/v1/connect'

/** The request at the beginning of these bytes, if it is complete and opens a WebSocket here. */
function readOpening(bytes: Buffer): RawRequest | undefined {
  const request = readUpgrade(bytes, TARGET)
  const { connection = '', upgrade = '' } = request?.headers ?? {}
  return names(connection, 'upgrade') && names(upgrade, 'websocket') ? request : undefined
}

const TARGET = /^\/v1\/connect(?:\?[!-~]*)?$/

/** Whether a list of tokens has this one. */
const names = (list: string, token: string): boolean =>
  list.split(',').some((one) => one.trim().toLowerCase() === token)

/** Throws `ApiError` if the request opens no connection here. */
function checkOpening(request: RawRequest, guard: Guard): void {
  const { method, url, headers } = request
  const target = parseTarget(method, url)
  guard.checkHost(request, target)
  // A connection can make changes.
  guard.checkOrigin({ ...request, method: 'PUT' })
  const { others } = takeTimeout(target.pairs)
  const { cluster } = readQuery(others, PARAMETERS)
  guard.checkCluster(cluster ?? headers['kv-cluster'])
  if (headers['sec-websocket-version'] !== '13')
    throw new HttpError('upgrade_required', 'only version 13 of WebSocket is spoken here', [
      'Upgrade',
      'websocket',
      'Sec-WebSocket-Version',
      '13',
    ])
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    throw new ApiError('bad_request', 'Sec-WebSocket-Key must be 16 bytes in base64')
  if (!names(headers['sec-websocket-protocol'] ?? '', SUBPROTOCOL))
    throw new ApiError('bad_request', `Sec-WebSocket-Protocol must name ${SUBPROTOCOL}`)
}

const PARAMETERS = { cluster: text('Refuse (421 wrong_cluster) unless the node belongs to this cluster') }
