// The wires of a node over TCP: a listener, and connections to peers.

import { connect, createServer, isIPv6, type Server, Socket } from 'node:net'
import { lookup } from '../../../client/lookup.ts'
import type { ListenAddress, Logger } from '../../node/types.ts'
import type { TransportCounters, TransportLimits } from '../limits.ts'
import type { Dialled, Wire, WireOwner, Wires } from '../wires.ts'
import { Connection } from './connection.ts'

interface TcpWiresOptions {
  readonly limits: TransportLimits
  readonly counters: TransportCounters
  readonly logger: Logger
}

export class TcpWires implements Wires {
  /** host:port that others connect to, with the given host: a name stays the same when addresses change. */
  address = ''
  /** Resolves after `close` when the port is free again. */
  readonly closed: Promise<void>
  readonly #options: TcpWiresOptions
  readonly #server: Server
  #called: ((wire: Wire) => WireOwner) | undefined

  constructor(options: TcpWiresOptions) {
    this.#options = options
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#accepted(socket))
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
        this.address = addressOf(host, server.address())
        resolve()
      })
    })
  }

  onCall(called: (wire: Wire) => WireOwner): void {
    this.#called = called
  }

  dial(address: string, dialled: Dialled): () => void {
    const { limits, counters } = this.#options
    const target = parseAddress(address)
    const socket =
      target === undefined
        ? new Socket().destroy(new Error(`not host:port: ${address}`))
        : connect({ ...target, lookup })
    let open = true
    const end = (then: () => void): void => {
      if (!open) return
      open = false
      then()
    }
    const fail = (why: string): void => end(() => dialled.failed(why))
    socket.on('error', (error) => fail(reasonOf(error)))
    socket.once('close', () => fail('it was cut'))
    socket.once('connect', () =>
      end(() => {
        const connection = new Connection(socket, limits, counters, true)
        connection.ownedBy(dialled.connected(connection))
      }),
    )
    return () => end(() => socket.destroy())
  }

  close(): void {
    this.#called = undefined
    this.#server.close()
  }

  #accepted(socket: Socket): void {
    socket.on('error', () => {})
    if (this.#called === undefined) {
      socket.destroy()
      return
    }
    const { limits, counters } = this.#options
    const connection = new Connection(socket, limits, counters, false)
    connection.ownedBy(this.#called(connection))
  }
}

/** If a name has several addresses, each of them has a message. */
const reasonOf = (error: Error): string =>
  error instanceof AggregateError
    ? error.errors.map((each) => (each instanceof Error ? each.message : String(each))).join(', ')
    : error.message

/** Control characters are refused: `connect` throws if a host name contains a null byte. */
function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^\[?([^\]\p{Cc}]+)\]?:([0-9]{1,5})$/u.exec(address) ?? []
  if (host === undefined || Number(port) > 65_535) return undefined
  return { host, port: Number(port) }
}

function addressOf(address: string, bound: ReturnType<Server['address']>): string {
  if (bound === null || typeof bound === 'string') throw new Error('not bound to a port')
  const host = address === '' ? bound.address : address
  return `${isIPv6(host) ? `[${host}]` : host}:${bound.port}`
}
