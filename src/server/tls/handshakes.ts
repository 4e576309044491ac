// The TLS side of one listener: it makes secure connections of accepted ones. Connections in their handshake have no
// identity yet, so their number and their time are limited. When one more arrives, the network that has most of them
// loses its oldest one: a client that works needs little time, and one that opens many displaces its own.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import {
  faultText,
  findFaultByCode,
  findHandshakeFault,
  foundText,
} from '../../certificates/handshake-faults.ts'
import { nameLine } from '../../certificates/name-line.ts'
import { networkPrefix } from '../../system/addresses.ts'
import { ByNetwork } from '../by-network.ts'
import type { Logger } from '../options.ts'
import { isForNodes, setIdentity } from './identity.ts'
import { RefusalLog } from './refusal-log.ts'
import type { TlsFiles } from './tls-files.ts'

/** First byte of a TLS connection: a record of the handshake. */
const HANDSHAKE_RECORD = 0x16

interface HandshakeLimits {
  readonly tlsHandshakesMax: number
  readonly tlsHandshakeMs: number
}

/** The certificate of a listener, and what it requests of the other side. */
export interface ListenerTls {
  readonly files: TlsFiles
  /** More CAs whose certificates are accepted, those of nodes. */
  readonly peerFiles?: TlsFiles | undefined
  /** undefined: the other side is not asked for a certificate. */
  readonly clientCert: 'optional' | 'required' | undefined
}

interface HandshakesOptions extends HandshakeLimits, ListenerTls {
  /** Protocols of the client port, the preferred one first; undefined: the connection is one of nodes. */
  readonly protocols?: readonly string[]
  readonly logger: Logger
  /** Receives a connection whose handshake is done. */
  readonly secured: (socket: TLSSocket) => void
  /**
   * Receives a connection whose certificate is refused, to say why. Node.js sends no alert of TLS that would. What
   * arrives is not read. It is closed when the time for the handshake is over.
   */
  readonly refused: (socket: TLSSocket, refusal: HandshakeRefusal) => void
  /** Called for each handshake that fails. */
  readonly failed?: () => void
  /** Receives a connection that does not speak TLS, with its first bytes unread. Default: it is closed. */
  readonly plain?: (socket: Socket) => void
}

export class Handshakes {
  readonly #options: HandshakesOptions
  readonly #server: Server
  /** Handshakes in progress, by the addresses of both sides. */
  readonly #open = new Map<string, OpenHandshake>()
  readonly #byNetwork = new ByNetwork<OpenHandshake>()
  /** Connections whose certificate was refused. */
  readonly #refusedNow = new WeakSet<Socket>()
  /** Connections with a certificate of the other side. */
  readonly #certified = new Map<TLSSocket, X509Certificate>()
  readonly #stopListening: readonly (() => void)[]
  readonly #log: RefusalLog
  failedTotal = 0

