// One call: its request or requests, and its response or responses, on one stream of HTTP/2.

import type { IncomingHttpHeaders } from 'node:http2'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { Span } from '@opentelemetry/api'
import {
  encodeStatusText,
  FRAME_HEAD_BYTES,
  GrpcFrameReader,
  readTimeoutMs,
  withFrameHead,
} from '../../../etcd/frames.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import type { ApiError } from '../../../operations/forms/index.ts'
import type { Api } from '../../api/api.ts'
import type { Principal } from '../../api/call.ts'
import { answerWithinMs } from '../../api/limits.ts'
import { NEWER_MS_MAX, unauthenticated } from '../../api/permit.ts'
import type { ClientIdentity } from '../../connections/client-identity.ts'
import type { GrpcLimits } from '../../connections/grpc-limits.ts'
import type { StallLimits } from '../../connections/limits.ts'
import type { Metrics } from '../../node/observe/metrics.ts'
import { asBearer } from '../authorization.ts'
import { EtcdCall, type EtcdCaller, TIMEOUT_MS } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import { type AnyRpc, type RequestReceiver, type Responses, UNTAKEN_BYTES_MAX } from '../rpc.ts'
import { RPCS } from '../services/index.ts'
import { endCallSpan, startCallSpan } from './call-span.ts'

interface ServedRpc {
  readonly rpc: AnyRpc
  /** For metrics: `KV/Put`. */
  readonly label: string
  /** For logs and traces: `grpc KV/Put`. */
  readonly name: string
}

const RPC_OF: ReadonlyMap<string, ServedRpc> = new Map(
  RPCS.map((rpc) => {
    const label = rpc.path.replace(/^\/.*\./, '')
    return [rpc.path, { rpc, label, name: `grpc ${label}` }]
  }),
)

/** The connection of a call. */
export interface StreamConnection {
  readonly socket: Socket
  readonly address: string
  readonly isServed: boolean
  /** Whether somebody is known on it. */
  readonly isKnown: boolean
  readonly options: ServedStreamOptions
  /** Throws `ApiError` for another host, and for a page of another site. */
  checkSender(headers: IncomingHttpHeaders): void
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void
  /** Its client is a user, or rights are not checked and it is served. */
  identified(): void
  /** A call was refused before its request was read. */
  refusedStranger(): void
  /** Counts what its client may send on a stream before it is known. Throws `ApiError` if there is no room. */
  holdUnread(): () => void
  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void
  release(bytes: number): void
  /** A response has so many bytes that its client has not taken. */
  sent(bytes: number): void
  taken(bytes: number): void
  /** Something was sent to the client. */
  responded(): void
  streamClosed(stream: ServedStream, endedEarly: boolean): void
}

export interface ServedStreamOptions {
  readonly api: Api
  readonly limits: GrpcLimits & StallLimits
  readonly metrics: Pick<Metrics, 'callEnded'>
  readonly identity: ClientIdentity
  readonly isClosing: () => boolean
}

