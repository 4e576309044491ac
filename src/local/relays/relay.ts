// A TCP relay that can be cut: how a cluster on one machine is partitioned without root and without hooks in the nodes.
//
// While it passes, it forwards bytes, closes and resets as soon as they come. Where no process listens behind it, the
// caller is reset at once, so that a dead node looks dead. As a black hole it reads nothing: bytes stay in the kernel
// of the sender, closes go unseen, sockets stay open, and new connections are accepted and hang. When it passes again,
// all of that goes on where it stopped. Bytes that it had already read from one side when it was cut still reach the
// other.

import { connect, createServer, type Socket } from 'node:net'
import type { ListenAddress } from '../../server/node/types.ts'

export interface Relay {
  /** Where it listens. */
  readonly address: ListenAddress
  /** Forwarded so far, both ways, by all its connections: shows whether a cut took effect. */
  readonly passedBytes: number
  setMode(mode: RelayMode): void
  /** Ends every connection with a reset, on both sides, whatever the mode. */
  reset(): void
  /** Resolves when the port is free. */
  close(): Promise<void>
}

export type RelayMode = 'pass' | 'blackhole'

export interface RelayOptions {
  readonly listen: ListenAddress
  /** Asked for each connection; undefined refuses it. */
  readonly target: () => ListenAddress | undefined
}

/** Connections that hang in a black hole and never reached the other side. Beyond this count the oldest is dropped. */
const HUNG_MAX = 64

export async function createRelay({ listen, target }: RelayOptions): Promise<Relay> {
  const passages = new Set<Passage>()
  let mode: RelayMode = 'pass'
  let passedBytes = 0
  const count = (bytes: number): void => {
    passedBytes += bytes
  }

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (caller) => {
    const passage = new Passage(caller, target, count, () => passages.delete(passage))
    passages.add(passage)
    if (mode === 'pass') passage.open()
    else dropOldestHung()
  })
  function dropOldestHung(): void {
    const hung = [...passages].filter((passage) => passage.hung)
    if (hung.length > HUNG_MAX) hung[0]?.reset()
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Otherwise workers of node:cluster would share the port, and each connection would go to any of them.
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
      for (const passage of [...passages]) {
        if (mode === 'pass') passage.open()
        else passage.cut()
      }
    },
    reset() {
      for (const passage of [...passages]) passage.reset()
    },
    close() {
      for (const passage of [...passages]) passage.reset()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** One connection through the relay. */
class Passage {
  readonly #caller: Socket
  readonly #target: () => ListenAddress | undefined
  readonly #passed: (bytes: number) => void
  readonly #ended: () => void
  #callee: Socket | undefined
  #joined = false
  #flowing = false
  /** Sides that must be told, when the black hole ends, that the other side has closed. */
  #toEnd: Socket[] = []
  /** A side failed in the black hole. The other side is told when it ends. */
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

  /** Nothing of it has been forwarded. */
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
      // In a black hole not even a refusal is seen: the target is tried again when it ends.
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
    // Attached paused: a listener alone must not start the flow.
    from.pause()
    from.on('data', (bytes) => {
      this.#passed(bytes.length)
      if (!to.write(bytes)) from.pause()
    })
    to.on('drain', () => {
      if (this.#flowing) from.resume()
    })
    from.on('end', () => {
      // A paused socket with nothing left to read sees the close all the same.
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
 * A socket whose close is under way cannot be reset any more: Node would lose the handle and loop on it without end.
 */
function resetOrDestroy(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
