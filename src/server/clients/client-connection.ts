// One connection of a client, from its acceptance to its end, whatever is spoken on it. It knows whether its client is
// known, counts what the client makes the node hold, and finds out whether the client still does something. A reader or
// a protocol serves it (`ConnectionOwner`), one after the other.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { networkPrefix } from '../../system/addresses.ts'
import { FREE_BYTES, type InboundBudget, tooManyBodies } from '../api/budget.ts'
import { isServed, type ServedClients } from './guard.ts'

/** The reader or the protocol that serves a connection. */
export interface ConnectionOwner {
  /**
   * `nothing`: the connection is idle. `client`: the rest of a request is missing, or an answer is not taken yet.
   * `node`: a request waits for its answer.
   */
  waitsFor(): 'nothing' | 'client' | 'node'
  /**
   * The connection is open and idle, and its protocol has pings, which show that its client is there. Before somebody
   * is known on it, it may stay so: clients of etcd open a connection to each endpoint, and use one of them.
   */
  readonly isResting?: boolean
  /** Bytes of answers that wait for the client, and those that it has taken. Without it: those of the socket. */
  output?(): { readonly waiting: number; readonly taken: number } | undefined
  /** The time of the last answer, or of the connection's start, on the clock of `performance.now()`. */
  readonly quietSince: number
  /** Somebody is known on the connection from now on. */
  identified?(): void
  /** Called at intervals of `sinceMs`: of a second, or a little more; shorter ones if a limit is shorter. */
  check?(sinceMs: number): void
  /** A protocol with pings. Without them a client may be silent. */
  readonly pings?: ConnectionPings
}

interface ConnectionPings {
  /** A silent client is pinged after this long, and cut after twice this long. */
  readonly pingMs: number
  /** The rest of a message is missing: the client may not be silent for longer than a client that stalls. */
  readonly isWithinMessage: boolean
  ping(): void
}

/** Times after which a client that does nothing is cut, as they are now. */
export interface ConnectionTimes {
  /** For the first request of a client that is not known. */
  readonly headMs: number
  /** For a client that takes nothing of its answers. */
  readonly stallMs: number
  /** The node stops: a connection waits only for answers. */
  readonly isClosing: boolean
  /** Interval of the checks by owners. */
  readonly ownerMs: number
}

/** Why a client was cut. */
type Cut = 'late' | 'stalled' | 'silent'

interface ClientConnectionOptions {
  readonly served: ServedClients
  /** Counts what the client makes the node hold before it is known, and afterwards. */
  readonly inboundOfUnauthenticated: InboundBudget
  readonly inbound: InboundBudget
  /** Called when it is known who the client is. */
  readonly identified: (connection: ClientConnection) => void
  /** Called when the bytes of a head that has not arrived completely have changed, while the client is not known. */
  readonly headOfUnidentified: (connection: ClientConnection, bytes: number) => void
}

export class ClientConnection {
  readonly socket: Socket
  /** The network of the client, for limits that clients of one network share. */
  readonly network: string
  readonly #options: ClientConnectionOptions
  #owner = noOwner()
  #isServed: boolean | undefined
  #isKnown = false
  #isClosed = false
  #inbound: InboundBudget
  /** Bytes that its client makes the node hold, and those of them that the budget counts. */
  #heldBytes = 0
  #countedBytes = 0
  /** Memory of a head that has not arrived completely. While the client is not known, the held bytes are without it. */
  #headMemory = 0
  /** Age in checks, while the client is not known, since it has rested; and how long it rests. */
  #ageMs = 0
  #restMs = 0
  /** Time since the last check by the owner. */
  #uncheckedMs = 0
  /** The client's progress at the last check; undefined if nothing waited for the client. */
  #progress: number | undefined
  /**
   * How long the client has made no progress, and has sent nothing. Only time in which this process could have noticed
   * it counts, so it is counted in checks, not measured.
   */
  #stillMs = 0
  #silentMs = 0
  #receivedBytes = 0

