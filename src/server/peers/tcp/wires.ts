// The wires of a node over TCP: a listener, and connections to peers.

import type { X509Certificate } from 'node:crypto'
import { connect, createServer, isIP, isIPv6, type Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { faultText, findHandshakeFault, foundText } from '../../../certificates/handshake-faults.ts'
import { lookup } from '../../../system/lookup.ts'
import type { ListenAddress, Logger } from '../../options.ts'
import { Handshakes } from '../../tls/handshakes.ts'
import { objectionToPeer } from '../../tls/identity.ts'
import type { TlsFiles } from '../../tls/tls-files.ts'
import type { LinkCounters, LinkLimits } from '../limits.ts'
import type { DialCallbacks, Wire, WireOwner, Wires } from '../wires.ts'
import { Connection } from './connection.ts'

interface TcpWiresOptions {
  readonly limits: LinkLimits
  readonly counters: LinkCounters
  readonly logger: Logger
  readonly tls?: TlsFiles | undefined
}

export class TcpWires implements Wires {
  /** host:port that others connect to, with the given host: a name stays the same when addresses change. */
  address = ''
  /** Resolves after `close` when the port is free again. */
  readonly closed: Promise<void>
  readonly #options: TcpWiresOptions
  readonly #server: Server
  readonly #handshakes: Handshakes | undefined
  /** The certificates of the processes that this node has dialled. */
  readonly #dialledSockets = new Map<Socket, X509Certificate>()
  readonly #stopListening: () => void
  #onCall: ((wire: Wire) => WireOwner) | undefined

  constructor(options: TcpWiresOptions) {
    this.#options = options
    const { tls, limits, logger } = options
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      if (this.#handshakes === undefined) this.#accepted(socket)
      else this.#handshakes.begin(socket)
    })
    this.#handshakes =
      tls &&
      new Handshakes({
        files: tls,
        clientCert: 'required',
        logger,
        tlsHandshakesMax: limits.unidentifiedMax,
        tlsHandshakeMs: limits.handshakeMs,
        failed: () => void options.counters.tlsHandshakesFailed++,
        secured: (socket) => this.#accepted(socket, socket.getPeerX509Certificate()),
        refused: (socket, { why }) => this.#refused(socket, why),
      })
    this.#stopListening = tls?.onChange(() => this.#closeRevoked()) ?? (() => {})
    this.closed = new Promise((resolve) => this.#server.once('close', resolve))
  }

  listen({ host, port }: ListenAddress): Promise<void> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      // Otherwise workers of node:cluster would share the port, and connections would reach them in turn.
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject)
        server.on('error', (error) =>
          this.#options.logger.error({ error: error.message }, 'the peer listener failed'),
        )
        this.address = formatAddress(host, server.address())
        resolve()
      })
    })
  }

  onCall(called: (wire: Wire) => WireOwner): void {
    this.#onCall = called
  }

  dial(address: string, dialled: DialCallbacks): () => void {
    const { limits, counters } = this.#options
    const target = parseAddress(address)
    const socket =
      target === undefined
        ? new Socket().destroy(new Error(`not host:port: ${address}`))
        : this.#connect(target)
    let open = true
    const end = (then: () => void): void => {
      if (!open) return
      open = false
      then()
    }
    const fail = (why: string, isRefused = false): void => end(() => dialled.failed(why, isRefused))
    socket.on('error', (error) => fail(errorReason(error), findHandshakeFault(error) !== undefined))
    socket.once('close', () => fail('it was cut'))
    socket.once(this.#options.tls === undefined ? 'connect' : 'secureConnect', () =>
      end(() => {
        const shown = 'getPeerX509Certificate' in socket ? socket.getPeerX509Certificate() : undefined
        const fault = shown && this.#options.tls?.refusal(shown)
        if (fault !== undefined) {
          socket.destroy()
          dialled.failed(foundText(fault), true)
          return
        }
        if (shown !== undefined) {
          this.#dialledSockets.set(socket, shown)
          socket.once('close', () => this.#dialledSockets.delete(socket))
        }
        const objectionTo = this.#options.tls && objectionBy(shown)
        const connection = new Connection(socket, limits, counters, true, objectionTo)
        connection.ownedBy(dialled.connected(connection))
      }),
    )
    return () => end(() => socket.destroy())
  }

  #connect(target: { readonly host: string; readonly port: number }): Socket | TLSSocket {
    const { tls } = this.#options
    if (tls === undefined) return connect({ ...target, lookup })
    return process.getBuiltinModule('node:tls').connect({
      ...target,
      lookup,
      secureContext: tls.secureContext,
      ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
      // Decided when the peer has introduced itself: the address may be one of a relay.
      checkServerIdentity: () => undefined,
    })
  }

  close(): void {
    this.#onCall = undefined
    this.#stopListening()
    this.#handshakes?.close()
    this.#server.close()
  }

  #closeRevoked(): void {
    for (const [socket, certificate] of this.#dialledSockets)
      if (this.#options.tls?.isRevoked(certificate) === true) socket.destroy(new Error(foundText('revoked')))
  }

  /** Says why, as soon as the caller has introduced itself: then nothing unread resets the connection. */
  #refused(socket: Socket, why: string): void {
    const { limits, counters } = this.#options
    const connection = new Connection(socket, limits, counters, false)
    connection.ownedBy({
      frame: () => {
        const sentence = `this node refuses the caller: ${why}`
        connection.send({ type: 'refusal', clusterId: '', stop: false, sentence })
        connection.drain()
      },
      closed: () => {},
    })
  }

  #accepted(socket: Socket, certificate?: X509Certificate): void {
    socket.on('error', () => {})
    if (this.#onCall === undefined) {
      socket.destroy()
      return
    }
    const { limits, counters } = this.#options
    const objectionTo = this.#options.tls && objectionBy(certificate)
    const connection = new Connection(socket, limits, counters, false, objectionTo)
    connection.ownedBy(this.#onCall(connection))
  }
}

const objectionBy =
  (certificate: X509Certificate | undefined): Wire['objectionTo'] =>
  (member) =>
    certificate === undefined ? 'it has not shown a certificate' : objectionToPeer(certificate, member)

/** Message of a failed dial. If a name has several addresses, it joins the message of each. */
function errorReason(error: Error): string {
  if (error instanceof AggregateError)
    return error.errors.map((each) => (each instanceof Error ? each.message : String(each))).join(', ')
  const report = findHandshakeFault(error)
  return report === undefined ? error.message : faultText(report)
}

/** Control characters are refused: `connect` throws if a host name contains a null byte. */
function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^\[?([^\]\p{Cc}]+)\]?:([0-9]{1,5})$/u.exec(address) ?? []
  if (host === undefined || Number(port) > 65_535) return undefined
  return { host, port: Number(port) }
}

function formatAddress(address: string, bound: ReturnType<Server['address']>): string {
  if (bound === null || typeof bound === 'string') throw new Error('not bound to a port')
  const host = address === '' ? bound.address : address
  return `${isIPv6(host) ? `[${host}]` : host}:${bound.port}`
}
