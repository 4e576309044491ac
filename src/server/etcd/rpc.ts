// RPCs, without a transport: what each of `src/etcd/rpcs.ts` does here. gRPC (grpc/) and the JSON gateway (gateway/)
// serve the same ones.

import type { Encodable } from '../../etcd/message.ts'
import type { RpcDescription } from '../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../etcd/status.ts'
import { FOR_USERS, type Wanted } from '../clients/gate.ts'
import type { EtcdCall } from './call.ts'

/** Values of a repeated field that are encoded while the client takes them. */
export interface ValuesInParts<V> {
  /** Bytes of all parts together. */
  readonly bytes: number
  /** The client has so long to take them, on the clock of `performance.now()`. */
  readonly takenUntil: number
  /** The next part, of whole values with their tags; undefined after the last one. */
  next(): Promise<Uint8Array | undefined>
  decode(part: Uint8Array): readonly V[]
  /** Nothing more is taken. It must be called, also after the last part. */
  close(): void
}

/** A response that is too large to be held. Its transport takes the values of one field in parts. */
export class ResponseInParts<A> {
  /** The other fields. */
  readonly fields: Encodable<A>
  readonly name: keyof A & string
  readonly values: ValuesInParts<unknown>

  constructor(fields: Encodable<A>, name: keyof A & string, values: ValuesInParts<unknown>) {
    this.fields = fields
    this.name = name
    this.values = values
  }
}

/** The largest message of gRPC's clients in Go, and of etcd. */
const MESSAGE_BYTES_MAX = 2 ** 31 - 1

/** As a server of gRPC refuses it. */
const tooLarge = (bytes: number, bytesMax: number): GrpcError =>
  new GrpcError(
    GRPC.resourceExhausted,
    `grpc: trying to send message larger than max (${bytes} vs. ${bytesMax})`,
  )

/** Throws `GrpcError` if a response with so many bytes is no message. */
export function checkMessageBytes(bytes: number): void {
  if (bytes > MESSAGE_BYTES_MAX) throw tooLarge(bytes, MESSAGE_BYTES_MAX)
}

/** One request, one response. An error that it throws becomes the status (`errors.ts`). */
export interface UnaryRpc<Q, A> extends RpcDescription<Q, A, 'unary'> {
  readonly wanted: Wanted
  readonly run: (request: Q, call: EtcdCall) => Promise<Encodable<A> | ResponseInParts<A>>
}

/** One request, many responses. */
export interface ServerStreamRpc<Q, A> extends RpcDescription<Q, A, 'server-stream'> {
  readonly wanted: Wanted
  readonly run: (request: Q, call: EtcdCall, responses: Responses<A>) => Promise<void>
}

/** Many requests, many responses, until either side ends the stream. */
export interface DuplexRpc<Q, A> extends RpcDescription<Q, A, 'duplex'> {
  readonly wanted: Wanted
  readonly open: (call: EtcdCall, responses: Responses<A>) => RequestReceiver<Q>
}

export const serveUnary = <Q, A>(
  rpc: RpcDescription<Q, A, 'unary'>,
  run: UnaryRpc<Q, A>['run'],
  wanted = FOR_USERS,
): UnaryRpc<Q, A> => ({ ...rpc, run, wanted })

export const serveStream = <Q, A>(
  rpc: RpcDescription<Q, A, 'server-stream'>,
  run: ServerStreamRpc<Q, A>['run'],
  wanted = FOR_USERS,
): ServerStreamRpc<Q, A> => ({ ...rpc, run, wanted: { ...wanted, isLasting: true } })

export const serveDuplex = <Q, A>(
  rpc: RpcDescription<Q, A, 'duplex'>,
  open: DuplexRpc<Q, A>['open'],
): DuplexRpc<Q, A> => ({ ...rpc, open, wanted: LASTING })

const LASTING: Wanted = { isLasting: true }

/** The responses of a stream. */
export interface Responses<A> {
  /** Sends a response. Nothing is sent after the end of the stream. */
  send(response: Partial<A>): void
  /** Sends a message that is encoded already. `taken`: the kernel has taken it. */
  sendBytes(message: Uint8Array, taken?: () => void): void
  /** Bytes that the client has not taken. */
  readonly waitingBytes: number
  /**
   * Resolves when the client has taken all or is gone, at the latest at this time on the clock of `performance.now()`.
   */
  drained(until?: number): Promise<void>
  /** Ends the stream; undefined: well. */
  end(error?: GrpcError): void
}

/** Receives the requests of a stream. None of these throws. */
export interface RequestReceiver<Q> {
  /** So many requests wait for their responses that none is read until the client has taken some of these. */
  readonly isBusy: boolean
  request(request: Q): void
  /** The client sends no more requests, and still reads responses. */
  halfClosed(): void
  /** The stream is over: nothing is sent any more. */
  closed(): void
}

/** The name of an RPC in metrics: `KV/Put`. */
export const rpcName = ({ path }: Pick<AnyRpc, 'path'>): string => path.replace(/^\/.*\./, '')

/**
 * Fields of a request, those of its operations included. A transaction has 128 operations in each of its lists, and
 * transactions in them.
 */
export const REQUEST_FIELDS_MAX = 16_384

/** While a client has more bytes of the responses of a stream untaken, no further request of it is read. */
export const UNTAKEN_BYTES_MAX = 64 * 1024

export type Rpc<Q = unknown, A = unknown> = UnaryRpc<Q, A> | ServerStreamRpc<Q, A> | DuplexRpc<Q, A>

/** RPCs of any messages, as a transport finds them: it decodes the request that it hands over. */
// biome-ignore lint/suspicious/noExplicitAny: an RPC accepts only what its own message has decoded.
export type AnyRpc = Rpc<any, any>

export type AnyStreamRpc = Exclude<AnyRpc, { readonly kind: 'unary' }>
