// The client port of a node. The listener accepts connections and keeps their number within limits, makes the
// handshakes of TLS, and closes all connections when the node stops.
//
// A connection begins with the readers of `../connections`. Their requests go to `../http`. A request that opens a
// multiplexed connection gives the connection to `../mux` (mux-opening.ts). A connection that begins with the preface
// of HTTP/2, or whose handshake has agreed on it, goes to `../etcd` (http2-opening.ts). All of them execute operations
// in one `Api`, so they share its budgets.

import { isIPv6, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { ApiError } from '../../operations/forms/index.ts'
import { asError } from '../../system/errors.ts'
import type { Api } from '../api/api.ts'
import { LINGER_MS, socketAddress } from '../clients/client-connection.ts'
import { ConnectionTable } from '../clients/connection-table.ts'
import { Gate } from '../clients/gate.ts'
import { Guard, type ServedClients } from '../clients/guard.ts'
import { ClientIdentity } from '../clients/identity.ts'
import type { HttpRequest } from '../connections/messages.ts'
import { endWith, NodeConnections } from '../connections/node-connection.ts'
import { RawConnections } from '../connections/raw-connection.ts'
import { refusalPage, wantsPage } from '../connections/refusal-page.ts'
import { ResponseWriter } from '../connections/response-writer.ts'
import type { EtcdApi } from '../etcd/etcd-api.ts'
import { type Gateway, HttpServer } from '../http/server.ts'
import type { HttpCounts, Metrics } from '../node/observe/metrics.ts'
import type { Logger } from '../options.ts'
import { type HandshakeRefusal, Handshakes, type ListenerTls } from '../tls/handshakes.ts'
import { findCertificateUser, isNodeCertificate } from '../tls/identity.ts'
import { HTTP1, HTTP2 } from '../tls/secure-options.ts'
import { Http2Opening } from './http2-opening.ts'
import type { HttpLimits } from './limits.ts'
import { MuxOpening } from './mux-opening.ts'

interface ClientListenerOptions {
  readonly api: Api
  readonly allowedHosts: readonly string[]
  readonly corsOrigins: readonly string[]
  readonly metrics: Metrics
  readonly logger: Logger
  readonly limits: HttpLimits
  /** With it, the port speaks only TLS. */
  readonly tls?: ListenerTls | undefined
  readonly served: ServedClients
  /** Whether clients of etcd are served. Default: true. */
  readonly etcdApi?: boolean | undefined
  /** The folder with the files of the console; that of this program unless given. */
  readonly consoleDirectory?: string | undefined
}

/**
 * A node that stops ends idle connections after this pause. A client that has just received an answer may send its next
 * request. If the connection ended at the same time, the client would not know the outcome of a change.
 */
const CLOSE_IDLE_MS = 50

/** How long, at most, a stopping node still accepts connections that were made before. */
const ACCEPT_MS_MAX = 2_000

/** In JSON, bytes are longer. */
const IN_BASE64 = 4 / 3

/** Limit of refused connections that receive an error at the same time. Others are closed without an answer. */
const REFUSED_MAX = 16

export class ClientListener {
  readonly #options: ClientListenerOptions
  readonly #api: Api
  readonly #identity: ClientIdentity
  readonly #connections: ConnectionTable
  readonly #nodeConnections: NodeConnections
  readonly #rawConnections: RawConnections
  readonly #http: HttpServer
  readonly #mux: MuxOpening
  /** undefined: clients of etcd are not served. */
  readonly #http2: Http2Opening | undefined
  #etcd: EtcdApi | undefined
  readonly #handshakes: Handshakes | undefined
  /** Connections without room, which receive an error. */
  readonly #refusedNow = new Set<Socket>()
  #refusedTotal = 0
  #acceptedTotal = 0
  #closing = false

  constructor(options: ClientListenerOptions) {
    const { api, metrics, logger, limits, tls, served, allowedHosts, corsOrigins, consoleDirectory } = options
    const { node, outbound, outboundOfUnauthenticated } = api
    const isClosing = (): boolean => this.#closing
    const isSecure = tls !== undefined
    this.#options = options
    this.#api = api
    this.#identity = new ClientIdentity(api, isSecure)
    const guard = new Guard({ clusterId: node.clusterId, allowedHosts, corsOrigins, isSecure })
    const { keepAliveMs, headBytesMax } = limits
    const writer = new ResponseWriter({ node, outbound, outboundOfUnauthenticated, keepAliveMs, isClosing })
    this.#connections = new ConnectionTable({ api, limits, served, handshakes: () => this.#handshakes })
    const gate = new Gate({ api, guard, identity: this.#identity, isClosing })
    this.#http = new HttpServer({
      api,
      metrics,
      gate,
      isClosing,
      loadGateway: options.etcdApi === false ? undefined : () => this.#loadGateway(),
      consoleDirectory,
    })
    this.#mux = new MuxOpening({ api, metrics, limits, gate, writer, isClosing })
    if (options.etcdApi !== false)
      this.#http2 = new Http2Opening({
        loadEtcd: () => this.#loadEtcd(),
        metrics,
        limits,
        gate,
        logger,
        isClosing,
      })
    const http2 = this.#http2
    const serve = (request: HttpRequest): void => this.#http.serve(request)
    this.#nodeConnections = new NodeConnections({ limits, writer, serve })
    this.#rawConnections = new RawConnections({
      keepAliveMs,
      headBytesMax,
      writer,
      serve,
      isClosing,
      upgrade: (connection, bytes) => this.#mux.upgrade(connection, bytes),
      handOver: (connection, stream) => this.#nodeConnections.adopt(connection, stream),
      // With TLS, the handshake has agreed on it.
      handOverHttp2: http2 && !isSecure ? (connection) => http2.accept(connection) : undefined,
    })
    this.#nodeConnections.server.on('connection', (socket: Socket) => this.#accept(socket))
    this.#handshakes = tls && this.#createHandshakes(tls)
    metrics.watchHttp(() => this.inspect())
  }

  /** Port 0 means any free port. Rejects if the address cannot be used. */
  async listen(host: string, port: number): Promise<{ readonly url: string }> {
    const { server } = this.#nodeConnections
    const { logger } = this.#options
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // Otherwise workers of node:cluster would share the port, and requests would reach them in turn.
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject)
        // A connection that cannot be accepted, for example for lack of memory, must not end the node.
        server.on('error', (error) => logger.error({ error: error.message }, 'the HTTP listener failed'))
        resolve()
      })
    })
    this.#connections.open()
    // The import blocks the event loop for a long time. Now, before the node can lead, it delays no heartbeat.
    this.#http
      .load()
      .then(() => this.#mux.load())
      .catch((error: unknown) =>
        logger.warn({ error: asError(error).message }, 'the routes beside the keys could not be loaded yet'),
      )
    const address = server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    const scheme = this.#options.tls === undefined ? 'http' : 'https'
    return { url: `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${bound}` }
  }

  /**
   * `graceful`: accepts no more connections, answers the open requests, then closes. Otherwise it destroys all sockets.
   */
  async close({ graceful }: { readonly graceful: boolean }): Promise<void> {
    const { server } = this.#nodeConnections
    this.#closing = true
    const cut = (): void => {
      this.#connections.cut()
      for (const socket of this.#refusedNow) socket.destroy()
    }
    if (!graceful) cut()
    this.#handshakes?.close()
    this.#connections.closing()
    this.#mux.closing()
    this.#http2?.closing()
    this.#http.closing()
    // A connection whose answer was on its way when closing began becomes idle later. It gets the same pause.
    let before = performance.now()
    const sweep = setInterval(() => {
      // Bytes that arrived while the event loop was busy are read first.
      setImmediate(() => {
        this.#nodeConnections.closeIdle(before)
        this.#rawConnections.closeIdle(before)
        this.#mux.closeIdle()
        before = performance.now()
      })
    }, CLOSE_IDLE_MS)
    const late = setTimeout(cut, this.#options.limits.closeMsMax)
    if (graceful) await this.#acceptWaiting()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await this.#connections.closed()
    clearInterval(sweep)
    clearTimeout(late)
    await this.#http.close()
  }

  /** Called when the node's role, its term or the leader that it knows may have changed. */
  roleChanged(): void {
    this.#mux.roleChanged()
  }

  inspect(): HttpCounts {
    return {
      connections: this.#connections.size,
      fastConnections: this.#rawConnections.size,
      muxConnections: this.#mux.size,
      grpcConnections: this.#http2?.size ?? 0,
      grpcCalls: this.#http2?.calls ?? 0,
      requests: this.#http.requests,
      operations: this.#mux.operations,
      ranges: this.#api.ranges.open,
      watchBytes: this.#api.watchBuffers.bytes,
      bodyBytes: this.#api.inbound.bytes,
      unauthenticatedBytes: this.#api.unauthenticatedBytes,
      answerBytes: this.#api.outbound.bytes,
      unidentified: this.#connections.unidentified,
      unidentifiedHeadBytes: this.#connections.unidentifiedHeadBytes,
      unidentifiedClosedTotal: this.#connections.unidentifiedClosedTotal,
      handshakes: this.#handshakes?.size ?? 0,
      stalledTotal: this.#connections.stalledTotal,
      refusedTotal: this.#refusedTotal,
      handshakesFailedTotal: this.#handshakes?.failedTotal ?? 0,
    }
  }

  /**
   * When a listener closes, the kernel resets connections that were not accepted yet, and their clients may have sent a
   * change. Each iteration of the event loop accepts one connection. After one without, none waits.
   */
  async #acceptWaiting(): Promise<void> {
    const until = performance.now() + ACCEPT_MS_MAX
    let before: number
    await nextTurn()
    do {
      before = this.#acceptedTotal
      await nextTurn()
    } while (this.#acceptedTotal > before && performance.now() < until)
  }

  #accept(socket: Socket): void {
    this.#acceptedTotal++
    if (this.#connections.makeRoom()) {
      if (this.#handshakes === undefined) this.#rawConnections.accept(this.#connections.add(socket))
      else this.#handshakes.begin(socket)
      return
    }
    this.#refusedTotal++
    // An error before the handshake would be no TLS.
    if (this.#handshakes !== undefined) socket.destroy()
    else this.#refuse(socket, new ApiError('overloaded', 'this node has as many connections as it can hold'))
  }

  /** Both wires of etcd's API share it. */
  async #loadEtcd(): Promise<EtcdApi> {
    const { EtcdApi } = await import('../etcd/etcd-api.ts')
    this.#etcd ??= new EtcdApi(this.#api)
    return this.#etcd
  }

  async #loadGateway(): Promise<Gateway> {
    const { JsonGateway } = await import('../etcd/gateway/gateway.ts')
    const etcd = await this.#loadEtcd()
    const { grpcMessageBytesMax, writeStallMsMax: stallMsMax } = this.#options.limits
    const requestBytesMax = Math.ceil(grpcMessageBytesMax * IN_BASE64)
    return new JsonGateway({ etcd, isClosing: () => this.#closing, requestBytesMax, stallMsMax })
  }

  #createHandshakes(tls: ListenerTls): Handshakes {
    const { limits, logger } = this.#options
    const { tlsHandshakesMax, tlsHandshakeMs } = limits
    return new Handshakes({
      ...tls,
      tlsHandshakesMax,
      tlsHandshakeMs,
      logger,
      protocols: this.#http2 === undefined ? [HTTP1] : [HTTP1, HTTP2],
      secured: (socket) => this.#secured(socket),
      refused: (socket, refusal) => this.#refuseCertificate(socket, refusal, tls),
      plain: (socket) =>
        this.#refuse(socket, new ApiError('bad_request', 'this port speaks only TLS: use https://')),
    })
  }

  #secured(socket: TLSSocket): void {
    const user = findCertificateUser(socket)
    const isUser = user !== undefined && this.#identity.isUser({ user, epoch: undefined })
    const connection = this.#connections.add(socket)
    if (isUser || isNodeCertificate(socket)) connection.identified()
    if (socket.alpnProtocol === HTTP2) this.#http2?.accept(connection)
    else this.#rawConnections.accept(connection)
  }

  #refuseCertificate(socket: TLSSocket, { kind, why }: HandshakeRefusal, tls: ListenerTls): void {
    const advice = kind === 'missing' ? SHOW_CERTIFICATE : ''
    const error = new ApiError('unauthenticated', `this node refuses the client: ${why}${advice}`)
    const origin = () => ({ method: 'TLS', address: socketAddress(socket) })
    this.#api.audit?.refused({ origin }, error, { name: userShownBy(socket, tls), certificate: kind })
    if (!this.#noteRefused(socket)) return
    if (socket.alpnProtocol === HTTP2) endWith(socket, error)
    else
      readRefusedHead(socket, (head) => {
        const { method, accept } = head
        endWith(socket, error, wantsPage(method, accept) ? refusalPage(error, true) : undefined)
      })
  }

  #refuse(socket: Socket, error: ApiError): void {
    if (this.#noteRefused(socket)) endWith(socket, error)
  }

  /** Returns false if there are too many: then the connection is closed. */
  #noteRefused(socket: Socket): boolean {
    if (this.#refusedNow.size >= REFUSED_MAX) {
      socket.destroy()
      return false
    }
    this.#refusedNow.add(socket)
    socket.on('error', () => {}).once('close', () => this.#refusedNow.delete(socket))
    return true
  }
}

