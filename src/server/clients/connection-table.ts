// All connections of clients: how many are allowed, and which are closed because their client does nothing.
//
// Anybody can open connections. So one on which nobody is known yet is unidentified: it has some seconds for its first
// request, and is the first that is closed when room is needed. The network that has most of them loses its oldest one.
// So a client that opens many displaces its own, and a user has the time to make a request. The same holds for the
// bytes of heads that unidentified connections have sent: beyond their limit, the network that has most of them loses
// connections.

import type { Socket } from 'node:net'
import type { Api } from '../api/api.ts'
import { FREE_BYTES } from '../api/budget.ts'
import { ByNetwork } from '../by-network.ts'
import { connectionsThatFit, openFilesMax } from '../node/observe/descriptors.ts'
import { ClientConnection, type ConnectionTimes } from './client-connection.ts'
import type { ServedClients } from './guard.ts'
import type { ConnectionLimits } from './limits.ts'

/** Connections whose TLS handshake is not done. */
interface OpenHandshakes {
  readonly size: number
  /** Closes the oldest one. Returns false if there is none. */
  closeOldest(): boolean
}

/** Several nodes of one process share its open files. */
const listeners = new Set<ConnectionTable>()

/**
 * Share of the connections that clients who are not known may have, even if users have all others: for one of them, an
 * idle connection of a user ends. Without it, new users would displace each other. Beyond it, those that rest end.
 */
const UNIDENTIFIED_SHARE = 1 / 8

const CHECK_EVERY_MS_MAX = 1_000
const CHECK_EVERY_MS_CLOSING = 10

interface ConnectionTableOptions {
  /** The memory that clients may make the node hold. */
  readonly api: Pick<Api, 'inbound' | 'inboundOfUnauthenticated'>
  readonly limits: ConnectionLimits & { readonly muxPingMs: number; readonly grpcPingMs: number }
  readonly served: ServedClients
  /** Accepted connections that nobody serves yet. */
  readonly handshakes: () => OpenHandshakes | undefined
}

export class ConnectionTable {
  readonly #options: ConnectionTableOptions
  readonly #limits: ConnectionLimits
  /** Interval of the checks, as long as the node does not stop. */
  readonly #everyMs: number
  readonly #connections = new Set<ClientConnection>()
  /** Connections on which nobody is known. */
  readonly #unidentified = new ByNetwork<ClientConnection>()
  /** Unidentified connections that hold more than `FREE_BYTES` of heads, by the bytes beyond. */
  readonly #unidentifiedHeads = new ByNetwork<ClientConnection>()
  #timer: NodeJS.Timeout | undefined
  #closing = false
  stalledTotal = 0
  /** Unidentified connections that were closed: late, or to make room. */
  unidentifiedClosedTotal = 0

  constructor(options: ConnectionTableOptions) {
    const { writeStallMsMax, muxPingMs, grpcPingMs } = options.limits
    this.#options = options
    this.#limits = options.limits
    this.#everyMs = Math.min(CHECK_EVERY_MS_MAX, writeStallMsMax / 4, muxPingMs / 4, grpcPingMs / 4)
  }

  get size(): number {
    return this.#connections.size
  }

