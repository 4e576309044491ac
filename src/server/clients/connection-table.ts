// All connections of clients: how many are allowed, and which are closed because their client does nothing.
//
// Anybody can open connections. So one on which nobody is known yet is a stranger: it has some seconds for its first
// request, and is the first that is closed when room is needed. The network that has most strangers loses its oldest
// one. So a client that opens many displaces its own, and a user has the time to make a request. The same holds for the
// bytes of heads that strangers have sent: beyond their limit, the network that has most of them loses connections.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { networkPrefix } from '../../system/addresses.ts'
import { FREE_BYTES } from '../api/budget.ts'
import { ByNetwork } from '../by-network.ts'
import { connectionsThatFit, openFilesMax } from '../node/observe/descriptors.ts'
import type { ConnectionLimits } from './limits.ts'

/** The reader or the protocol that serves a connection. */
export interface ConnectionOwner {
  /**
   * `nothing`: the connection is idle. `client`: the rest of a request is missing, or an answer is not taken yet.
   * `node`: a request waits for its answer.
   */
  waitsFor(): 'nothing' | 'client' | 'node'
  /** Bytes of answers that wait for the client, and those that it has taken. Missing: the socket has them. */
  output?(): { readonly waiting: number; readonly taken: number }
  /** The time of the last answer, or of the connection's start, on the clock of `performance.now()`. */
  readonly quietSince: number
}

/** How long a client may continue to send what is not read. */
export const LINGER_MS = 500

/**
 * Ends a connection. Bytes that still arrive are read and dropped: a connection that is closed with unread bytes is
 * reset, and then the client loses answers that it has not read yet (RFC 9112 §9.6).
 */
export function endGently(stream: Duplex, lastAnswer?: string): void {
  if (!stream.writable) return
  stream.end(lastAnswer)
  stream.resume()
  const cut = setTimeout(() => stream.destroy(), LINGER_MS)
  stream.once('close', () => clearTimeout(cut))
}

