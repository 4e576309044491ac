// Connections of HTTP/2, which speak gRPC. Their code is loaded for the first one: a node without clients of etcd loads
// none of it.

import { asError } from '../../system/errors.ts'
import { LazyValue } from '../../system/lazy-value.ts'
import type { ClientConnection } from '../clients/client-connection.ts'
import type { Gate } from '../clients/gate.ts'
import type { EtcdApi } from '../etcd/etcd-api.ts'
import type { GrpcConnections } from '../etcd/grpc/connections.ts'
import type { Metrics } from '../node/observe/metrics.ts'
import type { Logger } from '../options.ts'
import type { HttpLimits } from './limits.ts'

interface Http2OpeningOptions {
  /** Loads what etcd's API needs. */
  readonly loadEtcd: () => Promise<EtcdApi>
  readonly metrics: Metrics
  readonly limits: HttpLimits
  readonly gate: Gate
  readonly logger: Logger
  readonly isClosing: () => boolean
}

export class Http2Opening {
  readonly #options: Http2OpeningOptions
  #grpc: GrpcConnections | undefined
  readonly #loading = new LazyValue(() => this.#load())

  constructor(options: Http2OpeningOptions) {
    this.#options = options
  }

  /** Number of open connections. */
  get size(): number {
    return this.#grpc?.size ?? 0
  }

  /** Number of open calls. */
  get calls(): number {
    return this.#grpc?.calls ?? 0
  }

  /** The node stops: accepted calls are answered, later ones are refused. */
  closing(): void {
    this.#grpc?.closing()
  }

  /** Takes over a paused connection of HTTP/2, with all its bytes unread. */
  accept(connection: ClientConnection): void {
    if (this.#grpc !== undefined) {
      this.#grpc.accept(connection)
      return
    }
    const { logger } = this.#options
    const { socket } = connection
    connection.awaitOwner()
    connection.holdHead(socket.readableLength)
    this.#loading.get().then(
      (grpc) => {
        connection.holdHead(0)
        if (!socket.destroyed) grpc.accept(connection)
      },
      (error: unknown) => {
        logger.warn({ error: asError(error).message }, 'the API of etcd could not be loaded yet')
        socket.destroy()
      },
    )
  }

  async #load(): Promise<GrpcConnections> {
    const { GrpcConnections } = await import('../etcd/grpc/connections.ts')
    this.#grpc = new GrpcConnections({ ...this.#options, etcd: await this.#options.loadEtcd() })
    return this.#grpc
  }
}
