import type { Socket } from 'node:net'

/** Connections that have not shown a token: a program without it cannot hold all connections of a server. */
export class UnidentifiedConnections {
  readonly #max: number
  /** The oldest first. */
  readonly #sockets = new Set<Socket>()

  /** `max`: limit on them. */
  constructor(max: number) {
    this.#max = max
  }

  /** Adds one that has just begun. Beyond the limit, the oldest ends. */
  add(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    if (this.#sockets.size <= this.#max) return
    for (const oldest of this.#sockets) {
      this.#sockets.delete(oldest)
      oldest.destroy()
      return
    }
  }

  /** Whether it has not shown the token. */
  has(socket: Socket): boolean {
    return this.#sockets.has(socket)
  }

  /** It has shown the token. */
  identify(socket: Socket): void {
    this.#sockets.delete(socket)
  }
}
