// All connections that speak gRPC.

import type { ClientConnection } from '../../clients/client-connection.ts'
import { GrpcConnection, type GrpcConnectionOptions } from './connection.ts'

export class GrpcConnections {
  readonly #options: GrpcConnectionOptions
  readonly #connections = new Set<GrpcConnection>()

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

  /** Takes over a connection whose unread bytes begin with the preface of HTTP/2. */
  accept(client: ClientConnection): void {
    const connection = new GrpcConnection(client, this.#options)
    this.#connections.add(connection)
    client.serveBy(connection)
    client.socket.once('close', () => this.#connections.delete(connection))
    if (client.isKnown) connection.identified()
    if (this.#options.isClosing()) connection.leave()
  }

  /** The node stops: accepted calls are answered, later ones are refused. */
  closing(): void {
    for (const connection of this.#connections) connection.leave()
  }
}
