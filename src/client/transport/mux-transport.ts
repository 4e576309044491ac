// Sends operations over multiplexed connections, one to each node, and decides when they are made. Until there is one,
// and where there is none, the engine uses HTTP: a connection makes many calls cheap, and is needed for none.

import type { ConnectionWelcome, KnownLeader } from '../../operations/mux/connection.ts'
import { Backoff } from '../backoff.ts'
import { type ClientOperation, findItemForm, isStreamed, type OperationRequest } from '../client-operation.ts'
import type { ClientCredentials } from '../credentials.ts'
import type { Endpoint, Endpoints } from '../endpoints.ts'
import { after } from '../timer.ts'
import type { TlsSource } from '../tls.ts'
import type { ClientTls } from '../types.ts'
import type { ConnectionEnd, NodeConnection } from './mux-connection.ts'
import { PendingRequest } from './pending-request.ts'
import { PendingWatch } from './pending-watch.ts'
import type { SendOptions, SendOutcome, Transport } from './transport.ts'

/**
 * A client makes connections from this call on, or when so many calls are in flight. Loading the packages takes some
 * 20 ms, which a command with a few calls should not spend.
 */
const CALLS_BEFORE = 16
const IN_FLIGHT = 8
/** Pause after a proxy did not let the connection through. */
const REFUSED_MS = 60_000
/** Pause after the code of connections could not be loaded, such as by a process without a free file descriptor. */
const LOAD_AGAIN_MS = 10_000
/** Pauses after a failure. */
const PAUSE_BASE_MS = 100
const PAUSE_MAX_MS = 5_000

interface MuxOptions {
  readonly endpoints: Endpoints
  readonly tls: TlsSource
  /** The id of the client's cluster; undefined: unknown. */
  readonly clusterId: () => string | undefined
  readonly credentials: ClientCredentials
  readonly warn: (message: string) => void
  /** Returns whether the node belongs to the client's cluster. */
  readonly onWelcome: (endpoint: Endpoint, welcome: ConnectionWelcome) => boolean
}

/** The state of the connection to one endpoint. */
class Link {
  connection: NodeConnection | undefined
  /** The certificates of the connection. */
  tls: ClientTls | undefined
  readonly pauses = new Backoff(PAUSE_BASE_MS, PAUSE_MAX_MS)
  notBeforeMs = 0
}

const CANNOT_LOAD =
  "multiplexed connections cannot be used, so every call goes over HTTP: the packages ws and msgpackr cannot be loaded. A bundle must leave them out (external), or must have `require`. With `transport: 'http'` there is no warning"

export class MuxTransport implements Transport {
  readonly #options: MuxOptions
  readonly #links = new Map<Endpoint, Link>()
  /** All connections that have not ended, also those of former endpoints. */
  readonly #open = new Set<NodeConnection>()
  #calls = 0
  /** The leader of the newest term that a node has reported, if there is a connection to it. */
  #leader: { readonly endpoint: Endpoint; readonly connection: NodeConnection } | undefined
  #leaderTerm = 0
  #make: typeof NodeConnection | undefined
  #loading: Promise<void> | undefined
  /** By `performance.now()`; 0: loading has not failed. */
  #loadNotBeforeMs = 0
  #isClosed = false
  /** Resolves when a connection is made or has ended, and at the end. */
  #change = Promise.withResolvers<void>()

  constructor(options: MuxOptions) {
    this.#options = options
  }

