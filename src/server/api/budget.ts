// Memory that clients make a node hold: bytes of requests that are being received, and of answers that their clients
// have not taken. Both are counted over all connections of all wires.

import type { Writable } from 'node:stream'
import { ApiError } from '../../operations/forms/index.ts'
import { TurnQueue } from './turn-queue.ts'

/** Bytes of requests that are being received, wait, or are not answered yet: their heads, bodies, keys and values. */
export class InboundBudget {
  bytes = 0
  readonly bytesMax: number

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }
}

export const tooManyBodies = (): ApiError =>
  new ApiError('overloaded', 'too many bytes of requests wait at this node')

/** So much of each connection is not counted: a small request is served, however many large ones wait. */
export const FREE_BYTES = 1024

export const tooManyAnswers = (): ApiError =>
  new ApiError('overloaded', 'too many answers wait for clients that do not take them')

/** Room that is reserved for an answer before it exists. */
export interface Reservation {
  /** Grows if there is room. Returns whether it has. */
  tryGrow(bytes: number): boolean
  /** Throws `ApiError` (overloaded) if there is no room. */
  grow(bytes: number): void
  /** Grows, also beyond the room. */
  force(bytes: number): void
  shrink(bytes: number): void
  release(): void
}

/** An answer that waits for room. */
interface WaitingAnswer {
  readonly reservation: Reservation
  readonly bytes: number
  readonly admitted: () => void
}

/** Bytes of answers that their clients have not taken. */
export class OutboundBudget {
  /** The time in which they are read, encoded and written. */
  readonly turns: TurnQueue
  readonly #bytesMax: number
  bytes = 0
  readonly #waiting = new Set<WaitingAnswer>()

  constructor(bytesMax: number, turns = new TurnQueue()) {
    this.#bytesMax = bytesMax
    this.turns = turns
  }

  /**
   * Throws `ApiError` (overloaded) if there is no room for `bytes` more. A single answer always fits: `own` of the
   * counted bytes belong to it.
   */
  check(bytes: number, own = 0): void {
    if (this.bytes > own && !this.hasRoom(bytes)) throw tooManyAnswers()
  }

  hasRoom(bytes: number): boolean {
    return this.bytes + bytes <= this.#bytesMax
  }

  reserve(): Reservation {
    let reserved = 0
    const force = (bytes: number): void => {
      this.add(bytes)
      reserved += bytes
    }
    return {
      tryGrow: (bytes) => {
        if (this.bytes > reserved && !this.hasRoom(bytes)) return false
        force(bytes)
        return true
      },
      grow: (bytes) => {
        this.check(bytes, reserved)
        force(bytes)
      },
      force,
      // Counted before the room is given back: an answer that waits may take it at once, perhaps for this reservation.
      shrink: (bytes) => {
        reserved -= bytes
        this.remove(bytes)
      },
      release: () => {
        const bytes = reserved
        reserved = 0
        this.remove(bytes)
      },
    }
  }

  add(bytes: number): void {
    this.bytes += bytes
  }

  remove(bytes: number): void {
    this.bytes -= bytes
    if (this.bytes < 0) throw new Error('more bytes of answers were taken than were waiting')
    if (bytes > 0 && this.#waiting.size > 0) this.#admit()
  }

  /** Number of answers that wait for room. */
  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Calls `admitted` when the reservation has grown by `bytes`: now, or later in the order of the calls, unless the
   * returned function is called before.
   */
  growInTurn(reservation: Reservation, bytes: number, admitted: () => void): () => void {
    const answer = { reservation, bytes, admitted }
    this.#waiting.add(answer)
    this.#admit()
    return () => {
      if (this.#waiting.delete(answer)) this.#admit()
    }
  }

  #admit(): void {
    for (const answer of this.#waiting) {
      if (!answer.reservation.tryGrow(answer.bytes)) return
      this.#waiting.delete(answer)
      answer.admitted()
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing within the budget

/** Size of one write: a client that takes this much within the stall limit is not stalled. */
export const PIECE_BYTES = 64 * 1024

export type BudgetPart = string | Uint8Array

/**
 * Writes all parts in pieces, each after the kernel has taken the one before, so that nothing is copied too early.
 * Calls `done` once, now or later, when the kernel has taken everything or the connection is gone.
 */
export function writeChunked(
  to: Writable,
  parts: readonly BudgetPart[],
  budget: OutboundBudget,
  done: (isSent: boolean) => void,
): void {
  const pieces = takePieces([...parts])
  // A part counts as a whole until its end, because all of it stays in memory.
  const bytes = byteLength(parts)
  let left = bytes
  let isOver = false
  budget.add(bytes)
  const end = (isSent: boolean): void => {
    if (isOver) return
    isOver = true
    to.off('close', onClose)
    budget.remove(bytes)
    done(isSent)
  }
  const onClose = (): void => end(false)
  // The end of an answer does not wait for pieces of others.
  const next = (): void => (left === 0 ? end(true) : budget.turns.run(writePiece))
  const writePiece = (): void => {
    if (isOver) return
    const piece = pieces.next()
    if (piece.done) end(true)
    else if (to.destroyed) onClose()
    else {
      left -= piece.value.length
      to.write(piece.value, (error) => {
        if (isOver) return
        if (error) onClose()
        else next()
      })
    }
  }
  to.on('close', onClose)
  // The first piece follows its head at once.
  writePiece()
}

/** Counts what was written to a socket until the kernel has taken it. Calls `done` once, later. */
export function afterDrain(to: Writable, budget: OutboundBudget, done: () => void): void {
  const bytes = to.writableLength
  let isOver = false
  budget.add(bytes)
  const end = (): void => {
    if (isOver) return
    isOver = true
    to.off('close', end)
    budget.remove(bytes)
    done()
  }
  to.on('close', end)
  // Called after everything written before.
  to.write(NO_BYTES, end)
}

const NO_BYTES = new Uint8Array()

/** Removes the parts from the list, so that a text is not kept beside its bytes. */
function* takePieces(parts: BudgetPart[]): Generator<Uint8Array, void> {
  while (parts.length > 0) {
    const part = parts.shift() ?? ''
    const bytes = typeof part === 'string' ? Buffer.from(part) : part
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
  }
}

export function byteLength(parts: readonly BudgetPart[]): number {
  let bytes = 0
  for (const part of parts) bytes += typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength
  return bytes
}
