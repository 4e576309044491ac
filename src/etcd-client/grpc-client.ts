// A client of gRPC over node:http2, for the RPCs of `src/etcd/rpcs.ts`. One connection to one endpoint; it is opened
// with the first call, and again after it was lost. It keeps a process alive only while a call waits.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { FRAME_HEAD_BYTES, GrpcFrameReader, withFrameHead } from '../etcd/frames.ts'
import type { RpcDescription } from '../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../etcd/status.ts'

export interface GrpcClientOptions {
  /** `http://` or `https://`, host and port. */
  readonly endpoint: string
  readonly tls?: Pick<ConnectionOptions, 'secureContext' | 'servername' | 'ca' | 'cert' | 'key'> | undefined
}

export interface GrpcCallOptions {
  /** The call ends as DeadlineExceeded after this long; undefined: never. */
  readonly timeoutMs?: number | undefined
  /** Further metadata, such as `token`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** The call keeps no process alive. */
  readonly background?: boolean | undefined
  /** Size of the responses that may wait for their consumer; then the server must wait. Default 1 MiB. */
  readonly aheadBytesMax?: number | undefined
}

/** The connection has failed, and no status has arrived. */
export class ConnectionError extends GrpcError {
  override readonly cause: Error
  /** Whether bytes of the call may have left, and the server may have read them. */
  readonly isSent: boolean

  constructor(cause: Error, isSent: boolean) {
    super(GRPC.unavailable, cause.message)
    this.cause = cause
    this.isSent = isSent
  }
}

/** A response may have a range of any size. */
const MESSAGE_BYTES_MAX = 2 ** 31 - 1
/** Node loses responses while so much waits to be sent. The calls of a client have limits of their own. */
const SESSION_MEGABYTES_MAX = 64 * 1024
/** A connection is given up when the server does not answer a ping for this long. */
const PING_MS = 2_000

/** The responses of a stream, in their order, and its requests. */
export interface GrpcStream<Q, A> extends AsyncIterable<A> {
  send(request: Partial<Q>): void
  /** No more requests are sent. */
  halfClose(): void
  /** Ends the stream at once, on both sides. */
  cancel(): void
  /** Whether bytes may have left. */
  readonly isSent: boolean
}

interface Connection {
  readonly session: ClientHttp2Session
  /** The server, or what listens there, has accepted the connection. */
  isAccepted: boolean
  /** Number of calls that keep the process alive. */
  awaited: number
}

export class GrpcClient {
  readonly #options: GrpcClientOptions
  #connection: Connection | undefined

  constructor(options: GrpcClientOptions) {
    this.#options = options
  }

  /** Whether the newest connection was accepted. */
  get isAccepted(): boolean {
    return this.#connection?.isAccepted === true
  }

  /** Whether calls can be sent, as TLS needs no more of its handshake. */
  get isReady(): boolean {
    const session = this.#connection?.session
    return session !== undefined && !session.connecting && !session.closed
  }

  /** Ends the connection, and all calls with it. */
  close(): void {
    this.#connection?.session.destroy()
    this.#connection = undefined
  }

  /** Ends the connection when its calls have ended. */
  retire(): void {
    this.#connection?.session.close()
    this.#connection = undefined
  }

  /** A call was not answered: ends the connection, with all of its calls, if the other side is gone. */
  probe(): void {
    const session = this.#connection?.session
    if (session === undefined || session.destroyed) return
    if (session.connecting) {
      session.destroy(new Error('no connection in time'))
      return
    }
    const timer = setTimeout(() => session.destroy(new Error('the server does not answer')), PING_MS).unref()
    if (!session.ping(() => clearTimeout(timer))) clearTimeout(timer)
  }

  /** Rejects with `GrpcError`. */
  async unary<Q, A>(
    rpc: RpcDescription<Q, A, 'unary'>,
    request: Partial<Q>,
    options: GrpcCallOptions = {},
  ): Promise<A> {
    return singleResponse(this.serverStream(rpc, request, options))
  }

  serverStream<Q, A>(
    rpc: RpcDescription<Q, A, 'unary' | 'server-stream'>,
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

  #open<Q, A>(rpc: RpcDescription<Q, A>, options: GrpcCallOptions): GrpcCall<Q, A> {
    const { timeoutMs, metadata, background = false, aheadBytesMax = AHEAD_BYTES_MAX } = options
    const headers: OutgoingHttpHeaders = {
      ...metadata,
      ':method': 'POST',
      ':path': rpc.path,
      te: 'trailers',
      'content-type': 'application/grpc',
    }
    if (timeoutMs !== undefined) headers['grpc-timeout'] = `${Math.max(1, Math.ceil(timeoutMs))}m`
    const connection = this.#connect()
    const { session } = connection
    const stream = session.request(headers)
    if (!background) {
      if (connection.awaited++ === 0) session.ref()
      stream.once('close', () => {
        if (--connection.awaited === 0) session.unref()
      })
    }
    return new GrpcCall(rpc, session, stream, aheadBytesMax, timeoutMs)
  }

