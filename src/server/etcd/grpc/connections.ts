// All connections that speak gRPC.

import type { Socket } from 'node:net'
import { GrpcConnection, type GrpcConnectionOptions } from './connection.ts'

/** Interval of the search for clients that are silent, or take nothing. */
const CHECK_MS_MAX = 1_000

export class GrpcConnections {
  readonly #options: GrpcConnectionOptions
  readonly #connections = new Set<GrpcConnection>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: GrpcConnectionOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#connections.size
  }

  /** Number of open calls. */
  get calls(): number {
    let calls = 0
    for (const connection of this.#connections) calls += connection.calls
    return calls
  }

  /**
   * Takes over a connection whose unread bytes begin with the preface of HTTP/2. `isKnown`: its certificate names a
   * user.
   */
  accept(socket: Socket, isKnown = false): void {
    const { connections, isClosing, limits } = this.#options
    const connection = new GrpcConnection(socket, this.#options)
    this.#connections.add(connection)
    connections.watch(socket, connection)
    socket.once('close', () => this.#closed(connection))
    if (isKnown) connection.identified()
    if (isClosing()) connection.leave()
    const checkMs = Math.min(CHECK_MS_MAX, limits.writeStallMsMax / 4, limits.grpcPingMs)
    this.#timer ??= setInterval(() => {
      for (const each of this.#connections) each.check(checkMs)
    }, checkMs).unref()
  }

  /** The node stops: accepted calls are answered, later ones are refused. */
  closing(): void {
    for (const connection of this.#connections) connection.leave()
  }

  #closed(connection: GrpcConnection): void {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
