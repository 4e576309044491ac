// A client of gRPC over node:http2, for the RPCs of `src/etcd/rpcs.ts`. One connection to one endpoint; it is opened
// with the first call, and again after it was lost.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { SecureContextOptions } from 'node:tls'
import { FRAME_HEAD_BYTES, GrpcFrameReader, withFrameHead } from '../etcd/frames.ts'
import type { RpcDescription } from '../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../etcd/status.ts'

export interface GrpcClientOptions {
  /** `http://` or `https://`, host and port. */
  readonly endpoint: string
  readonly tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> | undefined
}

export interface GrpcCallOptions {
  /** The call ends as DeadlineExceeded after this long; undefined: never. */
  readonly timeoutMs?: number | undefined
  /** Further metadata, such as `token`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** A response may have a range of any size. */
const MESSAGE_BYTES_MAX = 2 ** 31 - 1

/** The responses of a stream, in their order, and its requests. */
export interface GrpcStream<Q, A> extends AsyncIterable<A> {
  send(request: Partial<Q>): void
  /** No more requests are sent. */
  halfClose(): void
  /** Ends the stream at once, on both sides. */
  cancel(): void
}

export class GrpcClient {
  readonly #options: GrpcClientOptions
  #session: ClientHttp2Session | undefined

  constructor(options: GrpcClientOptions) {
    this.#options = options
  }

  /** Ends the connection, and all calls with it. */
  close(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  /** Rejects with `GrpcError`. */
  async unary<Q, A>(
    rpc: RpcDescription<Q, A, 'unary'>,
    request: Partial<Q>,
    options: GrpcCallOptions = {},
  ): Promise<A> {
    const call = this.#open(rpc, options)
    call.send(request)
    call.halfClose()
    let response: A | undefined
    for await (const each of call) response = each
    if (response === undefined) throw new GrpcError(GRPC.internal, 'the server has sent no response')
    return response
  }

  serverStream<Q, A>(
    rpc: RpcDescription<Q, A, 'server-stream'>,
    request: Partial<Q>,
    options: GrpcCallOptions = {},
  ): GrpcStream<Q, A> {
    const call = this.#open(rpc, options)
    call.send(request)
    call.halfClose()
    return call
  }

  duplex<Q, A>(rpc: RpcDescription<Q, A, 'duplex'>, options: GrpcCallOptions = {}): GrpcStream<Q, A> {
    return this.#open(rpc, options)
  }

  #open<Q, A>(rpc: RpcDescription<Q, A>, { timeoutMs, metadata }: GrpcCallOptions): GrpcCall<Q, A> {
    const headers: OutgoingHttpHeaders = {
      ...metadata,
      ':method': 'POST',
      ':path': rpc.path,
      te: 'trailers',
      'content-type': 'application/grpc',
    }
    if (timeoutMs !== undefined) headers['grpc-timeout'] = `${Math.max(1, Math.ceil(timeoutMs))}m`
    return new GrpcCall(rpc, this.#connect().request(headers), timeoutMs)
  }

  #connect(): ClientHttp2Session {
    const known = this.#session
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const { endpoint, tls } = this.#options
    const session = connect(endpoint, { ...tls, settings: { enablePush: false, initialWindowSize: 2 ** 20 } })
    // Calls fail by themselves.
    session.on('error', () => {})
    session.once('connect', () => session.setLocalWindowSize(2 ** 24))
    this.#session = session
    return session
  }
}

class GrpcCall<Q, A> implements GrpcStream<Q, A> {
  readonly #rpc: RpcDescription<Q, A>
  readonly #stream: ClientHttp2Stream
  readonly #reader = new GrpcFrameReader(MESSAGE_BYTES_MAX)
  readonly #responses: A[] = []
  #headers: IncomingHttpHeaders = {}
  #trailers: IncomingHttpHeaders = {}
  /** undefined: it is open. */
  #end: { readonly error: GrpcError | undefined } | undefined
  #wake: () => void = () => {}

  constructor(rpc: RpcDescription<Q, A>, stream: ClientHttp2Stream, timeoutMs: number | undefined) {
    this.#rpc = rpc
    this.#stream = stream
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => this.#fail(new GrpcError(GRPC.deadlineExceeded, 'context deadline exceeded')),
            timeoutMs,
          )
    stream.on('response', (headers) => {
      this.#headers = headers
    })
    stream.on('trailers', (trailers) => {
      this.#trailers = trailers
    })
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    stream.on('error', (error) => this.#fail(new GrpcError(GRPC.unavailable, error.message)))
    stream.on('close', () => {
      clearTimeout(timer)
      this.#finish()
    })
  }

  send(request: Partial<Q>): void {
    if (this.#end !== undefined || this.#stream.writableEnded) return
    this.#stream.write(withFrameHead(this.#rpc.request.encode(request, FRAME_HEAD_BYTES)))
  }

  halfClose(): void {
    this.#stream.end()
  }

  cancel(): void {
    this.#fail(new GrpcError(GRPC.cancelled, 'the call was cancelled'))
  }

  /** Throws `GrpcError` where the stream has ended with one. */
  async *[Symbol.asyncIterator](): AsyncGenerator<A, void> {
    try {
      for (;;) {
        const response = this.#responses.shift()
        if (response !== undefined) yield response
        else if (this.#end === undefined)
          await new Promise<void>((resolve) => {
            this.#wake = resolve
            this.#stream.resume()
          })
        else if (this.#end.error === undefined) return
        else throw this.#end.error
      }
    } finally {
      this.cancel()
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const bytes of this.#reader.read(chunk)) this.#responses.push(this.#rpc.response.decode(bytes))
    } catch (error) {
      this.#fail(error instanceof GrpcError ? error : new GrpcError(GRPC.internal, String(error)))
    }
    // The consumer of a stream reads at its own pace.
    if (this.#responses.length >= AHEAD_MAX) this.#stream.pause()
    this.#wake()
  }

  #finish(): void {
    if (this.#end !== undefined) return
    // Without a message, the status stands in the only headers.
    const { 'grpc-status': status, 'grpc-message': text = '' } = { ...this.#headers, ...this.#trailers }
    if (status === undefined)
      this.#ended(
        new GrpcError(GRPC.unavailable, `no status of gRPC (HTTP ${this.#headers[':status'] ?? 'ended'})`),
      )
    else if (status === '0') this.#ended(undefined)
    else this.#ended(new GrpcError(Number(status), decodeText(String(text))))
  }

  #fail(error: GrpcError): void {
    if (this.#end !== undefined) return
    this.#ended(error)
    this.#stream.destroy()
  }

  #ended(error: GrpcError | undefined): void {
    this.#end = { error }
    this.#wake()
  }
}

/** Responses that wait for their consumer. */
const AHEAD_MAX = 1_000

function decodeText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
