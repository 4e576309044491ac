// Answers on their way to clients. Bytes that a client has not taken use memory of this node. They are counted over all
// connections and sent in pieces, each when the kernel has taken the previous one. So nothing is copied too early, and
// `connections.ts` sees whether a client takes anything.

import type { Writable } from 'node:stream'
import { ApiError } from './problem.ts'

/** Answers are sent in pieces of this size: a client that takes one within the limit is not stalled. */
export const PIECE_BYTES = 64 * 1024

export type Part = string | Uint8Array

/** Reserved room for an answer. */
export interface Reservation {
  /** Throws `Refused` (overloaded) if there is no room. */
  grow(bytes: number): void
  release(): void
}

/** Bytes of answers that wait for their clients, all connections together. */
export class OutboundBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Throws `Refused` (overloaded) if this many more bytes are too many. A single answer always fits: `own` of the
   * waiting bytes belong to it.
   */
  check(bytes: number, own = 0): void {
    if (this.#bytes > own && this.#bytes + bytes > this.#bytesMax)
      throw new ApiError('overloaded', 'too many answers wait for clients that do not take them')
  }

  /** Reserves room for an answer that does not exist yet. */
  hold(): Reservation {
    let held = 0
    return {
      grow: (bytes) => {
        this.check(bytes, held)
        this.add(bytes)
        held += bytes
      },
      release: () => {
        this.remove(held)
        held = 0
      },
    }
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  remove(bytes: number): void {
    this.#bytes -= bytes
    if (this.#bytes < 0) throw new Error('more bytes of answers were taken than were waiting')
  }
}

/** Sends all parts. `done` is called once, now or later: when the kernel has taken them, or the connection is gone. */
export function writeChunked(
  to: Writable,
  parts: readonly Part[],
  backlog: OutboundBudget,
  done: (taken: boolean) => void,
): void {
  const pieces = piecesOf([...parts])
  // A part counts as a whole until its end, because all of it stays in memory.
  const bytes = byteLength(parts)
  let over = false
  backlog.add(bytes)
  const end = (taken: boolean): void => {
    if (over) return
    over = true
    to.off('close', gone)
    backlog.remove(bytes)
    done(taken)
  }
  const gone = (): void => end(false)
  const next = (): void => {
    const piece = pieces.next()
    if (piece.done) end(true)
    else if (to.destroyed) gone()
    else
      to.write(piece.value, (error) => {
        if (over) return
        if (error) gone()
        else next()
      })
  }
  to.on('close', gone)
  next()
}

/** Counts what was written to a socket until the kernel has taken it. `done` is called once, later. */
export function afterDrain(to: Writable, backlog: OutboundBudget, done: () => void): void {
  const bytes = to.writableLength
  let over = false
  backlog.add(bytes)
  const end = (): void => {
    if (over) return
    over = true
    to.off('close', end)
    backlog.remove(bytes)
    done()
  }
  to.on('close', end)
  // Called after everything written before.
  to.write(NOTHING, end)
}

const NOTHING = new Uint8Array()

/** Removes the parts from the list, so a text is not kept beside its bytes. */
function* piecesOf(parts: Part[]): Generator<Uint8Array, void> {
  while (parts.length > 0) {
    const bytes = bytesOf(parts.shift() ?? '')
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
  }
}

const bytesOf = (part: Part): Uint8Array => (typeof part === 'string' ? Buffer.from(part) : part)

export function byteLength(parts: readonly Part[]): number {
  let bytes = 0
  for (const part of parts) bytes += typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength
  return bytes
}