/** Bytes of the head of a refused request that are parsed. */
const REFUSED_HEAD_BYTES = 16 * 1024

interface RefusedHead {
  readonly method?: string | undefined
  readonly accept?: string | undefined
}

/**
 * Reads whether a refused client is a browser: its method and its Accept header. A client that sends no whole head in
 * time is answered all the same. Nothing else of the request is read.
 */
function readRefusedHead(socket: Socket, done: (head: RefusedHead) => void): void {
  let text = ''
  const end = (): void => {
    clearTimeout(timer)
    socket.off('data', onData).off('end', end).off('close', end)
    const [, method] = /^([A-Z]+) /.exec(text) ?? []
    const [, accept] = /\r\naccept:[ \t]*([^\r\n]*)/i.exec(text) ?? []
    done({ method, accept })
  }
  const onData = (bytes: Buffer): void => {
    text += bytes.toString('latin1')
    if (text.includes('\r\n\r\n') || text.length >= REFUSED_HEAD_BYTES) end()
  }
  const timer = setTimeout(end, LINGER_MS)
  socket.on('data', onData).once('end', end).once('close', end)
}

/** The user whom the certificate of a connection names, whether it is a good one or not. */
function userShownBy(socket: TLSSocket, { files }: ListenerTls): string | undefined {
  const certificate = socket.getPeerX509Certificate()
  const found = certificate && files.decodeUser(certificate)
  return found !== undefined && 'user' in found ? found.user : undefined
}

const SHOW_CERTIFICATE = '; give one with tls.cert and tls.key, in the command with --cert and --key'
