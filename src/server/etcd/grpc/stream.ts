// One call: its request or requests, and its response or responses, on one stream of HTTP/2.

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
import { tooManyBodies } from '../../api/budget.ts'
import type { Principal } from '../../api/call.ts'
import { NEWER_MS_MAX } from '../../api/permit.ts'
import { type ClientIdentity, strangerError } from '../../connections/client-identity.ts'
import type { GrpcLimits } from '../../connections/grpc-limits.ts'
import { loopbackOnly } from '../../connections/guard.ts'
import type { StallLimits } from '../../connections/limits.ts'
import type { Metrics } from '../../node/observe/metrics.ts'
import { asBearer } from '../authorization.ts'
import { type CallTimes, callTimes, DEADLINE_EXCEEDED, EtcdCall, type EtcdCaller } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import { encodeFields } from '../http2/hpack.ts'
import { CODE, type FieldBlock, type Http2Stream, type StreamReceiver } from '../http2/http2.ts'
import type { RequestFields } from '../http2/request-fields.ts'
import {
  type AnyRpc,
  OPEN_REQUEST_BYTES_MAX,
  REQUEST_FIELDS_MAX,
  type RequestReceiver,
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
  readonly socket: Socket
  readonly address: string
  readonly isServed: boolean
  /** Whether somebody is known on it. */
  readonly isKnown: boolean
  readonly options: ServedStreamOptions
  /** Throws `ApiError` for another host, and for a page of another site. */
  checkSender(head: RequestFields): void
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed(): void
  /** Its client is a user, or rights are not checked and it is served. */
  identified(): void
  /** A call was refused before its request was read. */
  refusedStranger(): void
  /** Counts bytes of requests. Throws `ApiError` if there is no room for them. */
  hold(bytes: number): void
  release(bytes: number): void
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

export class ServedStream implements Responses<object>, StreamReceiver {
  readonly #stream: Http2Stream
  readonly #head: RequestFields
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
  #receivedBytes = 0
  /** Time without progress of the client, in checks. */
  #stillMs = 0
  #progress: number | undefined
  #hasHead = false
  /** Nothing is sent any more. */
  #isOver = false
  #isClosed = false
  /** Called when the client has taken responses, or is gone. */
  #drained: (() => void)[] = []
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
    return this.#connection.isKnown || this.#rpc === undefined || this.#rpc.kind === 'unary'
  }

  get #waitsForRequest(): boolean {
    if (this.#call === undefined) return false
    return this.#receiver === undefined ? !this.#hasRequest : this.#reader.heldBytes > 0
  }

  begin(): void {
    const connection = this.#connection
    const { identity, isClosing } = connection.options
    const head = this.#head
    try {
      connection.checkSender(head)
      if (head.method !== 'POST' || !isGrpc(head.contentType)) {
        this.#refuseRequest(head.method === 'POST' ? UNSUPPORTED_MEDIA_TYPE : METHOD_NOT_ALLOWED)
        return
      }
      const { path = '' } = head
      const served = RPC_OF.get(path)
      if (served === undefined) throw unknownRpc(path)
      // Its client does not know yet. It opens a stream of many responses again, at another node.
      if (isClosing() && served.rpc.kind !== 'unary') throw ETCD_ERRORS.stopped
      checkEncoding(head.grpcEncoding)
      const times = callTimes(this.#startedAt, readTimeoutMs(head.grpcTimeout))
      if (served.rpc.access !== undefined || !identity.isNeeded) this.#open(served, undefined, times)
      else this.#identify(served, times)
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** Finds out who the client is, before anything of its request is read. */
  #identify(served: ServedRpc, times: CallTimes): void {
    const { identity } = this.#connection.options
    const { socket, isServed } = this.#connection
    const authorization = findAuthorization(this.#head)
    const client = { headers: { authorization }, socket, isServed }
    const done = (error: ApiError | undefined, principal: Principal | undefined): void => {
      if (this.#isClosed) return
      if (error === undefined) this.#open(served, principal, times)
      else if (error.code !== 'unauthenticated' || authorization !== undefined) this.#refuse(error)
      // A certificate may name anybody.
      else if (principal !== undefined) this.#refuse(error, ETCD_ERRORS.permissionDenied, principal)
      else this.#refuse(error, ETCD_ERRORS.userEmpty)
    }
    identity.identify(client, NEWER_MS_MAX, (error, principal) => {
      if (error !== undefined) done(error, principal)
      else
        identity.whenKnown(principal, NEWER_MS_MAX, (unknown) =>
          done(
            unknown ?? (identity.isStranger(principal) ? strangerError(principal, socket) : undefined),
            principal,
          ),
        )
    })
  }

  #open({ rpc, label, name }: ServedRpc, principal: Principal | undefined, times: CallTimes): void {
    const connection = this.#connection
    const { address, options } = connection
    const { api } = options
    const isUnidentified = !api.node.auth.enabled
    if (rpc.access !== undefined) this.#reader = new GrpcFrameReader(OPEN_REQUEST_BYTES_MAX)
    else if (isUnidentified && !connection.isServed) {
      // Not when the call arrives: rights may be checked no longer since then.
      this.#refuse(loopbackOnly())
      return
    } else connection.identified()
    const client: EtcdCaller = {
      principal,
      isUnidentified,
      requiresLeader: this.#head.hasLeader === 'true',
      address,
      checkServed: () => connection.checkServed(),
    }
    this.#rpc = rpc
    this.#label = label
    this.#span = startCallSpan(name, this.#head, api.node.name)
    const call = new EtcdCall(api, client, name, times, this.#span?.spanContext())
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
    try {
      const request: unknown = rpc.request.decode(bytes, REQUEST_FIELDS_MAX)
      if (rpc.kind === 'unary') {
        const response: object = await rpc.run(request, call)
        if (rpc.access === 'login') this.#connection.identified()
        this.send(response)
        this.end()
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

  async drained(): Promise<void> {
    if (this.#isOver || this.waitingBytes <= UNTAKEN_BYTES_MAX) return
    await new Promise<void>((resolve) => this.#drained.push(resolve))
  }

  /** The parts of one message, of which the first has room for the head. */
  #write(parts: readonly Uint8Array[], taken?: () => void): void {
    const [first] = parts
    if (this.#isOver || first === undefined) return
    let length = -FRAME_HEAD_BYTES
    for (const part of parts) length += part.length
    withFrameHead(first, length)
    if (!this.#hasHead) {
      this.#hasHead = true
      this.#stream.sendHead(RESPONSE_HEAD, false)
    }
    const last = parts.length - 1
    for (const [at, part] of parts.entries()) this.#stream.sendData(part, at === last ? taken : undefined)
    // The transport counts it now.
    this.#call?.releaseRoom()
    this.#connection.responded()
  }

  responseTaken(): void {
    this.#pace()
    if (this.#drained.length > 0 && this.waitingBytes <= UNTAKEN_BYTES_MAX) this.#resolveDrained()
  }

  #resolveDrained(): void {
    for (const resolve of this.#drained.splice(0)) resolve()
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
    this.end(toGrpcError(this.#connection.options.api, error))
  }

  /**
   * Refuses the call before its request is read. `status`: what the client receives instead of that of the error.
   * `principal`: the user whom its certificate names.
   */
  #refuse(error: unknown, status?: GrpcError, principal?: Principal): void {
    const connection = this.#connection
    const { identity, api } = connection.options
    const { address } = connection
    // Anybody may send any path, and any number of them: the line has that of an RPC.
    const name = RPC_OF.get(this.#head.path ?? '')?.name ?? 'grpc'
    const origin = () => ({ method: name, address })
    identity.auditRefusal({ origin, principal }, { authorization: findAuthorization(this.#head) }, error)
    this.end(status ?? toGrpcError(api, error))
    connection.refusedStranger()
  }

  /** It is no call of gRPC. */
  #refuseRequest(status: string): void {
    this.#isOver = true
    this.#stream.sendHead(encodeFields({ ':status': status }), true)
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
    const waiting = this.waitingBytes
    const progress = waiting > 0 ? -waiting : this.#waitsForRequest ? this.#receivedBytes : undefined
    this.#stillMs = progress !== undefined && progress === this.#progress ? this.#stillMs + sinceMs : 0
    this.#progress = progress
    if (this.#stillMs < this.#connection.options.limits.writeStallMsMax) return
    this.#stream.reset(CODE.enhanceYourCalm)
  }

  /** The stream is closed, for whatever reason. */
  closed(code: number): void {
    if (this.#isClosed) return
    const endedEarly = !this.#isOver || code !== CODE.noError
    this.#isClosed = true
    this.#isOver = true
    this.#stopTimer()
    this.#connection.release(this.#heldBytes)
    this.#resolveDrained()
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

const findAuthorization = ({ token, authorization }: RequestFields): string | undefined =>
  asBearer(token ?? authorization)

function unknownRpc(path: string): GrpcError {
  const [, service = '', method = ''] = path.split('/')
  const isKnownService = RPCS.some((rpc) => rpc.path.startsWith(`/${service}/`))
  return isKnownService
    ? new GrpcError(GRPC.unimplemented, `unknown method ${method} for service ${service}`)
    : new GrpcError(GRPC.unimplemented, `unknown service ${service}`)
}
