// All connections of clients, on whichever lane: how many there may be, and which of them are cut because their client
// does nothing.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectionsThatFit, openFilesMax } from './descriptors.ts'
import type { HttpLimits } from './limits.ts'

/** Who serves a connection. */
export interface Owner {
  /** `nothing`: it is idle. `client`: for the rest of a request, or until an answer is taken. `node`: for an answer. */
  waitsFor(): 'nothing' | 'client' | 'node'
  /** When the last answer left, or the connection was made, on the clock of `performance.now()`. */
  readonly quietSince: number
}

/** How long a client that still sends what nobody will read may do so. */
export const LINGER_MS = 500

/**
 * Ends a connection. What the client still sends is dropped: closed with anything unread, a connection is reset, and
 * that costs the client what it has not taken of the answers (RFC 9112 §9.6).
 */
export function endGently(stream: Duplex, lastWords?: string): void {
  if (!stream.writable) return
  stream.end(lastWords)
  stream.resume()
  const cut = setTimeout(() => stream.destroy(), LINGER_MS)
  stream.once('close', () => clearTimeout(cut))
}

interface Watched {
  readonly socket: Socket
  owner: Owner
  /** How far its client had come when it was last looked at; undefined: nothing waited for the client. */
  came: number | undefined
  /**
   * For how long it has come no further. Only time in which this process could have noticed counts, so it is counted,
   * not measured.
   */
  stillMs: number
}

/** Several nodes of one process share its open files. */
const fronts = new Set<Connections>()

const LOOK_EVERY_MS_MAX = 1_000
const LOOK_EVERY_MS_CLOSING = 10

export class Connections {
  readonly #limits: HttpLimits
  readonly #watched = new Map<Socket, Watched>()
  #timer: NodeJS.Timeout | undefined
  #closing = false
  stalledTotal = 0

  constructor(limits: HttpLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#watched.size
  }

  open(): void {
    fronts.add(this)
    this.#lookEvery(Math.min(LOOK_EVERY_MS_MAX, this.#limits.writeStallMsMax / 4))
  }

  /** From now on no connection waits long for its client. */
  closing(): void {
    this.#closing = true
    this.#lookEvery(LOOK_EVERY_MS_CLOSING)
  }

  /** Resolves when there is none left. */
  async closed(): Promise<void> {
    const sockets = [...this.#watched.keys()]
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    fronts.delete(this)
    clearInterval(this.#timer)
  }

  cut(): void {
    for (const socket of this.#watched.keys()) socket.destroy()
  }

  /** Whether there is room for one more. Where there is none, the connection that has been idle for longest goes. */
  makeRoom(): boolean {
    let all = 0
    for (const { size } of fronts) all += size
    const room = all < connectionsThatFit(openFilesMax(), fronts.size)
    return (room && this.size < this.#limits.connectionsMax) || this.#closeLongestIdle()
  }

  watch(socket: Socket, owner: Owner): void {
    const known = this.#watched.get(socket)
    if (known !== undefined) known.owner = owner
    else {
      this.#watched.set(socket, { socket, owner, came: undefined, stillMs: 0 })
      // It is closed then, and the code that serves it hears of that.
      socket.on('error', () => {})
      socket.once('close', () => this.#watched.delete(socket))
    }
  }

  #closeLongestIdle(): boolean {
    let longest: Watched | undefined
    for (const watched of this.#watched.values()) {
      if (longest !== undefined && watched.owner.quietSince >= longest.owner.quietSince) continue
      if (watched.owner.waitsFor() === 'nothing') longest = watched
    }
    if (longest === undefined) return false
    longest.socket.destroy()
    this.#watched.delete(longest.socket)
    return true
  }

  #lookEvery(ms: number): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.#look(ms), ms).unref()
  }

  #look(sinceMs: number): void {
    const { closeStallMsMax, writeStallMsMax } = this.#limits
    const stallMsMax = this.#closing ? closeStallMsMax : writeStallMsMax
    for (const watched of this.#watched.values()) {
      const { socket, owner } = watched
      if (socket.destroyed) continue
      const takes = socket.writableLength > 0
      const waits = takes || (this.#closing && owner.waitsFor() !== 'node')
      // What a client sends is no sign that it takes its answers.
      const came = !waits ? undefined : takes ? socket.bytesWritten : -socket.bytesRead
      watched.stillMs = waits && came === watched.came ? watched.stillMs + sinceMs : 0
      watched.came = came
      if (watched.stillMs < stallMsMax || !waits) continue
      this.stalledTotal++
      socket.destroy()
    }
  }
}
