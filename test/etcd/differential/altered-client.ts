// A client that alters what its server has answered, as a server with a fault would.

import type { RpcDescription } from '../../../src/etcd/rpcs.ts'
import { type GrpcCallOptions, GrpcClient, type GrpcStream } from '../../../src/etcd-client/grpc-client.ts'

/** Responses that the client receives in place of this one of the RPC with this path. */
export type Alter = (path: string, response: object) => readonly object[]

export class AlteredClient extends GrpcClient {
  /** undefined: it alters nothing. */
  alter: Alter | undefined

  override serverStream<Q, A>(
    rpc: RpcDescription<Q, A, 'unary' | 'server-stream'>,
    request: Partial<Q>,
    options?: GrpcCallOptions,
  ): GrpcStream<Q, A> {
    return this.#altered(rpc, super.serverStream(rpc, request, options))
  }

  override duplex<Q, A>(rpc: RpcDescription<Q, A, 'duplex'>, options?: GrpcCallOptions): GrpcStream<Q, A> {
    return this.#altered(rpc, super.duplex(rpc, options))
  }

  #altered<Q, A>({ path }: RpcDescription<Q, A>, stream: GrpcStream<Q, A>): GrpcStream<Q, A> {
    const { alter } = this
    if (alter === undefined) return stream
    return {
      send: (request) => stream.send(request),
      halfClose: () => stream.halfClose(),
      cancel: () => stream.cancel(),
      get isSent() {
        return stream.isSent
      },
      async *[Symbol.asyncIterator]() {
        for await (const response of stream) yield* alter(path, response as object) as readonly A[]
      },
    }
  }
}