  get #sizeWithHandshakes(): number {
    return this.size + this.#handshakesNow
  }

  get #handshakesNow(): number {
    return this.#options.handshakes()?.size ?? 0
  }

  get unidentified(): number {
    return this.#unidentified.size
  }

  /** Bytes of heads on connections on which nobody is known, without `FREE_BYTES` of each. */
  get unidentifiedHeadBytes(): number {
    return this.#unidentifiedHeads.weight
  }

  open(): void {
    listeners.add(this)
    this.#checkEvery(this.#everyMs)
  }

  /** The node stops: from now on a connection waits only a short time for its client. */
  closing(): void {
    this.#closing = true
    this.#checkEvery(CHECK_EVERY_MS_CLOSING)
  }

  /** Resolves when no connection is left. */
  async closed(): Promise<void> {
    const sockets = [...this.#connections].map(({ socket }) => socket)
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    listeners.delete(this)
    clearInterval(this.#timer)
  }

  cut(): void {
    for (const { socket } of this.#connections) socket.destroy()
  }

  /**
   * Whether there is room for one more connection. If not, one is closed: while unidentified ones are few, the
   * connection that has been idle longest; otherwise one of theirs.
   */
  makeRoom(): boolean {
    let all = 0
    for (const each of listeners) all += each.#sizeWithHandshakes
    const fit = this.#fit
    const { connectionsMax } = this.#limits
    if (all < fit && this.#sizeWithHandshakes < connectionsMax) return true
    const newcomers = this.#unidentified.size + this.#handshakesNow
    return (newcomers < this.#newcomersMax && this.#closeLongestIdle()) || this.#closeOne()
  }

  get #fit(): number {
    return connectionsThatFit(openFilesMax(), listeners.size)
  }

  get #newcomersMax(): number {
    return Math.min(this.#fit, this.#limits.connectionsMax) * UNIDENTIFIED_SHARE
  }

  /** Adds the connection of a client that has been accepted. */
  add(socket: Socket): ClientConnection {
    const { api, served } = this.#options
    const connection = new ClientConnection(socket, {
      served,
      inbound: api.inbound,
      inboundOfUnauthenticated: api.inboundOfUnauthenticated,
      identified: this.#forgetUnidentified,
      headOfUnidentified: this.#holdHead,
    })
    this.#connections.add(connection)
    this.#unidentified.set(connection.network, connection)
    socket.once('close', () => this.#forget(connection))
    return connection
  }

  readonly #holdHead = (connection: ClientConnection, bytes: number): void => {
    const { network } = connection
    if (!this.#connections.has(connection)) return
    if (bytes > FREE_BYTES) this.#unidentifiedHeads.set(network, connection, bytes - FREE_BYTES)
    else this.#unidentifiedHeads.delete(network, connection)
    while (this.unidentifiedHeadBytes > this.#limits.unidentifiedHeadBytesMax)
      this.#closeUnidentified(this.#unidentifiedHeads)
  }

  #forget(connection: ClientConnection): void {
    this.#connections.delete(connection)
    this.#forgetUnidentified(connection)
  }

  readonly #forgetUnidentified = (connection: ClientConnection): void => {
    this.#unidentified.delete(connection.network, connection)
    this.#unidentifiedHeads.delete(connection.network, connection)
  }

  #closeOne(): boolean {
    return (
      this.#closeUnidentified(this.#unidentified) ||
      this.#options.handshakes()?.closeOldest() === true ||
      this.#closeLongestIdle()
    )
  }

  #closeUnidentified(connections: ByNetwork<ClientConnection>): boolean {
    let closed: ClientConnection | undefined
    for (const connection of connections.largest()) {
      const isServed = connection.owner.waitsFor() === 'node'
      if (!isServed || closed === undefined) closed = connection
      // One whose request the node serves goes last.
      if (!isServed) break
    }
    if (closed === undefined) return false
    this.#closeAsUnidentified(closed)
    return true
  }

  #closeAsUnidentified(connection: ClientConnection): void {
    this.unidentifiedClosedTotal++
    connection.socket.destroy()
    this.#forget(connection)
  }

  #closeLongestIdle(): boolean {
    let longest: ClientConnection | undefined
    for (const connection of this.#connections) {
      const { owner } = connection
      if (longest !== undefined && owner.quietSince >= longest.owner.quietSince) continue
      if (owner.waitsFor() === 'nothing') longest = connection
    }
    if (longest === undefined) return false
    longest.socket.destroy()
    this.#forget(longest)
    return true
  }

  #checkEvery(ms: number): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.#check(ms), ms).unref()
  }

  #check(sinceMs: number): void {
    const { headMs, closeStallMsMax, writeStallMsMax } = this.#limits
    const stallMs = this.#closing ? closeStallMsMax : writeStallMsMax
    const times: ConnectionTimes = { headMs, stallMs, isClosing: this.#closing, ownerMs: this.#everyMs }
    for (const connection of this.#connections) {
      const { socket } = connection
      if (socket.destroyed) continue
      const cut = connection.check(sinceMs, times)
      if (cut === 'late') this.#closeAsUnidentified(connection)
      else if (cut !== undefined) {
        if (cut === 'stalled') this.stalledTotal++
        socket.destroy()
      }
    }
    this.#closeResting()
  }

  /** While unidentified connections are more than their share, resting ones end: of the network with most of them. */
  #closeResting(): void {
    let over = this.#unidentified.size - this.#newcomersMax
    if (over <= 0) return
    const resting = new ByNetwork<ClientConnection>()
    for (const connection of this.#connections)
      if (connection.hasRested(this.#limits.headMs)) resting.set(connection.network, connection)
    for (; over > 0 && resting.size > 0; over--) {
      const [oldest] = resting.largest()
      if (oldest === undefined) return
      resting.delete(oldest.network, oldest)
      this.#closeAsUnidentified(oldest)
    }
  }
}
