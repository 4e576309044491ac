// An operation as RPCs of etcd.

import type { StreamingAnswer } from '../../client/transport/transport.ts'
import type { ResponseHeader } from '../../etcd/messages/header.ts'
import type { RpcDescription } from '../../etcd/rpcs.ts'
import type { ReadConsistency } from '../../operations/forms/freshness.ts'
import type { GrpcStream } from '../grpc-client.ts'

type UnaryCall = <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>) => Promise<A>

/** The RPCs of one request, at one endpoint. They end together, when the request is given up. */
export interface EtcdCalls {
  /** Rejects with `GrpcError`. */
  readonly read: UnaryCall
  /** The same for the change that the operation stands for. */
  readonly change: UnaryCall
  /** The same before the change: while the outcome of this call is unknown, the change was certainly not made. */
  readonly prepare: UnaryCall
  /** The same after the change. Nobody waits for it, and its failure is ignored. */
  readonly cleanUp: <Q, A>(rpc: RpcDescription<Q, A, 'unary'>, request: Partial<Q>) => void
  duplex<Q, A>(rpc: RpcDescription<Q, A, 'duplex'>): GrpcStream<Q, A>
  /** Base URL of the endpoint. */
  readonly url: string
  /** Limit on the silence of a stream that has begun. */
  readonly silentMs: number
  readonly background: boolean
}

export interface EtcdResult<R> {
  readonly result: R
  readonly header: ResponseHeader | undefined
  /** The consistency of a read. */
  readonly served?: ReadConsistency
}

export interface EtcdStream {
  readonly stream: StreamingAnswer['stream']
  readonly header: ResponseHeader | undefined
}

/** Rejects with `GrpcError` or `ApiError`. */
export type EtcdOperation<Q, R> = (request: Q, calls: EtcdCalls) => Promise<EtcdResult<R> | EtcdStream>
