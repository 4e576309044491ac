// One call: its request or requests, and its response or responses, on one stream of HTTP/2.

import type { Span } from '@opentelemetry/api'
import {
  encodeStatusText,
  FRAME_HEAD_BYTES,
  GrpcFrameReader,
  readTimeoutMs,
  withFrameHead,
} from '../../../etcd/frames.ts'
import { freePart } from '../../../etcd/message.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { PIECE_BYTES, tooManyBodies } from '../../api/budget.ts'
import type { Principal } from '../../api/call.ts'
import { NEWER_MS_MAX } from '../../api/permit.ts'
import type { ClientConnection } from '../../clients/client-connection.ts'
import { checkServed, FOR_USERS, type Gate, type Opening } from '../../clients/gate.ts'
import type { GrpcLimits } from '../../clients/grpc-limits.ts'
import type { RequestHead } from '../../clients/guard.ts'
import type { StallLimits } from '../../clients/limits.ts'
import type { Metrics } from '../../node/observe/metrics.ts'
import { asBearer } from '../authorization.ts'
import { type CallTimes, callTimes, DEADLINE_EXCEEDED, EtcdCall, type EtcdCaller } from '../call.ts'
import { Drain } from '../drain.ts'
import { nameRefusal, toGrpcError } from '../errors.ts'
import type { EtcdApi } from '../etcd-api.ts'
import { encodeFields } from '../http2/hpack.ts'
import { CODE, type FieldBlock, type Http2Stream, type StreamReceiver } from '../http2/http2.ts'
import type { RequestFields } from '../http2/request-fields.ts'
import {
  type AnyRpc,
  checkMessageBytes,
  REQUEST_FIELDS_MAX,
  type RequestReceiver,
  ResponseInParts,
  type Responses,
  rpcName,
  UNTAKEN_BYTES_MAX,
} from '../rpc.ts'
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
    const label = rpcName(rpc)
    return [rpc.path, { rpc, label, name: `grpc ${label}` }]
  }),
)

/** The connection of a call. */
export interface StreamConnection {
  readonly client: ClientConnection
  readonly options: ServedStreamOptions
  /** Bytes of responses that the client has taken, of all calls. */
  readonly takenBytes: number
  /** A call was refused before its request was read. */
  refusedUnidentified(): void
  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void
  release(bytes: number): void
  /** Counts a call that is over and still runs, and the bytes of its request, until the returned function is called. */
  outlive(bytes: number): () => void
  /** Something was sent to the client. */
  responded(): void
  streamClosed(stream: ServedStream, endedEarly: boolean): void
}

export interface ServedStreamOptions {
  readonly etcd: EtcdApi
  readonly limits: GrpcLimits & StallLimits
  readonly metrics: Pick<Metrics, 'callEnded'>
  readonly gate: Gate
}

/** The head of a call, as the gate sees it. */
class CallOpening implements Opening {
  readonly method = 'POST'
  readonly httpVersion = '2.0'
  readonly hosts = 1
  readonly target = NO_TARGET
  readonly cluster = undefined
  /**
   * A page sends `application/grpc` only with POST, and browsers add Origin to each POST. Programs name anything as the
   * authority: all their endpoints, a fixed name, the name of a balancer. etcd does not read it either.
   */
  readonly namesPage = true
  readonly headers: RequestHead['headers']
  readonly authorization: string | undefined
  readonly served: ServedRpc | undefined
  extra: readonly string[] = []
  isUnidentified = false
  isUnauthenticated = false
  principal: Principal | undefined
  times: CallTimes | undefined
  readonly connection: ClientConnection
  readonly #head: RequestFields
  readonly #startedAt: number

  constructor(
    head: RequestFields,
    connection: ClientConnection,
    served: ServedRpc | undefined,
    startedAt: number,
  ) {
    const { authority, host, origin, secFetchSite, token, authorization } = head
    this.headers = { host: authority ?? host, origin, 'sec-fetch-site': secFetchSite }
    this.authorization = asBearer(token ?? authorization)
    this.served = served
    this.connection = connection
    this.#head = head
    this.#startedAt = startedAt
  }

