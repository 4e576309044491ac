// A TCP relay that can be cut, to partition a cluster on one machine without root and without hooks in the nodes.
//
// In mode `pass` it forwards bytes, closes and resets at once. When no process listens at the target, it resets the
// caller, so that a dead node looks dead. In mode `blackhole` it reads nothing: bytes stay in the kernel of the sender,
// closes are not forwarded, sockets stay open, and new connections are accepted and hang. Back in mode `pass`, it
// continues all of them. Bytes that it had read before it was cut still reach the other side.

import { connect, createServer, type Socket } from 'node:net'
import type { ListenAddress } from '../../server/options.ts'

export interface Relay {
  /** The address on which the relay listens. */
  readonly address: ListenAddress
  /** Bytes forwarded so far, both ways, by all its connections: shows whether a cut took effect. */
  readonly passedBytes: number
  setMode(mode: RelayMode): void
  /** Ends every connection with a reset on both sides, in either mode. */
  reset(): void
  /** Resolves when the port is free. */
  close(): Promise<void>
}

type RelayMode = 'pass' | 'blackhole'

interface RelayOptions {
  readonly listen: ListenAddress
  /** Called for each connection; undefined refuses it. */
  readonly target: () => ListenAddress | undefined
}

/** Limit on connections that hang in a black hole before they reached the target. Beyond it the oldest is dropped. */
const HUNG_MAX = 64

export async function createRelay({ listen, target }: RelayOptions): Promise<Relay> {
  const connections = new Set<RelayedConnection>()
  let mode: RelayMode = 'pass'
  let passedBytes = 0
  const count = (bytes: number): void => {
    passedBytes += bytes
  }

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (caller) => {
    const connection = new RelayedConnection(caller, target, count, () => connections.delete(connection))
    connections.add(connection)
    if (mode === 'pass') connection.open()
    else dropOldestHung()
  })
  function dropOldestHung(): void {
    const hung = [...connections].filter((connection) => connection.hung)
    if (hung.length > HUNG_MAX) hung[0]?.reset()
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Workers of node:cluster would share the port otherwise, and each connection would reach any of them.
    server.listen({ ...listen, exclusive: true }, resolve)
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('the relay is not bound to a port')

  return {
    address: { host: bound.address, port: bound.port },
    get passedBytes() {
      return passedBytes
    },
    setMode(next) {
      if (next === mode) return
      mode = next
      for (const connection of [...connections]) {
        if (mode === 'pass') connection.open()
        else connection.cut()
      }
    },
    reset() {
      for (const connection of [...connections]) connection.reset()
    },
    close() {
      for (const connection of [...connections]) connection.reset()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** One connection through the relay. */
class RelayedConnection {
  readonly #caller: Socket
  readonly #target: () => ListenAddress | undefined
  readonly #passed: (bytes: number) => void
  readonly #ended: () => void
  #callee: Socket | undefined
  /** Connected to the target. */
  #joined = false
  #flowing = false
  /** Sides whose peer has closed in the black hole: they are ended when it ends. */
  #toEnd: Socket[] = []
  /** A side failed in the black hole: the other side is reset when it ends. */
  #broken = false
  #over = false

  constructor(
    caller: Socket,
    target: () => ListenAddress | undefined,
    passed: (bytes: number) => void,
    ended: () => void,
  ) {
    this.#caller = caller
    this.#target = target
    this.#passed = passed
    this.#ended = ended
    caller.on('error', () => this.#failed())
  }

  /** Whether the connection has not reached the target. */
  get hung(): boolean {
    return !this.#joined
  }

  open(): void {
    this.#flowing = true
    for (const side of this.#toEnd.splice(0)) side.end()
    if (this.#broken) this.reset()
    else if (this.#callee === undefined) this.#reach()
    else this.#resume()
  }

  cut(): void {
    this.#flowing = false
    this.#caller.pause()
    this.#callee?.pause()
  }

  reset(): void {
    if (this.#over) return
    this.#over = true
    this.#ended()
    resetOrDestroy(this.#caller)
    if (this.#callee) resetOrDestroy(this.#callee)
  }

  #failed(): void {
    if (this.#flowing || this.hung) this.reset()
    else this.#broken = true
  }

  #reach(): void {
    const address = this.#target()
    if (address === undefined) {
      this.reset()
      return
    }
    const callee = connect({ ...address, allowHalfOpen: true, noDelay: true })
    this.#callee = callee
    callee.pause()
    callee.on('error', () => {
      // A black hole hides a refusal too: the target is dialled again when it ends.
      if (this.#flowing || this.#joined) this.#failed()
      else this.#callee = undefined
    })
    callee.on('connect', () => {
      if (this.#over) return
      this.#joined = true
      this.#join(this.#caller, callee)
      this.#join(callee, this.#caller)
      if (this.#flowing) this.#resume()
    })
  }

  #join(from: Socket, to: Socket): void {
    // A `data` listener alone must not start the flow.
    from.pause()
    from.on('data', (bytes) => {
      this.#passed(bytes.length)
      if (!to.write(bytes)) from.pause()
    })
    to.on('drain', () => {
      if (this.#flowing) from.resume()
    })
    from.on('end', () => {
      // A paused socket without unread bytes emits `end` as well.
      if (this.#flowing) to.end()
      else this.#toEnd.push(to)
    })
    from.on('close', () => {
      if (from.destroyed && to.destroyed) this.#ended()
    })
  }

  #resume(): void {
    if (!this.#joined) return
    this.#caller.resume()
    this.#callee?.resume()
  }
}

/**
 * Resets a socket, or destroys it when its close is in progress: Node would lose the handle and loop on it forever.
 */
function resetOrDestroy(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