  constructor(options: HandshakesOptions) {
    const { files, peerFiles } = options
    const { protocols } = options
    this.#options = options
    this.#log = new RefusalLog(options.logger)
    // Loaded only where TLS is spoken.
    this.#server = process.getBuiltinModule('node:tls').createServer({
      ...this.#secureOptions(),
      requestCert: options.clientCert !== undefined,
      // `#onSecure` decides, and the other side hears why.
      rejectUnauthorized: false,
      handshakeTimeout: options.tlsHandshakeMs,
      ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
    })
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket))
    this.#server.on('tlsClientError', (error, socket) => this.#onError(error, socket))
    this.#stopListening = [files, ...(peerFiles === undefined ? [] : [peerFiles])].map((each) =>
      each.onChange(() => this.#changed()),
    )
  }

  /** Connections whose handshake is not done. */
  get size(): number {
    return this.#open.size
  }

  begin(socket: Socket): void {
    const { tlsHandshakesMax, tlsHandshakeMs, protocols } = this.#options
    socket.on('error', () => {})
    const id = socketId(socket)
    // It is gone already.
    if (id === undefined) {
      socket.destroy()
      return
    }
    const timer = setTimeout(() => {
      // The other side of a refused connection has had its answer.
      if (!this.#refusedNow.has(socket))
        this.#failed(socket.remoteAddress, 'time', `no TLS handshake within ${tlsHandshakeMs} ms`)
      socket.destroy()
    }, tlsHandshakeMs)
    const open = { socket, timer, network: networkPrefix(socket.remoteAddress ?? '') }
    this.#open.set(id, open)
    // A client that ends its side has left. The HTTP server would wait for an answer to it.
    socket.allowHalfOpen = false
    this.#byNetwork.set(open.network, open)
    socket.once('close', () => this.#forget(id, socket))
    if (this.#open.size > tlsHandshakesMax) this.closeOldest()
    if (protocols === undefined) this.#server.emit('connection', socket)
    else
      socket.once('data', (bytes: Buffer) => {
        // The next owner reads these bytes first.
        socket.pause()
        socket.unshift(bytes)
        if (bytes[0] === HANDSHAKE_RECORD) this.#server.emit('connection', socket)
        else this.#onPlain(id, socket)
      })
  }

  /** Closes the connections whose handshake is not done. */
  close(): void {
    for (const stop of this.#stopListening) stop()
    for (const { socket } of [...this.#open.values()]) socket.destroy()
  }

  #onPlain(id: string, socket: Socket): void {
    this.#forget(id, socket)
    socket.allowHalfOpen = true
    this.#failed(socket.remoteAddress, 'no-tls', foundText('no-tls'))
    if (this.#options.plain === undefined) socket.destroy()
    else this.#options.plain(socket)
  }

  #onSecure(socket: TLSSocket): void {
    const id = socketId(socket)
    const open = id === undefined ? undefined : this.#open.get(id)
    if (id === undefined || open === undefined) {
      socket.destroy()
      return
    }
    socket.on('error', () => {})
    socket.allowHalfOpen = this.#options.protocols !== undefined
    const certificate = socket.getPeerX509Certificate()
    const refusal = this.#refusal(socket, certificate)
    if (refusal !== undefined) {
      const { kind, why } = refusal
      this.#failed(socket.remoteAddress, kind, why)
      this.#refusedNow.add(open.socket)
      this.#options.refused(socket, refusal)
      return
    }
    this.#forget(id, open.socket)
    if (certificate !== undefined) {
      this.#certified.set(socket, certificate)
      socket.once('close', () => this.#certified.delete(socket))
    }
    this.#options.secured(socket)
  }

  /** Why a connection is refused whose handshake is done. Otherwise it has its identity now. */
  #refusal(socket: TLSSocket, certificate: X509Certificate | undefined): HandshakeRefusal | undefined {
    const { clientCert } = this.#options
    // Without a certificate the client could be anonymous; a bad one is an attempt to be somebody.
    if (certificate === undefined)
      return clientCert === 'required' ? { kind: 'missing', why: foundText('missing') } : undefined
    const signer = nameLine(certificate.issuer) || 'nobody'
    if (!socket.authorized) {
      const code = String(socket.authorizationError)
      const fault = findFaultByCode(code) ?? 'invalid'
      const what = fault === 'unknown-ca' ? `it names ${signer}` : code
      return { kind: fault, why: `${foundText(fault)} (${what})` }
    }
    return this.#identify(socket, certificate, signer)
  }

  /** Decides which CAs have signed the certificate: those of clients or those of nodes. */
  #identify(socket: TLSSocket, certificate: X509Certificate, signer: string): HandshakeRefusal | undefined {
    const { files, peerFiles } = this.#options
    const isOfClients = isSignedOnlyFor(certificate, files, peerFiles)
    const isOfPeers = peerFiles !== undefined && isSignedOnlyFor(certificate, peerFiles, files)
    if (!isOfClients && !isOfPeers) {
      const why = `its certificate may be one of a client or of a node: ${signer} is in neither file of CAs; add that intermediate CA to one of them`
      return { kind: 'unattributed', why }
    }
    for (const signers of [isOfClients ? files : undefined, isOfPeers ? peerFiles : undefined]) {
      const fault = signers?.refusal(certificate)
      if (fault !== undefined) return { kind: fault, why: `${foundText(fault)} (${signer})` }
    }
    const isNode = isOfPeers && isForNodes(certificate)
    if (!isOfClients && !isNode) return { kind: 'purpose', why: foundText('purpose') }
    const node = isNode ? certificate : undefined
    setIdentity(socket, { ...(isOfClients ? this.#decodeUser(certificate) : { user: undefined }), node })
    return undefined
  }

  #decodeUser(certificate: X509Certificate): { readonly user: string | undefined; readonly nobody?: string } {
    const found = this.#options.files.decodeUser(certificate)
    if ('user' in found) return found
    const nobody = `${found.fault} (${nameLine(certificate.subject) || 'an empty subject'})`
    this.#log.noted('nobody', `a certificate names no user: ${nobody}`)
    return { user: undefined, nobody }
  }

  #changed(): void {
    const { files, peerFiles } = this.#options
    this.#server.setSecureContext(this.#secureOptions())
    for (const [socket, certificate] of this.#certified)
      if ([files, peerFiles].some((each) => each?.isRevoked(certificate) === true)) socket.destroy()
  }

  #secureOptions(): TlsFiles['secureOptions'] {
    const { files, peerFiles } = this.#options
    const { secureOptions } = files
    const ca = [secureOptions.ca, peerFiles?.secureOptions.ca].flat().filter((each) => each !== undefined)
    // Without any CA, Node would accept those of the system.
    return { ...secureOptions, ca }
  }

  /** The oldest of the network that has most. Returns false if there is none. */
  closeOldest(): boolean {
    const [oldest] = this.#byNetwork.largest()
    if (oldest === undefined) return false
    // Its `close` follows later.
    this.#byNetwork.delete(oldest.network, oldest)
    this.#failed(
      oldest.socket.remoteAddress,
      'many',
      'too many connections have not done their TLS handshake',
    )
    oldest.socket.destroy()
    return true
  }

  #forget(id: string, socket: Socket): void {
    const open = this.#open.get(id)
    if (open?.socket !== socket) return
    clearTimeout(open.timer)
    this.#open.delete(id)
    this.#byNetwork.delete(open.network, open)
  }

  #onError(error: Error, { remoteAddress }: TLSSocket): void {
    const report = findHandshakeFault(error)
    if (report === undefined) this.#failed(remoteAddress, 'ended', 'it ended the handshake')
    else this.#failed(remoteAddress, `${report.fault} ${report.isReported}`, faultText(report))
  }

  #failed(from: string | undefined, kind: string, why: string): void {
    this.failedTotal++
    this.#options.failed?.()
    this.#log.refused(kind, why, { from })
  }
}

/**
 * Whether a CA of these files has signed it. OpenSSL has accepted the chain, so with one set of CAs it is one of them,
 * whatever intermediate CAs it has.
 */
function isSignedOnlyFor(
  certificate: X509Certificate,
  { trust }: TlsFiles,
  others: TlsFiles | undefined,
): boolean {
  if (trust.authorities.length === 0) return false
  const isOnly = others === undefined || others.trust.authorities.length === 0 || trust.isEqual(others.trust)
  return isOnly || trust.findPath(certificate) !== undefined
}

interface OpenHandshake {
  readonly socket: Socket
  readonly timer: NodeJS.Timeout
  readonly network: string
}

/** Why a connection is refused: the kind, for the log, and a sentence about the other side. */
export interface HandshakeRefusal {
  readonly kind: string
  readonly why: string
}

/** Unique among the open connections of a listener. */
const socketId = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined =>
  remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