  check(): void {
    const { method, contentType, path = '', grpcEncoding, grpcTimeout } = this.#head
    if (method !== 'POST') throw new NoCallError(METHOD_NOT_ALLOWED)
    if (!isGrpc(contentType)) throw new NoCallError(UNSUPPORTED_MEDIA_TYPE)
    if (this.served === undefined) throw unknownRpc(path)
    checkEncoding(grpcEncoding)
    this.times = callTimes(this.#startedAt, readTimeoutMs(grpcTimeout))
  }

  newerWithinMs(): number {
    return NEWER_MS_MAX
  }

  /** Anybody may send any path, and any number of them: the line has that of an RPC. */
  origin(): { readonly method: string; readonly address: string } {
    return { method: this.served?.name ?? 'grpc', address: this.connection.address }
  }
}

const NO_TARGET = { authority: undefined, query: '' } as const

/** A request that is no call of gRPC. */
class NoCallError extends Error {
  /** Status of HTTP. */
  readonly status: string

  constructor(status: string) {
    super(`no call of gRPC: ${status}`)
    this.status = status
  }
}

interface Progress {
  /** It takes a response; otherwise it sends its request. */
  readonly isTaking: boolean
  readonly bytes: number
  /** Bytes that all calls of its connection have taken. */
  readonly ofAll: number
}

export class ServedStream implements Responses<object>, StreamReceiver {
  readonly #stream: Http2Stream
  /** undefined: the call is open, and nothing reads it any more. */
  #head: RequestFields | undefined
  readonly #connection: StreamConnection
  #reader: GrpcFrameReader
  #call: EtcdCall | undefined
  #rpc: AnyRpc | undefined
  #label = ''
  #span: Span | undefined
  /** The status with which the call has ended. */
  #code: number | undefined
  readonly #startedAt = performance.now()
  #receiver: RequestReceiver<unknown> | undefined
  /** The request of an RPC that has one. As a message it may have many times the memory. */
  #request: Uint8Array | undefined
  /** It has arrived, and the client sends nothing more. */
  #hasRequest = false
  /** Its bytes, and those of a message that has not arrived completely. */
  #heldBytes = 0
  /** Bytes of its head, until it is open. */
  #headBytes = 0
  #isRunning = false
  /** It is over and still runs, and the node counts it. */
  #giveBack: (() => void) | undefined
  #receivedBytes = 0
  /** Bytes of its responses, whether the client has taken them or not. */
  #sentBytes = 0
  /** Time without progress of the client, in checks. */
  #stillMs = 0
  #progress: Progress | undefined
  #hasHead = false
  /** Nothing is sent any more. */
  #isOver = false
  #isClosed = false
  readonly #drain = new Drain()
  #stopTimer = (): void => {}

  constructor(stream: Http2Stream, head: RequestFields, connection: StreamConnection) {
    this.#stream = stream
    this.#head = head
    this.#connection = connection
    this.#reader = new GrpcFrameReader(connection.options.limits.grpcMessageBytesMax)
  }