export class ServedStream implements Responses<object> {
  readonly #stream: ServerHttp2Stream
  readonly #headers: IncomingHttpHeaders
  readonly #connection: StreamConnection
  readonly #reader: GrpcFrameReader
  #call: EtcdCall | undefined
  #rpc: AnyRpc | undefined
  #label = ''
  #span: Span | undefined
  /** The status with which the call has ended. */
  #code: number | undefined
  readonly #startedAt = performance.now()
  #receiver: RequestReceiver<unknown> | undefined
  /** The request of an RPC that has one. */
  #request: unknown
  /** Its bytes, and those of a message that has not arrived completely. */
  #heldBytes = 0
  #receivedBytes = 0
  /** Bytes of responses that the client has not taken. */
  #waitingBytes = 0
  /** Time without progress of the client, in checks. */
  #stillMs = 0
  #progress: number | undefined
  #hasHead = false
  /** Nothing is sent any more. */
  #isOver = false
  #isClosed = false

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, connection: StreamConnection) {
    this.#stream = stream
    this.#headers = headers
    this.#connection = connection
    this.#reader = new GrpcFrameReader(connection.options.limits.grpcMessageBytesMax)
    stream.on('error', ignore)
    stream.on('close', () => this.closed())
    // A stream that is not read ends only when the rest has been read.
    stream.on('aborted', () => stream.resume())
  }

  /** Whether the node owes its client something: a response, or the decision on who it is. */
  get isBeingServed(): boolean {
    if (this.#isOver || this.#waitsForRequest || this.#waitingBytes > 0) return false
    // A client that nobody knows keeps no connection open with a stream of many responses.
    return this.#connection.isKnown || this.#rpc === undefined || this.#rpc.kind === 'unary'
  }

  get #waitsForRequest(): boolean {
    if (this.#call === undefined) return false
    return this.#receiver === undefined ? this.#request === undefined : this.#reader.heldBytes > 0
  }

  begin(): void {
    const connection = this.#connection
    const { api, identity, isClosing } = connection.options
    const headers = this.#headers
    try {
      connection.checkSender(headers)
      if (!GRPC_TYPE.test(headers['content-type'] ?? '')) {
        this.#refuseMediaType()
        return
      }
      const path = headers[':path'] ?? ''
      const served = RPC_OF.get(path)
      if (served === undefined) throw unknownRpc(path)
      if (isClosing()) throw ETCD_ERRORS.stopped
      checkEncoding(headers['grpc-encoding'])
      const timeoutMs = Math.min(readTimeoutMs(field(headers['grpc-timeout'])) ?? TIMEOUT_MS, TIMEOUT_MS)
      const deadline = this.#startedAt + answerWithinMs(timeoutMs)
      const { rpc } = served
      if (!api.node.auth.enabled && rpc.access === undefined) connection.checkServed()
      if (rpc.access !== undefined || !identity.isNeeded) this.#open(served, undefined, deadline)
      else this.#identify(served, deadline)
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** Finds out who the client is, before anything of its request is read. */
  #identify(served: ServedRpc, deadline: number): void {
    const { identity } = this.#connection.options
    const { socket, isServed } = this.#connection
    const authorization = findAuthorization(this.#headers)
    const client = { headers: { authorization }, socket, isServed }
    let release: (() => void) | undefined
    let isDone = false
    const done = (error: ApiError | undefined, principal: Principal | undefined): void => {
      isDone = true
      release?.()
      if (this.#isClosed) return
      if (error === undefined) this.#open(served, principal, deadline)
      else if (error.code !== 'unauthenticated' || authorization !== undefined) this.#refuse(error)
      // A certificate may name anybody.
      else this.#refuse(error, principal === undefined ? ETCD_ERRORS.userEmpty : ETCD_ERRORS.permissionDenied)
    }
    identity.identify(client, NEWER_MS_MAX, (error, principal) => {
      if (error !== undefined) done(error, principal)
      else
        identity.whenKnown(principal, NEWER_MS_MAX, (unknown) =>
          done(unknown ?? (identity.isStranger(principal) ? unauthenticated() : undefined), principal),
        )
    })
    if (!isDone) release = this.#connection.holdUnread()
  }

  #open({ rpc, label, name }: ServedRpc, principal: Principal | undefined, deadline: number): void {
    const connection = this.#connection
    const { address, options } = connection
    const { api } = options
    const isUnidentified = !api.node.auth.enabled
    if (rpc.access === undefined) connection.identified()
    const client: EtcdCaller = {
      principal,
      isUnidentified,
      address,
      checkServed: () => connection.checkServed(),
    }
    this.#rpc = rpc
    this.#label = label
    this.#span = startCallSpan(name, this.#headers, api.node.name)
    const call = new EtcdCall(api, client, name, deadline, this.#span?.spanContext())
    this.#call = call
    try {
      if (rpc.kind === 'duplex') this.#receiver = rpc.open(call, this)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#stream.on('end', () => this.#requestsEnded())
  }

  #receive(chunk: Buffer): void {
    if (this.#isOver || this.#rpc === undefined) return
    this.#receivedBytes += chunk.length
    try {
      const messages = this.#reader.read(chunk)
      this.#holdRequest(messages)
      for (const bytes of messages) {
        const request: unknown = this.#rpc.request.decode(bytes)
        if (this.#receiver !== undefined) this.#receiver.request(request)
        else if (this.#request === undefined) this.#request = request
        else throw new GrpcError(GRPC.internal, 'grpc: more than one request')
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#pace()
  }

  /** Every request of a stream may have a response: a client that takes none is not read. */
  #pace(): void {
    if (this.#receiver === undefined) return
    const isAhead = this.#waitingBytes > UNTAKEN_BYTES_MAX
    if (this.#isReset || isAhead === this.#stream.isPaused()) return
    if (isAhead) this.#stream.pause()
    else this.#stream.resume()
  }

  /** Counts the request of an RPC that has one, until its response; and what has arrived of the next message. */
  #holdRequest(messages: readonly Uint8Array[]): void {
    let bytes = this.#reader.heldBytes
    if (this.#receiver === undefined) {
      bytes += this.#request === undefined ? 0 : this.#heldBytes
      for (const message of messages) bytes += message.length
    }
    if (bytes === this.#heldBytes) return
    if (bytes > this.#heldBytes) this.#connection.hold(bytes - this.#heldBytes)
    else this.#connection.release(this.#heldBytes - bytes)
    this.#heldBytes = bytes
  }

  #requestsEnded(): void {
    if (this.#isOver || this.#rpc === undefined || this.#call === undefined) return
    if (this.#receiver !== undefined) this.#receiver.halfClosed()
    else if (this.#request === undefined || this.#reader.heldBytes > 0)
      this.end(new GrpcError(GRPC.internal, 'grpc: the request has not arrived completely'))
    else void this.#run(this.#rpc, this.#request, this.#call)
  }

  async #run(rpc: AnyRpc, request: unknown, call: EtcdCall): Promise<void> {
    try {
      if (rpc.kind === 'unary') {
        const response: object = await rpc.run(request, call)
        if (rpc.access === 'login') this.#connection.identified()
        this.#endWith(withFrameHead(rpc.response.encode(response, FRAME_HEAD_BYTES)))
      } else if (rpc.kind === 'server-stream') {
        await rpc.run(request, call, this)
        this.end()
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Responses

  send(response: object): void {
    if (this.#isOver || this.#rpc === undefined) return
    this.#write(withFrameHead(this.#rpc.response.encode(response, FRAME_HEAD_BYTES)))
  }

  sendBytes(message: Uint8Array, taken?: () => void): void {
    const frame = new Uint8Array(FRAME_HEAD_BYTES + message.length)
    frame.set(message, FRAME_HEAD_BYTES)
    this.#write(withFrameHead(frame), taken)
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  async drained(): Promise<void> {
    const stream = this.#stream
    if (this.#isOver || !stream.writableNeedDrain) return
    await new Promise<void>((resolve) => {
      stream.once('drain', resolve)
      stream.once('close', resolve)
    })
  }

  /** Whether the client has reset the stream. Its `close` event follows later, and nothing may be sent before it. */
  get #isReset(): boolean {
    return this.#stream.closed || this.#stream.destroyed
  }

  #write(frame: Uint8Array, taken?: () => void): void {
    if (this.#isOver || this.#isReset) return
    const connection = this.#connection
    if (!this.#hasHead) {
      this.#hasHead = true
      this.#stream.respond(RESPONSE_HEAD, RESPONSE_OPTIONS)
    }
    const { length } = frame
    this.#waitingBytes += length
    connection.sent(length)
    // The transport counts it now.
    this.#call?.releaseRoom()
    connection.responded()
    this.#stream.write(frame, () => {
      this.#taken(length)
      taken?.()
    })
  }

  #taken(bytes: number): void {
    // A stream that is closed has given back all of them.
    if (this.#isClosed) return
    this.#waitingBytes -= bytes
    this.#connection.taken(bytes)
    this.#pace()
  }

  /** Sends the only response and the end of the call together. It counts as taken when the stream is closed. */
  #endWith(frame: Uint8Array): void {
    if (this.#isOver || this.#isReset) return
    const stream = this.#stream
    this.#isOver = true
    this.#code = GRPC.ok
    this.#waitingBytes = frame.length
    this.#connection.sent(frame.length)
    // The transport counts it now.
    this.#call?.releaseRoom()
    this.#connection.responded()
    stream.respond(RESPONSE_HEAD, RESPONSE_OPTIONS)
    stream.once('wantTrailers', sendOk)
    stream.end(frame)
  }

  end(error?: GrpcError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#code = error?.code ?? GRPC.ok
    const stream = this.#stream
    this.#connection.responded()
    if (this.#hasHead) {
      const trailers = error === undefined ? OK : encodeStatus(error)
      stream.once('wantTrailers', () => stream.sendTrailers(trailers))
      stream.end()
    } else if (!stream.headersSent && !this.#isReset) {
      stream.respond({ ...RESPONSE_HEAD, ...(error === undefined ? OK : encodeStatus(error)) }, TRAILERS_ONLY)
      // The rest of the request is not read.
      stream.close(constants.NGHTTP2_NO_ERROR)
    }
  }

  #fail(error: unknown): void {
    this.end(toGrpcError(this.#connection.options.api, error))
  }

  /** Refuses the call before its request is read. `status`: what the client receives instead of that of the error. */
  #refuse(error: unknown, status?: GrpcError): void {
    const connection = this.#connection
    const { identity, api } = connection.options
    const { address } = connection
    const origin = () => ({ method: `grpc ${this.#headers[':path']}`, address })
    identity.auditRefusal({ origin }, { authorization: findAuthorization(this.#headers) }, error)
    this.end(status ?? toGrpcError(api, error))
    connection.refusedStranger()
  }

  #refuseMediaType(): void {
    this.#isOver = true
    if (this.#isReset) return
    this.#stream.respond({ ':status': 415 }, TRAILERS_ONLY)
    this.#stream.close(constants.NGHTTP2_NO_ERROR)
    this.#connection.refusedStranger()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Its end

  /** The node stops. Clients open a stream of many responses again, at another node. */
  leave(): void {
    if (this.#rpc !== undefined && this.#rpc.kind !== 'unary') this.end(ETCD_ERRORS.stopped)
  }

  /** Called at intervals of `sinceMs`: breaks a call whose client takes nothing, or does not send its request. */
  check(sinceMs: number): void {
    const progress =
      this.#waitingBytes > 0 ? -this.#waitingBytes : this.#waitsForRequest ? this.#receivedBytes : undefined
    this.#stillMs = progress !== undefined && progress === this.#progress ? this.#stillMs + sinceMs : 0
    this.#progress = progress
    if (this.#stillMs < this.#connection.options.limits.writeStallMsMax) return
    this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  /** The stream is closed, for whatever reason. */
  closed(): void {
    if (this.#isClosed) return
    const endedEarly = !this.#isOver || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR
    this.#isClosed = true
    this.#isOver = true
    this.#connection.release(this.#heldBytes)
    this.#connection.taken(this.#waitingBytes)
    this.#call?.abandon()
    this.#receiver?.closed()
    this.#report()
    this.#connection.streamClosed(this, endedEarly)
  }

  #report(): void {
    if (this.#rpc === undefined) return
    const ms = performance.now() - this.#startedAt
    this.#connection.options.metrics.callEnded(this.#label, this.#code ?? GRPC.cancelled, ms)
    if (this.#span !== undefined) endCallSpan(this.#span, this.#code)
  }
}

const GRPC_TYPE = /^application\/grpc(?:\+proto)?(?:;|$)/

const RESPONSE_HEAD = { ':status': 200, 'content-type': 'application/grpc' }
const RESPONSE_OPTIONS = { waitForTrailers: true, sendDate: false }
const TRAILERS_ONLY = { endStream: true, sendDate: false }
const OK = { 'grpc-status': '0' }

/** `close` follows. */
const ignore = (): void => {}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK)
}

/** Only what is not compressed is read. */
const ACCEPTED = { 'grpc-accept-encoding': 'identity' }

function encodeStatus({ code, message }: GrpcError): Record<string, string> {
  const status = { 'grpc-status': String(code), 'grpc-message': encodeStatusText(message) }
  return code === GRPC.unimplemented ? { ...status, ...ACCEPTED } : status
}

/** Throws `GrpcError` if the messages are compressed. */
function checkEncoding(encoding: string | readonly string[] | undefined): void {
  if (encoding === undefined || encoding === 'identity') return
  throw new GrpcError(
    GRPC.unimplemented,
    `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
  )
}

const findAuthorization = (headers: IncomingHttpHeaders): string | undefined =>
  asBearer(field(headers.token) ?? headers.authorization)

function unknownRpc(path: string): GrpcError {
  const [, service = '', method = ''] = path.split('/')
  const isKnownService = RPCS.some((rpc) => rpc.path.startsWith(`/${service}/`))
  return isKnownService
    ? new GrpcError(GRPC.unimplemented, `unknown method ${method} for service ${service}`)
    : new GrpcError(GRPC.unimplemented, `unknown service ${service}`)
}

const field = (header: string | readonly string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : header?.[0]