  #connect(): Connection {
    const known = this.#connection
    if (known !== undefined && !known.session.closed && !known.session.destroyed) return known
    const { endpoint } = this.#options
    const socket = this.#openSocket()
    const session = connect(endpoint, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: 2 ** 20 },
      maxSessionMemory: SESSION_MEGABYTES_MAX,
    })
    const connection: Connection = { session, isAccepted: false, awaited: 0 }
    socket.once('connect', () => {
      connection.isAccepted = true
    })
    // Calls fail by themselves.
    session.on('error', () => {})
    session.once('connect', () => {
      // Node emits it for a session that was destroyed while its socket connected, too.
      if (session.destroyed) return
      session.setLocalWindowSize(2 ** 24)
      if (connection.awaited === 0) session.unref()
    })
    session.unref()
    this.#connection = connection
    return connection
  }

  #openSocket(): Socket {
    const { endpoint, tls } = this.#options
    const { protocol, hostname, port } = new URL(endpoint)
    const isSecure = protocol === 'https:'
    // The address of [::1] has no brackets here.
    const host = hostname.replace(/[[\]]/g, '')
    const to = { host, port: port === '' ? (isSecure ? 443 : 80) : Number(port), noDelay: true }
    if (!isSecure) return connectTcp(to)
    return process.getBuiltinModule('node:tls').connect({ ...tls, ...to, ALPNProtocols: ['h2'] })
  }
}

/** The response of a unary call. Rejects with `GrpcError`. */
export async function singleResponse<A>(call: AsyncIterable<A>): Promise<A> {
  let response: A | undefined
  for await (const each of call) response = each
  if (response === undefined) throw new GrpcError(GRPC.internal, 'the server has sent no response')
  return response
}

class GrpcCall<Q, A> implements GrpcStream<Q, A> {
  readonly #rpc: RpcDescription<Q, A>
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #reader = new GrpcFrameReader(MESSAGE_BYTES_MAX)
  readonly #responses: { readonly response: A; readonly bytes: number }[] = []
  readonly #aheadBytesMax: number
  /** Size of the responses that wait for their consumer. */
  #aheadBytes = 0
  #headers: IncomingHttpHeaders = {}
  #trailers: IncomingHttpHeaders = {}
  /** undefined: it is open. */
  #end: { readonly error: GrpcError | undefined } | undefined
  #wake: () => void = () => {}

  constructor(
    rpc: RpcDescription<Q, A>,
    session: ClientHttp2Session,
    stream: ClientHttp2Stream,
    aheadBytesMax: number,
    timeoutMs: number | undefined,
  ) {
    this.#rpc = rpc
    this.#session = session
    this.#stream = stream
    this.#aheadBytesMax = aheadBytesMax
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
    stream.on('error', (error) => this.#fail(new ConnectionError(findCause(error), this.isSent)))
    stream.on('close', () => {
      clearTimeout(timer)
      this.#finish()
    })
  }

  get isSent(): boolean {
    // A server that shuts down refuses streams which it has not begun.
    return !this.#session.connecting && this.#stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM
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
        const next = this.#responses.shift()
        if (next !== undefined) {
          this.#aheadBytes -= next.bytes
          yield next.response
        } else if (this.#end === undefined)
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
      for (const message of this.#reader.read(chunk)) {
        const bytes = RESPONSE_BYTES + message.length
        this.#responses.push({ response: this.#rpc.response.decode(message), bytes })
        this.#aheadBytes += bytes
      }
    } catch (error) {
      this.#fail(error instanceof GrpcError ? error : new GrpcError(GRPC.internal, String(error)))
    }
    // The consumer of a stream reads at its own pace.
    if (this.#aheadBytes > this.#aheadBytesMax) this.#stream.pause()
    this.#wake()
  }

  #finish(): void {
    if (this.#end !== undefined) return
    // Without a message, the status stands in the only headers.
    const { 'grpc-status': status, 'grpc-message': text = '' } = { ...this.#headers, ...this.#trailers }
    const httpStatus: unknown = this.#headers[':status']
    if (status === '0') this.#ended(undefined)
    else if (status !== undefined) this.#ended(new GrpcError(Number(status), decodeText(String(text))))
    else if (httpStatus === undefined || httpStatus === 200)
      this.#ended(new ConnectionError(new Error('the connection was cut'), this.isSent))
    else
      this.#ended(
        new GrpcError(GRPC.unavailable, `what answers there is not etcd: HTTP status ${httpStatus}`),
      )
  }

  #fail(error: GrpcError): void {
    if (this.#end !== undefined) return
    this.#ended(error)
    if (!this.#stream.pending) this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#stream.destroy()
  }

  #ended(error: GrpcError | undefined): void {
    this.#end = { error }
    this.#wake()
  }
}

/** Why the connection failed: Node wraps the error for each stream of it. */
const findCause = (error: Error): Error => (error.cause instanceof Error ? error.cause : error)

const AHEAD_BYTES_MAX = 1024 * 1024
/** Memory of a response beside its message. */
const RESPONSE_BYTES = 256

function decodeText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