  /** Whether the node owes its client something: a response, or the decision on who it is. */
  get isBeingServed(): boolean {
    if (this.#isOver || this.#waitsForRequest || this.waitingBytes > 0) return false
    // A client that nobody knows keeps no connection open with a stream of many responses.
    return this.#connection.client.isKnown || this.#rpc === undefined || this.#rpc.kind === 'unary'
  }

  get #waitsForRequest(): boolean {
    if (this.#call === undefined) return false
    return this.#receiver === undefined ? !this.#hasRequest : this.#reader.heldBytes > 0
  }

  /** Asks the gate for the client, before anything of the request is read. */
  begin(): void {
    const head = this.#head
    if (head === undefined) return
    const served = RPC_OF.get(head.path ?? '')
    if (served !== undefined) this.#label = served.label
    try {
      this.#connection.hold(head.bytes)
      this.#headBytes = head.bytes
    } catch (error) {
      this.#refuse(error)
      return
    }
    const opening = new CallOpening(head, this.#connection.client, served, this.#startedAt)
    this.#connection.options.gate.admit(opening, served?.rpc.wanted ?? FOR_USERS, this.#admitted)
  }

  readonly #admitted = (opening: CallOpening, refusal: unknown): void => {
    if (this.#isClosed) return
    const { served, times } = opening
    if (refusal !== undefined) this.#refuse(nameRefusal(opening, refusal))
    else if (served !== undefined && times !== undefined) this.#open(served, opening, times)
    // A call may stay open for days.
    this.#releaseHead()
  }

  /** A refusal may have closed the stream, which has given it back already. */
  #releaseHead(): void {
    this.#head = undefined
    this.#connection.release(this.#headBytes)
    this.#headBytes = 0
  }

  #open({ rpc, name }: ServedRpc, { principal, isUnidentified }: CallOpening, times: CallTimes): void {
    const { client: connection, options } = this.#connection
    const { etcd } = options
    const { open } = rpc.wanted
    if (open !== undefined) this.#reader = new GrpcFrameReader(open.requestBytesMax)
    const client: EtcdCaller = {
      principal,
      isUnidentified,
      requiresLeader: this.#head?.hasLeader === 'true',
      connection,
      checkServed: () => checkServed(connection, rpc.wanted),
    }
    this.#rpc = rpc
    this.#span = this.#head && startCallSpan(name, this.#head, etcd.api.node.name)
    const call = new EtcdCall(etcd, client, name, times, this.#span?.spanContext())
    this.#call = call
    // The operations of a call with one response have deadlines.
    if (rpc.kind !== 'unary') this.#stopTimer = call.whenLate(() => this.end(DEADLINE_EXCEEDED))
    try {
      if (rpc.kind === 'duplex') this.#receiver = rpc.open(call, this)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#stream.resume()
  }

  receive(chunk: Uint8Array): void {
    if (this.#isOver || this.#rpc === undefined) return
    this.#receivedBytes += chunk.length
    try {
      const messages = this.#reader.read(chunk)
      this.#holdRequest(messages)
      for (const bytes of messages) {
        // A request before may have ended it.
        if (this.#isOver) return
        if (this.#receiver !== undefined)
          this.#receiver.request(this.#rpc.request.decode(bytes, REQUEST_FIELDS_MAX))
        // Otherwise a few bytes would keep the whole buffer of a chunk.
        else if (this.#request === undefined) this.#request = new Uint8Array(bytes)
        else throw new GrpcError(GRPC.internal, 'grpc: more than one request')
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#pace()
  }

  roomDenied(): void {
    if (this.#rpc === undefined) this.#refuse(tooManyBodies())
    else this.#fail(tooManyBodies())
  }

  /** Every request of a stream may have a response: a client that takes none is not read, nor one too far ahead. */
  #pace(): void {
    if (this.#receiver === undefined) return
    if (this.waitingBytes > UNTAKEN_BYTES_MAX || this.#receiver.isBusy) this.#stream.pause()
    else if (this.#stream.isPaused) this.#stream.resume()
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

  requestEnded(): void {
    if (this.#isOver || this.#rpc === undefined || this.#call === undefined) return
    if (this.#receiver !== undefined) this.#receiver.halfClosed()
    else if (this.#request === undefined || this.#reader.heldBytes > 0)
      this.end(new GrpcError(GRPC.internal, 'grpc: the request has not arrived completely'))
    else {
      this.#hasRequest = true
      void this.#run(this.#rpc, this.#request, this.#call)
    }
  }

  async #run(rpc: AnyRpc, bytes: Uint8Array, call: EtcdCall): Promise<void> {
    this.#isRunning = true
    try {
      const request: unknown = rpc.request.decode(bytes, REQUEST_FIELDS_MAX)
      if (rpc.kind === 'unary') {
        const response = await rpc.run(request, call)
        if (rpc.wanted.open?.isLogin === true) this.#connection.client.identified()
        if (response instanceof ResponseInParts) await this.#sendInParts(response, call, rpc)
        else this.send(response)
        this.end()
      } else if (rpc.kind === 'server-stream') {
        await rpc.run(request, call, this)
        this.end()
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#isRunning = false
      this.#giveBack?.()
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Responses

  send(response: object): void {
    if (this.#isOver || this.#rpc === undefined) return
    this.#write(this.#rpc.response.encodeInParts(response, FRAME_HEAD_BYTES))
  }

  sendBytes(message: Uint8Array, taken?: () => void): void {
    const frame = new Uint8Array(FRAME_HEAD_BYTES + message.length)
    frame.set(message, FRAME_HEAD_BYTES)
    this.#write([frame], taken)
  }

  get waitingBytes(): number {
    return this.#stream.untakenBytes
  }

  async drained(until?: number): Promise<void> {
    if (this.#isOver || this.waitingBytes <= UNTAKEN_BYTES_MAX) return
    await this.#drain.wait(until)
  }

  /** The parts of one message, as `encodeInParts` returns them. */
  #write(parts: readonly Uint8Array[], taken?: () => void): void {
    const [first] = parts
    if (this.#isOver || first === undefined) return
    let length = -FRAME_HEAD_BYTES
    for (const part of parts) length += part.length
    withFrameHead(first, length)
    const last = parts.length - 1
    for (const [at, part] of parts.entries()) {
      const isOfValues = at > 0 && at < last
      this.#sendPart(part, at === last ? taken : isOfValues ? () => freePart(part) : undefined)
    }
    // The transport counts it now.
    this.#call?.releaseRoom()
  }

  #sendPart(part: Uint8Array, taken?: () => void): void {
    if (this.#isOver) return
    this.#sentBytes += part.length
    if (!this.#hasHead) {
      this.#hasHead = true
      this.#stream.sendHead(RESPONSE_HEAD, false)
    }
    this.#stream.sendData(part, taken)
    this.#connection.responded()
  }

  /** Its client waits for it as long as it has stated. */
  async #sendInParts(
    { fields, name, values }: ResponseInParts<object>,
    call: EtcdCall,
    { response }: AnyRpc,
  ): Promise<void> {
    this.#stopTimer = call.whenLate(() => this.end(DEADLINE_EXCEEDED))
    try {
      const [head, tail] = response.encodeAround(name, fields, FRAME_HEAD_BYTES)
      let left = values.bytes
      checkMessageBytes(head.length + left + tail.length)
      this.#sendPart(withFrameHead(head, head.length - FRAME_HEAD_BYTES + left + tail.length))
      for (let part = await values.next(); part !== undefined; part = await values.next()) {
        left -= part.length
        if (left < 0) break
        this.#sendPart(part, () => freePart(part))
        await this.drained(Math.min(values.takenUntil, call.endsAt))
        if (this.#isOver) return
      }
      if (left !== 0) throw new Error(`a response has ${left} bytes less than it has announced`)
      this.#sendPart(tail)
    } finally {
      values.close()
      call.releaseRoom()
    }
  }

  responseTaken(): void {
    this.#pace()
    if (this.#drain.isAwaited && this.waitingBytes <= UNTAKEN_BYTES_MAX) this.#drain.end()
  }

  end(error?: GrpcError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#code = error?.code ?? GRPC.ok
    const stream = this.#stream
    this.#connection.responded()
    if (this.#hasHead) stream.sendTrailers(error === undefined ? OK : encodeFields(encodeStatus(error)))
    // The rest of the request is not read.
    else
      stream.sendHead(
        encodeFields({ ...RESPONSE_FIELDS, ...(error === undefined ? OK_FIELDS : encodeStatus(error)) }),
        true,
      )
  }

  #fail(error: unknown): void {
    this.end(toGrpcError(this.#connection.options.etcd.api, error))
  }

  /** Refuses the call before its request is read. */
  #refuse(error: unknown): void {
    const connection = this.#connection
    if (error instanceof NoCallError) {
      this.#isOver = true
      this.#stream.sendHead(encodeFields({ ':status': error.status }), true)
    } else this.#fail(error)
    connection.refusedUnidentified()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Its end

  /** The node stops. Clients open a stream of many responses again, at another node. */
  leave(): void {
    if (this.#rpc !== undefined && this.#rpc.kind !== 'unary') this.end(ETCD_ERRORS.stopped)
  }

  /** Called at intervals of `sinceMs`: breaks a call whose client takes nothing, or does not send its request. */
  check(sinceMs: number): void {
    const waiting = this.waitingBytes
    // A client that takes as much as it is sent has the same number of bytes waiting each time.
    const progress =
      waiting > 0
        ? { isTaking: true, bytes: this.#sentBytes - waiting, ofAll: this.#connection.takenBytes }
        : this.#waitsForRequest && { isTaking: false, bytes: this.#receivedBytes, ofAll: 0 }
    if (progress && !this.#hasMoved(progress)) this.#stillMs += sinceMs
    else {
      this.#stillMs = 0
      this.#progress = progress || undefined
    }
    if (this.#stillMs < this.#connection.options.limits.writeStallMsMax) return
    this.#stream.reset(CODE.enhanceYourCalm)
  }

  /**
   * Whether the client has sent or taken anything. Who shuts a window must take more: a byte now and then would keep
   * memory of all. Watches have limits of their own, and a client may take their events as slowly as it likes.
   */
  #hasMoved({ isTaking, bytes, ofAll }: Progress): boolean {
    const before = this.#progress
    if (before?.isTaking !== isTaking) return true
    const moved = bytes - before.bytes
    if (!isTaking || this.#rpc?.kind === 'duplex') return moved > 0
    switch (this.#stream.shutWindow) {
      case 'stream':
        return moved >= PIECE_BYTES
      case 'connection':
        // It shares the window with other calls.
        return moved > 0 && ofAll - before.ofAll >= PIECE_BYTES
      case undefined:
        return moved > 0
    }
  }

  /** The stream is closed, for whatever reason. */
  closed(code: number): void {
    if (this.#isClosed) return
    const endedEarly = !this.#isOver || code !== CODE.noError
    this.#isClosed = true
    this.#isOver = true
    this.#stopTimer()
    this.#connection.release(this.#heldBytes)
    if (this.#isRunning) this.#giveBack = this.#connection.outlive(this.#heldBytes)
    this.#releaseHead()
    this.#drain.end()
    this.#call?.abandon()
    this.#receiver?.closed()
    this.#report()
    this.#connection.streamClosed(this, endedEarly)
  }

  #report(): void {
    if (this.#label === '') return
    const ms = performance.now() - this.#startedAt
    this.#connection.options.metrics.callEnded(this.#label, this.#code ?? GRPC.cancelled, ms)
    if (this.#span !== undefined) endCallSpan(this.#span, this.#code)
  }
}

const GRPC_TYPE = /^application\/grpc(?:\+proto)?(?:;|$)/

const isGrpc = (type = ''): boolean => type === 'application/grpc' || GRPC_TYPE.test(type)

const UNSUPPORTED_MEDIA_TYPE = '415'
const METHOD_NOT_ALLOWED = '405'

const RESPONSE_FIELDS = { ':status': '200', 'content-type': 'application/grpc' }
const OK_FIELDS = { 'grpc-status': '0' }
const RESPONSE_HEAD: FieldBlock = encodeFields(RESPONSE_FIELDS)
const OK: FieldBlock = encodeFields(OK_FIELDS)

/** Only what is not compressed is read. */
const ACCEPTED = { 'grpc-accept-encoding': 'identity' }

function encodeStatus({ code, message }: GrpcError): Record<string, string> {
  const text = encodeStatusText(message)
  const status = { 'grpc-status': String(code), 'grpc-message': text }
  return code === GRPC.unimplemented ? { ...status, ...ACCEPTED } : status
}

/** Throws `GrpcError` if the messages are compressed. */
function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === 'identity') return
  throw new GrpcError(
    GRPC.unimplemented,
    `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
  )
}

function unknownRpc(path: string): GrpcError {
  const [, service = '', method = ''] = path.split('/')
  const isKnownService = RPCS.some((rpc) => rpc.path.startsWith(`/${service}/`))
  return isKnownService
    ? new GrpcError(GRPC.unimplemented, `unknown method ${method} for service ${service}`)
    : new GrpcError(GRPC.unimplemented, `unknown service ${service}`)
}