  /** Number of operations that wait for an answer. */
  get inFlight(): number {
    return [...this.#open].reduce((sum, connection) => sum + connection.waiting, 0)
  }

  /** Whether connections are made: the client makes many calls. */
  get isActive(): boolean {
    return this.#make !== undefined
  }

  /** A call begins, one of this many. */
  noteCall(inFlight: number): void {
    if (this.#make !== undefined || this.#isClosed || this.#loading !== undefined) return
    this.#calls += 1
    if (this.#calls >= CALLS_BEFORE || inFlight >= IN_FLIGHT) void this.#load()
  }

  /**
   * The endpoint of the leader, for what the leader takes part in anyway. Otherwise the next endpoint that has a
   * connection. Makes connections to those that have none.
   */
  pick(endpoints: Endpoints, nowMs: number, atLeader: boolean): Endpoint | undefined {
    if (this.#make === undefined) return undefined
    const leader = atLeader ? this.#leader : undefined
    if (leader?.connection.isUsable === true && leader.endpoint.allows(nowMs)) return leader.endpoint
    return endpoints.pickWhere((endpoint) => endpoint.allows(nowMs) && this.#hasConnection(endpoint, nowMs))
  }

  /** Whether any endpoint has a connection. Makes connections to those that have none. */
  isReady(nowMs: number): boolean {
    if (this.#make === undefined) return false
    let isReady = false
    for (const endpoint of this.#options.endpoints.all)
      if (endpoint.allows(nowMs) && this.#hasConnection(endpoint, nowMs)) isReady = true
    return isReady
  }

  /** A first try may wait for credit, which a connection that hangs never gives back. A further try does not wait. */
  accepts<Q extends OperationRequest>(
    endpoint: Endpoint,
    operation: ClientOperation<Q, unknown>,
    request: Q,
    isRetry = false,
  ): boolean {
    const form = findItemForm(operation, request)
    const connection = this.#links.get(endpoint)?.connection
    if (form === undefined || connection?.isUsable !== true) return false
    const credit = form.credit(request)
    if (!connection.takes(credit, form.size(request), isStreamed(operation, request))) return false
    return !isRetry || connection.hasCredit(credit)
  }

  send<Q extends OperationRequest, R>(
    endpoint: Endpoint,
    operation: ClientOperation<Q, R>,
    request: Q,
    options: SendOptions,
  ): Promise<SendOutcome<R>> {
    const form = findItemForm(operation, request)
    const connection = this.#links.get(endpoint)?.connection
    if (connection === undefined || form === undefined)
      throw new Error('the transport does not accept this request')
    // The only stream that items carry is that of a watch.
    const Pending = isStreamed(operation, request) ? PendingWatch : PendingRequest
    return new Promise((resolve) => {
      connection.send(new Pending(connection, { operation, form, request }, options, resolve))
    })
  }

  /**
   * For watches, which stay at the connection where they begin. Resolves after `first`, when there is a connection or
   * none is being made, at the latest after `timeoutMs`.
   */
  async settled(first: Promise<void>, timeoutMs: number, background: boolean): Promise<void> {
    if (this.#isClosed || this.isReady(performance.now())) return
    let isOver = false
    let stop = () => {}
    const timedOut = new Promise<void>((resolve) => {
      // It keeps the process alive for its caller, which the connection that is being made does not.
      stop = after(timeoutMs, resolve, { unref: background })
    }).then(() => {
      isOver = true
    })
    await Promise.race([first, timedOut])
    await this.#load()
    while (!isOver && !this.#isClosed && !this.isReady(performance.now()) && this.#isConnecting)
      await Promise.race([this.#change.promise, timedOut])
    stop()
  }

  /** The credentials of the connection to an endpoint. */
  authorizationAt(endpoint: Endpoint): string | undefined {
    return this.#links.get(endpoint)?.connection?.authorization
  }

  /** The node does not accept these credentials any more: the next connection has others. */
  leave(endpoint: Endpoint, authorization: string | undefined): void {
    const link = this.#links.get(endpoint)
    if (link?.connection === undefined || link.connection.authorization !== authorization) return
    const { connection } = link
    link.connection = undefined
    connection.retire()
  }

  /** Ends connections to endpoints that the client no longer knows. */
  retireOthers(): void {
    for (const [endpoint, { connection }] of this.#links) {
      if (this.#options.endpoints.all.includes(endpoint)) continue
      this.#links.delete(endpoint)
      connection?.retire()
    }
  }

  close(): void {
    this.#isClosed = true
    this.#make = undefined
    for (const connection of this.#open) connection.close()
    this.#changed()
  }

  #changed(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }

  get #isConnecting(): boolean {
    return [...this.#links.values()].some(({ connection }) => connection?.isUsable === false)
  }

  /** A node has reported who leads in a term, or that it knows no leader. */
  #noteLeader({ term, name }: KnownLeader): void {
    if (term < this.#leaderTerm) return
    this.#leaderTerm = term
    this.#leader = undefined
    for (const [endpoint, { connection }] of this.#links) {
      if (connection !== undefined && connection.node === name) this.#leader = { endpoint, connection }
    }
  }

  async #load(): Promise<void> {
    if (performance.now() < this.#loadNotBeforeMs) return
    this.#loading ??= import('./mux-connection.ts').then(
      ({ NodeConnection: Make }) => {
        if (!this.#isClosed) this.#make = Make
      },
      // HTTP serves, at many times the price.
      (error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        const isFirst = this.#loadNotBeforeMs === 0
        if (isFirst && !this.#isClosed) this.#options.warn(`${CANNOT_LOAD}: ${reason}`)
        this.#loadNotBeforeMs = performance.now() + LOAD_AGAIN_MS
        this.#loading = undefined
      },
    )
    await this.#loading
  }

  #hasConnection(endpoint: Endpoint, nowMs: number): boolean {
    let link = this.#links.get(endpoint)
    if (link === undefined) {
      link = new Link()
      this.#links.set(endpoint, link)
    }
    if (endpoint.isSecure && link.tls !== this.#options.tls.current) {
      link.connection?.retire()
      link.connection = undefined
    }
    if (link.connection !== undefined) return link.connection.isUsable
    if (nowMs >= link.notBeforeMs) this.#connect(endpoint, link)
    return false
  }

  #connect(endpoint: Endpoint, link: Link): void {
    const { credentials } = this.#options
    const clusterId = this.#options.clusterId()
    if (this.#make === undefined || clusterId === undefined || credentials.isLacking()) return
    const { authorization } = credentials
    const tls = this.#options.tls.current
    const connection = new this.#make(endpoint, clusterId, tls, authorization, {
      onWelcome: (welcome) => this.#options.onWelcome(endpoint, welcome),
      onLeader: (leader) => {
        this.#noteLeader(leader)
        this.#changed()
      },
      onEnd: (ending: ConnectionEnd) => {
        this.#open.delete(connection)
        if (ending === 'unauthenticated') credentials.refused(authorization)
        if (link.connection !== connection) return
        link.connection = undefined
        if (ending === 'lost') link.pauses.reset()
        link.notBeforeMs = performance.now() + (ending === 'refused' ? REFUSED_MS : link.pauses.next())
        this.#changed()
      },
    })
    link.connection = connection
    link.tls = tls
    this.#open.add(connection)
  }
}
