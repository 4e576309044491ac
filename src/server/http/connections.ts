// All connections of clients: how many are allowed, and which are closed because their client does nothing.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectionsThatFit, openFilesMax } from '../node/descriptors.ts'
import type { HttpLimits } from './limits.ts'

/** The reader or the protocol that serves a connection. */
export interface ConnectionOwner {
  /**
   * `nothing`: the connection is idle. `client`: the rest of a request is missing, or an answer is not taken yet.
   * `node`: a request waits for its answer.
   */
  waitsFor(): 'nothing' | 'client' | 'node'
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

export const addressOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}:${remotePort}`

interface WatchedConnection {
  readonly socket: Socket
  owner: ConnectionOwner
  /** A user is known on it; while rights are not checked: it has made a request. */
  isKnown: boolean
  /** The client's progress at the last check; undefined if nothing waited for the client. */
  progress: number | undefined
  /**
   * How long the client has made no progress. Only time in which this process could have noticed it counts, so it is
   * counted in checks, not measured.
   */
  stillMs: number
}

/** Several nodes of one process share its open files. */
const listeners = new Set<Connections>()

const CHECK_EVERY_MS_MAX = 1_000
const CHECK_EVERY_MS_CLOSING = 10

export class Connections {
  readonly #limits: HttpLimits
  readonly #handshakes: () => number
  readonly #watched = new Map<Socket, WatchedConnection>()
  #timer: NodeJS.Timeout | undefined
  #closing = false
  stalledTotal = 0

  /** `handshakes`: number of accepted connections that no owner serves yet. */
  constructor(limits: HttpLimits, handshakes: () => number) {
    this.#limits = limits
    this.#handshakes = handshakes
  }

  get size(): number {
    return this.#watched.size
  }

  get #sizeWithHandshakes(): number {
    return this.#watched.size + this.#handshakes()
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

  /** Whether there is room for one more connection. If not, the connection that has been idle longest is closed. */
  makeRoom(): boolean {
    let all = 0
    for (const each of listeners) all += each.#sizeWithHandshakes
    const room = all < connectionsThatFit(openFilesMax(), listeners.size)
    return (room && this.#sizeWithHandshakes < this.#limits.connectionsMax) || this.#closeLongestIdle()
  }

  watch(socket: Socket, owner: ConnectionOwner): void {
    const known = this.#watched.get(socket)
    if (known !== undefined) known.owner = owner
    else {
      this.#watched.set(socket, { socket, owner, isKnown: false, progress: undefined, stillMs: 0 })
      // The socket closes, and its owner receives the `close` event.
      socket.on('error', () => {})
      socket.once('close', () => this.#watched.delete(socket))
    }
  }

  identified(socket: Socket): void {
    const watched = this.#watched.get(socket)
    if (watched !== undefined) watched.isKnown = true
  }

  isKnown(socket: Socket): boolean {
    return this.#watched.get(socket)?.isKnown ?? false
  }

  #closeLongestIdle(): boolean {
    let longest: WatchedConnection | undefined
    for (const watched of this.#watched.values()) {
      if (longest !== undefined && watched.owner.quietSince >= longest.owner.quietSince) continue
      if (watched.owner.waitsFor() === 'nothing') longest = watched
    }
    if (longest === undefined) return false
    longest.socket.destroy()
    this.#watched.delete(longest.socket)
    return true
  }

  #checkEvery(ms: number): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.#check(ms), ms).unref()
  }

  #check(sinceMs: number): void {
    const { closeStallMsMax, writeStallMsMax } = this.#limits
    const stallMsMax = this.#closing ? closeStallMsMax : writeStallMsMax
    for (const watched of this.#watched.values()) {
      const { socket, owner } = watched
      if (socket.destroyed) continue
      const takes = socket.writableLength > 0
      const waits = takes || (this.#closing && owner.waitsFor() !== 'node')
      // A client that sends does not necessarily read its answers.
      const progress = !waits ? undefined : takes ? socket.bytesWritten : -socket.bytesRead
      watched.stillMs = waits && progress === watched.progress ? watched.stillMs + sinceMs : 0
      watched.progress = progress
      if (watched.stillMs < stallMsMax || !waits) continue
      this.stalledTotal++
      socket.destroy()
    }
  }
}
