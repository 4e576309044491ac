// RPCs, without a transport: what each is called, its messages, and what it does. gRPC (grpc/) and the JSON gateway
// (gateway/) serve the same ones.

import type { MessageCodec } from '../../etcd/message.ts'
import type { GrpcError } from '../../etcd/status.ts'
import type { EtcdCall } from './call.ts'

interface RpcNames<Q, A> {
  /** Path of gRPC, such as `/etcdserverpb.KV/Put`. */
  readonly path: `/${string}/${string}`
  /** Paths of the JSON gateway; none: etcd's gateway does not have it. */
  readonly gateway: readonly `/v3/${string}`[]
  readonly request: MessageCodec<Q>
  readonly response: MessageCodec<A>
}

/** One request, one response. What it throws becomes the status (`errors.ts`). */
export interface UnaryRpc<Q, A> extends RpcNames<Q, A> {
  readonly kind: 'unary'
  readonly run: (request: Q, call: EtcdCall) => Promise<Partial<A>>
}

/** One request, many responses. */
export interface ServerStreamRpc<Q, A> extends RpcNames<Q, A> {
  readonly kind: 'server-stream'
  readonly run: (request: Q, call: EtcdCall, responses: Responses<A>) => Promise<void>
}

/** Many requests, many responses, until either side ends the stream. */
export interface DuplexRpc<Q, A> extends RpcNames<Q, A> {
  readonly kind: 'duplex'
  readonly open: (call: EtcdCall, responses: Responses<A>) => RequestReceiver<Q>
}

/** The responses of a stream. */
export interface Responses<A> {
  /** Sends a response. Nothing is sent after the end of the stream. */
  send(response: Partial<A>): void
  /** Sends a message that is encoded already. `taken`: the kernel has taken it. */
  sendBytes(message: Uint8Array, taken?: () => void): void
  /** Bytes that the client has not taken. */
  readonly waitingBytes: number
  /** Resolves when the client has taken all, or is gone. */
  drained(): Promise<void>
  /** Ends the stream; undefined: well. */
  end(error?: GrpcError): void
}

/** Receives the requests of a stream. None of these throws. */
export interface RequestReceiver<Q> {
  request(request: Q): void
  /** The client sends no more requests, and still reads responses. */
  halfClosed(): void
  /** The stream is over: nothing is sent any more. */
  closed(): void
}

export type Rpc<Q = unknown, A = unknown> = UnaryRpc<Q, A> | ServerStreamRpc<Q, A> | DuplexRpc<Q, A>

/** RPCs of any messages, as a transport finds them: it decodes the request that it hands over. */
// biome-ignore lint/suspicious/noExplicitAny: an RPC accepts only what its own message has decoded.
export type AnyRpc = Rpc<any, any>