export const socketAddress = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress}:${remotePort}`

interface WatchedConnection {
  readonly socket: Socket
  readonly network: string
  owner: ConnectionOwner
  /** A user is known on it; while rights are not checked: it has made a request that is served. */
  isKnown: boolean
  /** Age in checks, while it is not known. */
  ageMs: number
  /** The client's progress at the last check; undefined if nothing waited for the client. */
  progress: number | undefined
  /**
   * How long the client has made no progress. Only time in which this process could have noticed it counts, so it is
   * counted in checks, not measured.
   */
  stillMs: number
}

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
 * idle connection of a user ends. Without it, new users would displace each other.
 */
const STRANGERS_SHARE = 1 / 8

const CHECK_EVERY_MS_MAX = 1_000
const CHECK_EVERY_MS_CLOSING = 10

export class ConnectionTable {
  readonly #limits: ConnectionLimits
  readonly #handshakes: () => OpenHandshakes | undefined
  readonly #watched = new Map<Socket, WatchedConnection>()
  /** Connections on which nobody is known. */
  readonly #strangers = new ByNetwork<WatchedConnection>()
  /** Strangers that hold more than `FREE_BYTES` of heads, by the bytes beyond. */
  readonly #strangerHeads = new ByNetwork<WatchedConnection>()
  #timer: NodeJS.Timeout | undefined
  #closing = false
  stalledTotal = 0
  /** Strangers that were closed: late, or to make room. */
  strangersClosedTotal = 0

  /** `handshakes`: accepted connections that no owner serves yet. */
  constructor(limits: ConnectionLimits, handshakes: () => OpenHandshakes | undefined) {
    this.#limits = limits
    this.#handshakes = handshakes
  }

  get size(): number {
    return this.#watched.size
  }

  get #sizeWithHandshakes(): number {
    return this.#watched.size + (this.#handshakes()?.size ?? 0)
  }

  get strangers(): number {
    return this.#strangers.size
  }

  /** Bytes of heads on connections on which nobody is known, without `FREE_BYTES` of each. */
  get strangerHeadBytes(): number {
    return this.#strangerHeads.weight
  }

  open(): void {
    listeners.add(this)
    this.#checkEvery(Math.min(CHECK_EVERY_MS_MAX, this.#limits.writeStallMsMax / 4))
  }

  /** The node stops: from now on a connection waits only a short time for its client. */
  closing(): void {
    this.#closing = true
    this.#checkEvery(CHECK_EVERY_MS_CLOSING)
  }

  /** Resolves when no connection is left. */
  async closed(): Promise<void> {
    const sockets = [...this.#watched.keys()]
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    listeners.delete(this)
    clearInterval(this.#timer)
  }

  cut(): void {
    for (const socket of this.#watched.keys()) socket.destroy()
  }

  /**
   * Whether there is room for one more connection. If not, one is closed: while strangers are few, the connection that
   * has been idle longest; otherwise one of theirs.
   */
  makeRoom(): boolean {
    let all = 0
    for (const each of listeners) all += each.#sizeWithHandshakes
    const fit = connectionsThatFit(openFilesMax(), listeners.size)
    const { connectionsMax } = this.#limits
    if (all < fit && this.#sizeWithHandshakes < connectionsMax) return true
    const newcomers = this.#strangers.size + (this.#handshakes()?.size ?? 0)
    const areFew = newcomers < Math.min(fit, connectionsMax) * STRANGERS_SHARE
    return (areFew && this.#closeLongestIdle()) || this.#closeOne()
  }

  watch(socket: Socket, owner: ConnectionOwner): void {
    const known = this.#watched.get(socket)
    if (known !== undefined) {
      known.owner = owner
      return
    }
    const network = networkPrefix(socket.remoteAddress ?? '')
    const watched = { socket, network, owner, isKnown: false, ageMs: 0, progress: undefined, stillMs: 0 }
    this.#watched.set(socket, watched)
    this.#strangers.set(network, watched)
    // The socket closes, and its owner receives the `close` event.
    socket.on('error', () => {})
    socket.once('close', () => this.#forget(watched))
  }

  identified(socket: Socket): void {
    const watched = this.#watched.get(socket)
    if (watched === undefined) return
    watched.isKnown = true
    this.#forgetStranger(watched)
  }

  /**
   * Counts the bytes of heads that the connection holds, as long as nobody is known on it. Called whenever they may
   * have grown, before more is read from any connection: so strangers never hold more than the limit.
   */
  holdHeads(socket: Socket, bytes: number): void {
    const watched = this.#watched.get(socket)
    if (watched === undefined || watched.isKnown) return
    if (bytes > FREE_BYTES) this.#strangerHeads.set(watched.network, watched, bytes - FREE_BYTES)
    else this.#strangerHeads.delete(watched.network, watched)
    while (this.strangerHeadBytes > this.#limits.strangerHeadBytesMax)
      this.#closeStranger(this.#strangerHeads)
  }

  isKnown(socket: Socket): boolean {
    return this.#watched.get(socket)?.isKnown ?? false
  }

  #forget(watched: WatchedConnection): void {
    this.#watched.delete(watched.socket)
    this.#forgetStranger(watched)
  }

  #forgetStranger(watched: WatchedConnection): void {
    this.#strangers.delete(watched.network, watched)
    this.#strangerHeads.delete(watched.network, watched)
  }

  #closeOne(): boolean {
    return (
      this.#closeStranger(this.#strangers) ||
      this.#handshakes()?.closeOldest() === true ||
      this.#closeLongestIdle()
    )
  }

  #closeStranger(strangers: ByNetwork<WatchedConnection>): boolean {
    let closed: WatchedConnection | undefined
    for (const stranger of strangers.largest()) {
      const isServed = stranger.owner.waitsFor() === 'node'
      if (!isServed || closed === undefined) closed = stranger
      // One whose request the node serves goes last.
      if (!isServed) break
    }
    if (closed === undefined) return false
    this.#closeAsStranger(closed)
    return true
  }

  #closeAsStranger(watched: WatchedConnection): void {
    this.strangersClosedTotal++
    watched.socket.destroy()
    this.#forget(watched)
  }

  #closeLongestIdle(): boolean {
    let longest: WatchedConnection | undefined
    for (const watched of this.#watched.values()) {
      if (longest !== undefined && watched.owner.quietSince >= longest.owner.quietSince) continue
      if (watched.owner.waitsFor() === 'nothing') longest = watched
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

  /** A request that the node serves has its own time limit. */
  #isLate(watched: WatchedConnection, sinceMs: number): boolean {
    watched.ageMs += sinceMs
    return watched.ageMs > this.#limits.headMs && watched.owner.waitsFor() !== 'node'
  }

  #check(sinceMs: number): void {
    const { closeStallMsMax, writeStallMsMax } = this.#limits
    const stallMsMax = this.#closing ? closeStallMsMax : writeStallMsMax
    for (const watched of this.#watched.values()) {
      const { socket, owner } = watched
      if (socket.destroyed) continue
      if (!watched.isKnown && this.#isLate(watched, sinceMs)) {
        this.#closeAsStranger(watched)
        continue
      }
      const { waiting, taken } = owner.output?.() ?? {
        waiting: socket.writableLength,
        taken: socket.bytesWritten,
      }
      const takes = waiting > 0
      const waits = takes || (this.#closing && owner.waitsFor() !== 'node')
      // A client that sends does not necessarily read its answers.
      const progress = !waits ? undefined : takes ? taken : -socket.bytesRead
      watched.stillMs = waits && progress === watched.progress ? watched.stillMs + sinceMs : 0
      watched.progress = progress
      if (watched.stillMs < stallMsMax || !waits) continue
      this.stalledTotal++
      socket.destroy()
    }
  }
}
