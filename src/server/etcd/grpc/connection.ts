// gRPC over HTTP/2, on connections of the client port. node:http2 reads and writes the frames; this file makes calls of
// its streams.

import type { IncomingHttpHeaders } from 'node:http2'
import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import {
  encodeStatusText,
  FRAME_HEAD_BYTES,
  GrpcFrameReader,
  readTimeoutMs,
  withFrameHead,
} from '../../../etcd/frames.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import type { Api } from '../../api/api.ts'
import type { Principal } from '../../api/call.ts'
import { answerWithinMs } from '../../api/limits.ts'
import { NEWER_MS_MAX, unauthenticated } from '../../api/permit.ts'
import type { ClientIdentity } from '../../connections/client-identity.ts'
import {
  type ConnectionOwner,
  type ConnectionTable,
  socketAddress,
} from '../../connections/connection-table.ts'
import { isServed } from '../../connections/guard.ts'
import { EtcdCall, type EtcdClient, TIMEOUT_MS } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import type { AnyRpc, RequestReceiver, Responses } from '../rpc.ts'
import { RPCS } from '../services/index.ts'

interface GrpcOptions {
  readonly api: Api
  readonly identity: ClientIdentity
  readonly connections: ConnectionTable
  readonly isClosing: () => boolean
}

const KiB = 1024
const MiB = 1024 * KiB

/** A request of etcd has 1.5 MiB at most, and some overhead (server/etcdserver/api/v3rpc/grpc.go). */
const MESSAGE_BYTES_MAX = 2 * MiB

const RPC_OF = new Map(RPCS.map((rpc) => [rpc.path as string, rpc]))

export class GrpcConnections {
  readonly #options: GrpcOptions
  readonly #connections = new Set<GrpcConnection>()

  constructor(options: GrpcOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#connections.size
  }

  /** Takes over a connection whose unread bytes begin with the preface of HTTP/2. */
  accept(socket: Socket): void {
    const connection = new GrpcConnection(socket, this.#options, () => this.#connections.delete(connection))
    this.#connections.add(connection)
    this.#options.connections.watch(socket, connection)
    if (this.#options.isClosing()) connection.leave()
  }

  /** The node stops: accepted calls are answered, later ones are refused. */
  closing(): void {
    for (const connection of this.#connections) connection.leave()
  }
}

class GrpcConnection implements ConnectionOwner {
  quietSince = performance.now()
  readonly socket: Socket
  readonly options: GrpcOptions
  readonly address: string
  readonly isServed: boolean
  readonly #session: ServerHttp2Session
  #calls = 0

  constructor(socket: Socket, options: GrpcOptions, left: () => void) {
    this.socket = socket
    this.options = options
    this.address = socketAddress(socket)
    this.isServed = isServed(options.identity.served, socket)
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: 64,
      settings: { maxConcurrentStreams: 2 ** 32 - 1, initialWindowSize: 1 * MiB },
    })
    this.#session.setLocalWindowSize(16 * MiB)
    this.#session.on('stream', (stream, headers) => this.#receive(stream, headers))
    this.#session.on('error', () => {})
    socket.once('close', left)
  }

  waitsFor(): 'nothing' | 'client' | 'node' {
    return this.#calls > 0 ? 'node' : 'nothing'
  }

  leave(): void {
    this.#session.close()
  }

  #receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.#calls++
    stream.on('close', () => {
      this.#calls--
      this.quietSince = performance.now()
    })
    stream.on('error', () => {})
    const call = new GrpcStream(stream, headers, this)
    call.begin()
  }
}

