// Multiplexed connections, from the request that opens one (RFC 6455 §4) to the socket that `../mux` takes over. That
// code is loaded when the node already listens.

import { ApiError } from '../../operations/forms/index.ts'
import { errorResponse, HttpError } from '../../operations/http/form.ts'
import { readQuery, takeTimeout, text } from '../../operations/http/parameters.ts'
import { SUBPROTOCOL } from '../../operations/mux/connection.ts'
import { LazyValue } from '../../system/lazy-value.ts'
import type { Api } from '../api/api.ts'
import type { Principal } from '../api/call.ts'
import { NEWER_MS_MAX } from '../api/permit.ts'
import { type ClientConnection, endGently } from '../clients/client-connection.ts'
import type { Gate, Opening, Wanted } from '../clients/gate.ts'
import { type RawRequest, readUpgrade } from '../connections/raw-parser.ts'
import type { ResponseWriter } from '../connections/response-writer.ts'
import { parseTarget, type Target } from '../connections/target.ts'
import type { Multiplexer } from '../mux/multiplexer.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { HttpLimits } from './limits.ts'

interface MuxOpeningOptions {
  readonly api: Api
  readonly metrics: Metrics
  readonly limits: HttpLimits
  readonly gate: Gate
  readonly writer: ResponseWriter
  readonly isClosing: () => boolean
}

export class MuxOpening {
  readonly #options: MuxOpeningOptions
  #multiplexer: Multiplexer | undefined
  readonly #loading = new LazyValue(() => this.#load())

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

  /** Loads the code for multiplexed connections. */
  load(): Promise<Multiplexer> {
    return this.#loading.get()
  }

  async #load(): Promise<Multiplexer> {
    const { Multiplexer } = await import('../mux/multiplexer.ts')
    const { api, metrics, limits, isClosing } = this.#options
    this.#multiplexer = new Multiplexer({ api, metrics, limits, isClosing })
    return this.#multiplexer
  }

  /**
   * Takes over a connection if the request at the beginning of these bytes opens a multiplexed one. Returns whether it
   * does.
   */
  upgrade(connection: ClientConnection, bytes: Buffer): boolean {
    const startedAt = performance.now()
    const request = readOpening(bytes)
    if (request === undefined) return false
    const { api, metrics, gate, writer } = this.#options
    const { socket } = connection
    const opening = new ConnectionOpening(request, connection)
    const refuse = (error: unknown): void => {
      const response = errorResponse(api.toApiError(error))
      writer.writeToSocket(socket, request.method, response, [], () => {}, true)
      endGently(socket)
      metrics.requestEnded('other', response.status, performance.now() - startedAt)
    }
    const accept = (multiplexer: Multiplexer): void => {
      if (socket.destroyed) return
      connection.holdHead(0)
      multiplexer.accept(connection, request, bytes.subarray(request.bytes), opening.principal)
      socket.resume()
      metrics.requestEnded('other', 101, performance.now() - startedAt)
    }
    socket.pause()
    connection.awaitOwner()
    connection.holdHead(bytes.length)
    // A message may be large, and is read before an operation of it is decided: it is a connection of users.
    gate.admit(opening, CONNECTION, (_, refusal) => {
      if (refusal !== undefined) refuse(refusal)
      else if (this.#multiplexer !== undefined) accept(this.#multiplexer)
      else this.load().then(accept).catch(refuse)
    })
    return true
  }
}

const CONNECTION: Wanted = { isLasting: true }

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

/** The request for a connection, as the gate sees it. */
class ConnectionOpening implements Opening {
  /** A connection can make changes. */
  readonly method = 'PUT'
  readonly httpVersion: string
  readonly headers: RawRequest['headers']
  readonly hosts: number
  readonly target: Target
  readonly cluster: string | readonly string[] | undefined
  readonly authorization: string | undefined
  readonly connection: ClientConnection
  extra: readonly string[] = []
  isUnidentified = false
  isUnauthenticated = false
  principal: Principal | undefined
  /** The fault of its query. */
  readonly #fault: unknown

  constructor(request: RawRequest, connection: ClientConnection) {
    const { method, url, httpVersion, headers, hosts } = request
    this.target = parseTarget(method, url)
    this.httpVersion = httpVersion
    this.headers = headers
    this.hosts = hosts
    this.authorization = headers.authorization
    this.connection = connection
    let cluster: string | undefined
    try {
      const { others } = takeTimeout(this.target.pairs)
      cluster = readQuery(others, PARAMETERS).cluster
    } catch (error) {
      this.#fault = error
    }
    this.cluster = cluster ?? headers['kv-cluster']
  }

  check(): void {
    if (this.#fault !== undefined) throw this.#fault
    const { headers } = this
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

  newerWithinMs(): number {
    return NEWER_MS_MAX
  }

  origin(): { readonly method: string; readonly address: string } {
    return { method: 'GET', address: this.connection.address }
  }
}

const PARAMETERS = { cluster: text('Refuse (421 wrong_cluster) unless the node belongs to this cluster') }
