// The door: accepts connections, reads who calls, and lets in who may come.

import { createServer, type Server, type Socket } from 'node:net'
import type { ByteReader } from './bytes.ts'
import { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { FRAME, type Hello, PROTOCOL_VERSION, readHello, writeWelcome } from './handshake.ts'

/** A caller that was let in and told so; must call `connection.established` before it returns. */
export type Admitted = (connection: Connection, hello: Hello) => void

/** Why a caller is not let in, and whether it must end. */
interface Objection {
  readonly refuse: string
  readonly stop: boolean
}

export class Listener {
  readonly server: Server
  private readonly context: Context
  private readonly admitted: Admitted
  private readonly strangers = new Set<Connection>()
  /** A caller tries again twice a second: it is not logged each time. */
  private lastRefusal = ''
  /** Who called before the node was ready to answer. */
  private waiting: Socket[] | undefined = []

  constructor(context: Context, admitted: Admitted) {
    this.context = context
    this.admitted = admitted
    this.server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {})
      if (this.waiting === undefined) this.greet(socket)
      else if (this.waiting.length < context.limits.strangersMax) this.waiting.push(socket)
      else socket.destroy()
    })
  }

  /** From now on callers are answered. */
  open(): void {
    const { waiting } = this
    this.waiting = undefined
    for (const socket of waiting ?? []) this.greet(socket)
  }

  close(): void {
    this.server.close()
    for (const socket of this.waiting ?? []) socket.destroy()
    for (const stranger of this.strangers) stranger.close('closed')
  }

  private greet(socket: Socket): void {
    if (socket.destroyed) return
    if (this.strangers.size >= this.context.limits.strangersMax) {
      socket.destroy()
      return
    }
    const { limits, counters, logger } = this.context
    const from = `${socket.remoteAddress}:${socket.remotePort}`
    const connection = new Connection(socket, limits, counters, false, {
      frame: (type, body) => {
        clearTimeout(deadline)
        this.strangers.delete(connection)
        this.judge(connection, type, body)
      },
      closed: (why) => {
        clearTimeout(deadline)
        this.strangers.delete(connection)
        logger.debug({ from, why }, 'a connection ended before its handshake was done')
      },
    })
    const deadline = setTimeout(() => connection.close('no handshake in time'), limits.handshakeMs)
    this.strangers.add(connection)
    socket.resume()
  }

  private judge(connection: Connection, type: number, body: ByteReader): void {
    if (type !== FRAME.hello) {
      connection.close(`a frame of type ${type} before the handshake`)
      return
    }
    const hello = connection.decode(() => readHello(body))
    if (hello === undefined) return
    if ('version' in hello) {
      const sentence = `this node speaks version ${PROTOCOL_VERSION} of the protocol, not ${hello.version}`
      this.refuse(connection, { refuse: sentence, stop: false })
      return
    }
    const objection = this.objection(hello)
    if (objection !== undefined) {
      this.refuse(connection, objection)
      return
    }
    connection.send(FRAME.welcome, (out) => writeWelcome(out, this.context.speaker()))
    this.admitted(connection, hello)
  }

  private refuse(connection: Connection, { refuse, stop }: Objection): void {
    this.context.counters.handshakesRefused++
    if (refuse !== this.lastRefusal) this.context.logger.warn({ why: refuse }, 'refused a peer')
    this.lastRefusal = refuse
    connection.refuse({ clusterId: this.context.clusterId, stop, sentence: refuse })
  }

  private objection(hello: Hello): Objection | undefined {
    const { clusterId, processes, events } = this.context
    const self = this.context.speaker()
    if (hello.greeting.clusterId !== clusterId) {
      return {
        refuse: `this node belongs to cluster ${clusterId}, not ${hello.greeting.clusterId}`,
        stop: false,
      }
    }
    if (hello.process === self.process) return { refuse: 'the caller has reached itself', stop: false }
    const superseded = processes.superseded(hello)
    if (superseded !== undefined) return { refuse: superseded, stop: true }
    if (hello.greeting.replicaId === self.greeting.replicaId) {
      events.stop(
        `a newer process of this replica has been started (${hello.greeting.peer}): this one is superseded`,
      )
      return { refuse: 'the caller has reached an older process of its own replica', stop: false }
    }
    if (hello.wanted !== self.greeting.replicaId) {
      return { refuse: `this is replica ${self.greeting.replicaId}, not ${hello.wanted}`, stop: false }
    }
    const refused = events.admit(hello.greeting)
    if (refused !== undefined) return refused
    if (!processes.takes(hello)) return { refuse: 'a newer connection of the caller stands', stop: false }
    return undefined
  }
}
