// The TLS side of one listener: it makes secure connections of accepted ones. Connections in their handshake have no
// identity yet, so their number and their time are limited. When one more arrives, the oldest of them is closed: a
// client that works needs a few milliseconds, and one that does nothing does not keep others out.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Logger } from '../options.ts'
import { isForNodes, setIdentity, userIn } from './identity.ts'
import { ALPN_PROTOCOLS } from './secure-options.ts'
import type { TlsFiles } from './tls-files.ts'

/** First byte of a TLS connection: a record of the handshake. */
const HANDSHAKE_RECORD = 0x16
/** Reasons that are logged at most once in this time: an attacker must not fill the log. */
const LOG_AGAIN_MS = 60_000

export interface HandshakeLimits {
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

export interface HandshakesOptions extends HandshakeLimits, ListenerTls {
  readonly protocol: 'http' | 'peer'
  readonly logger: Logger
  /** Receives a connection whose handshake is done. */
  readonly secured: (socket: TLSSocket) => void
  /** Called for each handshake that fails. */
  readonly failed?: () => void
  /** Receives a connection that does not speak TLS, with its first bytes unread. Default: it is closed. */
  readonly plain?: (socket: Socket) => void
}

export class Handshakes {
  readonly #options: HandshakesOptions
  readonly #server: Server
  /** By the address of the other side, oldest first. */
  readonly #open = new Map<string, { readonly socket: Socket; readonly timer: NodeJS.Timeout }>()
  /** Connections with a certificate of the other side. */
  readonly #certified = new Map<TLSSocket, X509Certificate>()
  readonly #stopListening: readonly (() => void)[]
  #loggedAt = Number.NEGATIVE_INFINITY
  failedTotal = 0

  constructor(options: HandshakesOptions) {
    const { files, peerFiles } = options
    this.#options = options
    // Loaded only where TLS is spoken.
    this.#server = process.getBuiltinModule('node:tls').createServer({
      ...this.#secureOptions(),
      requestCert: options.clientCert !== undefined,
      rejectUnauthorized: options.clientCert === 'required',
      handshakeTimeout: options.tlsHandshakeMs,
      ...(options.protocol === 'http' ? { ALPNProtocols: [...ALPN_PROTOCOLS] } : {}),
    })
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket))
    this.#server.on('tlsClientError', (error, socket) => this.#failed(socket.remoteAddress, reasonOf(error)))
    this.#stopListening = [files, ...(peerFiles === undefined ? [] : [peerFiles])].map((each) =>
      each.onChange(() => this.#changed()),
    )
  }

  /** Connections whose handshake is not done. */
  get size(): number {
    return this.#open.size
  }

  begin(socket: Socket): void {
    const { tlsHandshakesMax, tlsHandshakeMs, protocol } = this.#options
    socket.on('error', () => {})
    const id = idOf(socket)
    // It is gone already.
    if (id === undefined) {
      socket.destroy()
      return
    }
    const timer = setTimeout(() => {
      this.#failed(socket.remoteAddress, `no TLS handshake within ${tlsHandshakeMs} ms`)
      socket.destroy()
    }, tlsHandshakeMs)
    this.#open.set(id, { socket, timer })
    socket.once('close', () => this.#forget(id, socket))
    if (this.#open.size > tlsHandshakesMax) this.closeOldest()
    if (protocol === 'peer') this.#server.emit('connection', socket)
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
    this.#failed(socket.remoteAddress, 'it does not speak TLS')
    if (this.#options.plain === undefined) socket.destroy()
    else this.#options.plain(socket)
  }

  #onSecure(socket: TLSSocket): void {
    const id = idOf(socket)
    const open = id === undefined ? undefined : this.#open.get(id)
    if (id === undefined || open === undefined) {
      socket.destroy()
      return
    }
    this.#forget(id, open.socket)
    socket.on('error', () => {})
    const certificate = socket.getPeerX509Certificate()
    // A handshake that began before the newest revocation list was checked against an older one.
    const isRevoked = certificate !== undefined && this.#options.files.isRevoked(certificate)
    if (certificate !== undefined && (isRevoked || !socket.authorized)) {
      // Without a certificate the client could be anonymous; a bad one is an attempt to be somebody.
      const why = isRevoked ? 'it was revoked' : socket.authorizationError
      this.#failed(socket.remoteAddress, `its certificate was refused: ${why}`)
      socket.destroy()
      return
    }
    if (certificate !== undefined && !this.#identify(socket, certificate)) {
      this.#failed(socket.remoteAddress, 'its certificate is neither one of a client nor one of a node')
      socket.destroy()
      return
    }
    this.#options.secured(socket)
  }

  /** Returns false for a certificate that only a CA of nodes has signed, and that is not for a node. */
  #identify(socket: TLSSocket, certificate: X509Certificate): boolean {
    const { files, peerFiles } = this.#options
    this.#certified.set(socket, certificate)
    socket.once('close', () => this.#certified.delete(socket))
    const isOfClients = isIssuedUnder(certificate, files.authorities)
    const isOfPeers = peerFiles !== undefined && isIssuedUnder(certificate, peerFiles.authorities)
    const isNode = isOfPeers && isForNodes(certificate)
    setIdentity(socket, { user: isOfClients ? userIn(certificate) : undefined, isNode })
    return isOfClients || isNode
  }

  #changed(): void {
    this.#server.setSecureContext(this.#secureOptions())
    for (const [socket, certificate] of this.#certified)
      if (this.#options.files.isRevoked(certificate)) socket.destroy()
  }

  #secureOptions(): TlsFiles['secureOptions'] {
    const { files, peerFiles } = this.#options
    const { secureOptions } = files
    const ca = [secureOptions.ca, peerFiles?.secureOptions.ca].flat().filter((each) => each !== undefined)
    // Without any CA, Node would accept those of the system.
    return { ...secureOptions, ca }
  }

  /** Returns false if there is none. */
  closeOldest(): boolean {
    const [oldest] = this.#open.values()
    if (oldest === undefined) return false
    this.#failed(oldest.socket.remoteAddress, 'too many connections have not done their TLS handshake')
    oldest.socket.destroy()
    return true
  }

  #forget(id: string, socket: Socket): void {
    const open = this.#open.get(id)
    if (open?.socket !== socket) return
    clearTimeout(open.timer)
    this.#open.delete(id)
  }

  #failed(from: string | undefined, why: string): void {
    this.failedTotal++
    this.#options.failed?.()
    const now = performance.now()
    if (now - this.#loggedAt < LOG_AGAIN_MS) return
    this.#loggedAt = now
    this.#options.logger.warn({ from, why }, `a TLS connection was refused: ${why}`)
  }
}

const reasonOf = (error: Error & { readonly code?: string }): string =>
  NO_TLS.has(error.code ?? '') ? 'it does not speak TLS' : error.message

const NO_TLS = new Set([
  ...['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_HTTP_REQUEST', 'ERR_SSL_UNEXPECTED_MESSAGE'],
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
])

/** Unique among the open connections of a listener. */
const idOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined =>
  remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`

/** OpenSSL has verified the chain; this decides which CA it ends in. */
function isIssuedUnder(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  for (let link: X509Certificate | undefined = certificate; link !== undefined; ) {
    const issued: X509Certificate = link
    if (authorities.some((ca) => issued.checkIssued(ca) && issued.verify(ca.publicKey))) return true
    const { issuerCertificate } = issued
    link = issuerCertificate?.fingerprint256 === issued.fingerprint256 ? undefined : issuerCertificate
  }
  return false
}