/** One call: its request or requests, and its response or responses. */
class GrpcStream implements Responses<object> {
  readonly #stream: ServerHttp2Stream
  readonly #headers: IncomingHttpHeaders
  readonly #connection: GrpcConnection
  readonly #reader = new GrpcFrameReader(MESSAGE_BYTES_MAX)
  #call: EtcdCall | undefined
  #rpc: AnyRpc | undefined
  #receiver: RequestReceiver<unknown> | undefined
  /** The request of an RPC that has one. */
  #request: unknown
  #hasHead = false
  #isOver = false

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, connection: GrpcConnection) {
    this.#stream = stream
    this.#headers = headers
    this.#connection = connection
  }

  begin(): void {
    const { api, identity, isClosing } = this.#connection.options
    const { ':path': path = '', 'content-type': contentType = '' } = this.#headers
    try {
      if (!/^application\/grpc(?:\+proto)?(?:;|$)/.test(contentType)) {
        this.#refuseMediaType()
        return
      }
      const rpc = RPC_OF.get(path)
      if (rpc === undefined) throw unknownRpc(path)
      if (isClosing()) throw new GrpcError(GRPC.unavailable, 'etcdserver: server stopped')
      this.#rpc = rpc
      const timeoutMs = readTimeoutMs(text(this.#headers['grpc-timeout'])) ?? TIMEOUT_MS
      const deadline = performance.now() + answerWithinMs(timeoutMs)
      if (!identity.isNeeded) {
        this.#open(rpc, undefined, deadline)
        return
      }
      const token = text(this.#headers.token)
      const authorization = token === undefined ? text(this.#headers.authorization) : `Bearer ${token}`
      const client = {
        headers: { authorization },
        socket: this.#connection.socket,
        isServed: this.#connection.isServed,
      }
      identity.identify(client, NEWER_MS_MAX, (error, principal) => {
        const refusal = error ?? (identity.isStranger(principal) ? unauthenticated() : undefined)
        if (refusal === undefined) this.#open(rpc, principal, deadline)
        else this.end(toGrpcError(api, refusal))
      })
    } catch (error) {
      this.end(toGrpcError(api, error))
    }
  }

  #open(rpc: AnyRpc, principal: Principal | undefined, deadline: number): void {
    const { socket, address, isServed, options } = this.#connection
    const { api, connections, identity } = options
    const client: EtcdClient = {
      principal,
      isUnidentified: !identity.isNeeded,
      address,
      checkServed() {
        if (!isServed)
          throw new GrpcError(GRPC.permissionDenied, 'this node serves only clients of its own machine')
      },
    }
    try {
      if (!api.node.auth.enabled) client.checkServed()
      connections.identified(socket)
      const call = new EtcdCall(api, client, `grpc ${rpc.path}`, deadline)
      this.#call = call
      if (rpc.kind === 'duplex') this.#receiver = rpc.open(call, this)
    } catch (error) {
      this.end(toGrpcError(api, error))
      return
    }
    this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#stream.on('end', () => this.#requestsEnded())
    this.#stream.on('close', () => {
      this.#isOver = true
      this.#call?.abandon()
      this.#receiver?.closed()
    })
  }

  #receive(chunk: Buffer): void {
    if (this.#isOver || this.#rpc === undefined) return
    try {
      for (const bytes of this.#reader.read(chunk)) {
        const request: unknown = this.#rpc.request.decode(bytes)
        if (this.#receiver !== undefined) this.#receiver.request(request)
        else if (this.#request === undefined) this.#request = request
        else throw new GrpcError(GRPC.internal, 'grpc: more than one request')
      }
    } catch (error) {
      this.end(toGrpcError(this.#connection.options.api, error))
    }
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
      if (rpc.kind === 'unary') this.send(await rpc.run(request, call))
      else if (rpc.kind === 'server-stream') await rpc.run(request, call, this)
      this.end()
    } catch (error) {
      this.end(toGrpcError(this.#connection.options.api, error))
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
    return this.#stream.writableLength
  }

  async drained(): Promise<void> {
    const stream = this.#stream
    if (this.#isOver || !stream.writableNeedDrain) return
    await new Promise<void>((resolve) => {
      stream.once('drain', resolve)
      stream.once('close', resolve)
    })
  }

  #write(frame: Uint8Array, taken?: () => void): void {
    if (this.#isOver) return
    if (!this.#hasHead) {
      this.#hasHead = true
      this.#stream.respond(RESPONSE_HEAD, { waitForTrailers: true })
    }
    this.#stream.write(frame, taken)
  }

  end(error?: GrpcError): void {
    if (this.#isOver) return
    this.#isOver = true
    const status = {
      'grpc-status': String(error?.code ?? GRPC.ok),
      'grpc-message': encodeStatusText(error?.message ?? ''),
    }
    if (this.#hasHead) {
      this.#stream.once('wantTrailers', () => this.#stream.sendTrailers(status))
      this.#stream.end()
    } else if (!this.#stream.headersSent && !this.#stream.destroyed) {
      this.#stream.respond({ ...RESPONSE_HEAD, ...status }, { endStream: true })
      // The rest of the request is not read.
      this.#stream.close(constants.NGHTTP2_NO_ERROR)
    }
  }

  #refuseMediaType(): void {
    this.#isOver = true
    this.#stream.respond({ ':status': 415 }, { endStream: true })
  }
}

const RESPONSE_HEAD = { ':status': 200, 'content-type': 'application/grpc' }

function unknownRpc(path: string): GrpcError {
  const [, service = '', method = ''] = path.split('/')
  const isKnownService = RPCS.some((rpc) => rpc.path.startsWith(`/${service}/`))
  return isKnownService
    ? new GrpcError(GRPC.unimplemented, `unknown method ${method} for service ${service}`)
    : new GrpcError(GRPC.unimplemented, `unknown service ${service}`)
}

const text = (header: string | readonly string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : header?.[0]