  constructor(socket: Socket, options: ClientConnectionOptions) {
    this.socket = socket
    this.network = networkPrefix(socket.remoteAddress ?? '')
    this.#options = options
    this.#inbound = options.inboundOfUnauthenticated
    // The socket closes, and its owner receives the `close` event.
    socket.on('error', () => {})
    socket.once('close', () => this.#close())
  }

  get owner(): ConnectionOwner {
    return this.#owner
  }

  /** `owner` serves the connection from now on. */
  serveBy(owner: ConnectionOwner): void {
    this.#owner = owner
    this.#silentMs = 0
  }

  /** Nobody serves it yet: a request waits for the gate, or for code that is loaded. */
  awaitOwner(): void {
    this.serveBy(noOwner())
  }

  /** Address and port of the client. */
  get address(): string {
    return socketAddress(this.socket)
  }

  /** Whether the client needs no rights, as long as they are not checked. */
  get isServed(): boolean {
    this.#isServed ??= isServed(this.#options.served, this.socket)
    return this.#isServed
  }

  /** A user is known on it; while rights are not checked: it has made a request that is served. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** Its client is a user, or rights are not checked and it is served. */
  identified(): void {
    if (this.#isKnown || this.#isClosed) return
    const { inbound, identified } = this.#options
    this.#isKnown = true
    this.#inbound.bytes -= this.#countedBytes
    inbound.bytes += this.#countedBytes
    this.#inbound = inbound
    const headMemory = this.#headMemory
    this.#headMemory = 0
    identified(this)
    if (!this.#holdHeadOfUser(headMemory)) this.socket.destroy()
    this.#owner.identified?.()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What the client makes the node hold

  /**
   * Counts so many bytes more. Returns false, and counts nothing, if there is no room for them. `FREE_BYTES` of each
   * connection always have room.
   */
  tryHold(bytes: number): boolean {
    if (this.#isClosed) return true
    if (!this.hasRoom(bytes)) return false
    this.#heldBytes += bytes
    if (this.#heldBytes < 0) throw new Error('a connection gives back more bytes than it holds')
    const counted = countedOf(this.#heldBytes)
    this.#inbound.bytes += counted - this.#countedBytes
    this.#countedBytes = counted
    return true
  }

  /** Whether there is room for so many bytes more. */
  hasRoom(bytes: number): boolean {
    const more = countedOf(this.#heldBytes + bytes) - this.#countedBytes
    return more <= 0 || this.#inbound.bytes + more <= this.#inbound.bytesMax
  }

  /** The same. Throws `ApiError` (overloaded) if there is no room. */
  hold(bytes: number): void {
    if (!this.tryHold(bytes)) throw tooManyBodies()
  }

  /** So many bytes are not held any more. */
  release(bytes: number): void {
    this.tryHold(-bytes)
  }

  /**
   * The bytes of a head that has not arrived completely are so many now, and take so much memory. Called before more is
   * read from any connection, so clients never hold more than the limit. Returns false if there is no room for them:
   * then they do not count. If the client is not known, an unidentified connection is closed instead, perhaps this one.
   */
  holdHead(bytes: number, memory = bytes): boolean {
    if (this.#isKnown) return this.#holdHeadOfUser(memory)
    this.#headMemory = memory
    if (!this.#isClosed) this.#options.headOfUnidentified(this, bytes)
    return true
  }

  #holdHeadOfUser(memory: number): boolean {
    if (!this.tryHold(memory - this.#headMemory)) return false
    this.#headMemory = memory
    return true
  }

  /**
   * Counts bytes of an operation that continues although its client has left, until the returned function is called.
   * They counted before, so they have room.
   */
  outlive(bytes: number): () => void {
    const inbound = this.#inbound
    let counted = bytes
    inbound.bytes += counted
    return () => {
      inbound.bytes -= counted
      counted = 0
    }
  }

  #close(): void {
    this.#isClosed = true
    this.#inbound.bytes -= this.#countedBytes
    this.#countedBytes = 0
    this.#heldBytes = 0
    this.#headMemory = 0
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Whether the client does something

  /** Called at intervals of `sinceMs`. Pings the client, or returns why it is to be cut. */
  check(sinceMs: number, times: ConnectionTimes): Cut | undefined {
    if (!this.#isKnown && this.#isLate(sinceMs, times)) return 'late'
    if (this.#isStalled(sinceMs, times)) return 'stalled'
    this.#checkOwner(sinceMs, times)
    return this.#isSilent(sinceMs, times) ? 'silent' : undefined
  }

  /** A node that stops checks more often, and gives its clients no less time for it. */
  #checkOwner(sinceMs: number, { ownerMs }: ConnectionTimes): void {
    this.#uncheckedMs += sinceMs
    if (this.#uncheckedMs < ownerMs) return
    this.#owner.check?.(this.#uncheckedMs)
    this.#uncheckedMs = 0
  }

  /** Whether nobody is known on it, and it has rested for longer than a first request may take. */
  hasRested(headMs: number): boolean {
    return !this.#isKnown && this.#restMs > headMs
  }

  /** A request that the node serves has its own time limit. */
  #isLate(sinceMs: number, { headMs }: ConnectionTimes): boolean {
    if (this.#owner.isResting === true) {
      this.#restMs += sinceMs
      this.#ageMs = 0
      return false
    }
    this.#restMs = 0
    this.#ageMs += sinceMs
    return this.#ageMs > headMs && this.#owner.waitsFor() !== 'node'
  }

  #isStalled(sinceMs: number, { stallMs, isClosing }: ConnectionTimes): boolean {
    const { socket } = this
    const { waiting, taken } = this.#owner.output?.() ?? {
      waiting: socket.writableLength,
      // Bytes that wait are among those that were written, and answers to pings may be added to them.
      taken: socket.bytesWritten - socket.writableLength,
    }
    const takes = waiting > 0
    const waits = takes || (isClosing && this.#owner.waitsFor() !== 'node')
    // A client that sends does not necessarily read its answers.
    const progress = !waits ? undefined : takes ? taken : -socket.bytesRead
    this.#stillMs = waits && progress === this.#progress ? this.#stillMs + sinceMs : 0
    this.#progress = progress
    return waits && this.#stillMs >= stallMs
  }

  #isSilent(sinceMs: number, { stallMs }: ConnectionTimes): boolean {
    const { socket } = this
    const { pings } = this.#owner
    if (pings === undefined) return false
    const before = this.#silentMs
    // While nothing is read, no pong is.
    const isActive = socket.bytesRead !== this.#receivedBytes || socket.isPaused()
    this.#receivedBytes = socket.bytesRead
    this.#silentMs = isActive ? 0 : before + sinceMs
    if (this.#silentMs >= (pings.isWithinMessage ? stallMs : 2 * pings.pingMs)) return true
    if (before < pings.pingMs && this.#silentMs >= pings.pingMs) pings.ping()
    return false
  }
}

/** The owner of a connection that nobody serves yet. */
const noOwner = (): ConnectionOwner => ({ quietSince: performance.now(), waitsFor: () => 'node' })

/** So much of each connection is not counted: a small request is served, however many large ones wait. */
const countedOf = (bytes: number): number => (bytes > FREE_BYTES ? bytes - FREE_BYTES : 0)

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
